"""`nnspec gradcheck`: the gradients of a spec against finite differences."""

from __future__ import annotations

import sys

import click

from nnspec.cli.options import JSON, SET, compilation, options, say
from nnspec.strict_json import dumps


@click.command()
@click.argument("file", metavar="F")
@options(SET, JSON)
def gradcheck(file: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Compare every parameter's gradient with finite differences in float64."""
    from dataclasses import asdict

    from nnspec.gradcheck import gradcheck as run_check
    from nnspec.gradcheck import undefined_in

    spec = compilation(file, pairs).checked()
    results = run_check(spec)
    if as_json:
        click.echo(dumps([asdict(r) | {"passed": r.passed} for r in results], indent=2))
    else:
        width = max((len(r.parameter) for r in results), default=1)
        for r in results:
            click.echo(f"{r.parameter:<{width}}  {r.directions:>4} directions  error {r.error:.1e}  {r.verdict}")
    if not all(r.passed for r in results):
        if why := undefined_in(spec):
            say([why])
        sys.exit(1)
