"""Commands about specs as documents: `test`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from nnspec.cli.options import JSON, SET, compilation, options

if TYPE_CHECKING:
    from nnspec.testing import Outcome


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="F...")
@options(SET, JSON)
def test(files: tuple[str, ...], pairs: tuple[str, ...], as_json: bool) -> None:
    """Run the `test` blocks of specs."""
    from nnspec.testing import run_tests

    outcomes = []
    for name in files:
        found = run_tests(compilation(name, pairs).checked())
        outcomes += found
        if not as_json:
            click.echo("\n".join(map(_outcome_text, found)) if found else f"{name} has no tests")
    if as_json:
        click.echo(json.dumps(list(map(_outcome_json, outcomes)), indent=2))
    if any(o.failures for o in outcomes):
        sys.exit(1)


def _outcome_text(outcome: Outcome) -> str:
    if not outcome.failures:
        return f"ok      {outcome.test.title}"
    return "\n".join(f"FAILED  {outcome.test.title}: {f.span}: `{' '.join(f.span.text.split())}`: {f}" for f in outcome.failures)


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    failures = [_failure_json(f.span.text, str(f.span), f.at, f.sides) for f in outcome.failures]
    return {"test": outcome.test.title, "model": outcome.test.block.model.id, "passed": not failures, "failures": failures}


def _failure_json(condition: str, place: str, at: tuple[int, ...], sides: tuple[float, ...]) -> dict[str, Any]:
    file, line, column = place.rsplit(":", 2)
    found, expected = sides or (None, None)
    return {
        "condition": condition,
        "file": file,
        "line": int(line),
        "column": int(column),
        "at": at,
        "found": found,
        "expected": expected,
    }
