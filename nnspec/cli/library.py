"""Commands about what is written: the tests of a spec, the library, the gallery."""

from __future__ import annotations

import shlex
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnspec import gallery
from nnspec.cli.failure import WRONG, diagnostics_of, document, exit_code
from nnspec.cli.options import JSON, SET, compilation, options, say, spec_files
from nnspec.diagnostics import Diagnostic, Fault, Source, SpecError, printable
from nnspec.strict_json import dumps
from nnspec.syntax import ast
from nnspec.syntax.parser import parse

if TYPE_CHECKING:
    from nnspec.doc import Entry
    from nnspec.testing import Outcome


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="F...")
@options(SET, JSON)
def test(files: tuple[str, ...], pairs: tuple[str, ...], as_json: bool) -> None:
    """Run the `test` blocks of specs.

    F is a file, a folder with all .nn files in it, or - for stdin.
    """
    outcomes: list[Outcome] = []
    wrong: list[Diagnostic] = []
    names = spec_files(files)
    for name in names:
        try:
            found = _outcomes(name, pairs, library=name not in files)
        except (SpecError, Fault) as error:
            wrong += diagnostics_of(error)
            continue
        outcomes += found
        if not as_json:
            title = [f"{printable(name)}:"] if found and len(names) > 1 else []
            click.echo("\n".join([*title, *map(_outcome_text, found)]) if found else f"{printable(name)} has no tests")
    _report(outcomes, wrong, as_json)
    if wrong or any(o.failures for o in outcomes):
        sys.exit(exit_code(wrong) or WRONG)


def _outcomes(name: str, pairs: tuple[str, ...], *, library: bool) -> list[Outcome]:
    """Those of a file; one of a folder that only defines what others import has none."""
    from nnspec.testing import run_tests

    spec = compilation(name, pairs)
    return [] if library and spec.is_library and not spec.mistakes_of_library else run_tests(spec.checked())


def _report(outcomes: list[Outcome], wrong: list[Diagnostic], as_json: bool) -> None:
    """What has not been said yet: all of it as JSON, or what is wrong with the specs themselves."""
    if as_json:
        tests = list(map(_outcome_json, outcomes))
        click.echo(dumps(document(wrong) | {"tests": tests} if wrong else tests, indent=2))
    elif wrong:
        say(wrong)


def _outcome_text(outcome: Outcome) -> str:
    if not outcome.failures:
        return f"ok      {outcome.test.title}"
    return "\n".join(f"FAILED  {outcome.test.title}: {f.span}: `{f.span.one_line}`: {f}" for f in outcome.failures)


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    failures = [_failure_json(f.span.text, str(f.span), f.at, f.sides) for f in outcome.failures]
    file = outcome.test.block.span.source.name
    return {"test": outcome.test.title, "file": file, "model": outcome.test.block.model.id, "passed": not failures, "failures": failures}


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


@click.command()
@click.argument("name", required=False)
@JSON
def doc(name: str | None, as_json: bool) -> None:
    """Show what NAME is: its formula, source, shapes and an example; without NAME, list all that a spec may name.

    NAME may also be a kind: fn, layer, loss, metric, optimizer, schedule, init, source, augmentation, stop, setting, word, primitive.
    """
    from nnspec.doc import KINDS, about, listed, named

    of_kind = listed(name or "") if name is None or name in KINDS else []
    found = named(name) if of_kind else about(name or "")
    if as_json:
        click.echo(dumps([e.as_json() for e in (*of_kind, *found)], indent=2))
    else:
        click.echo("\n\n".join([*([_listing(of_kind)] if of_kind else []), *map(_entry_text, found)]))


def _entry_text(entry: Entry) -> str:
    """What it is, what it means, its formula, its shapes, its examples: each part if there is one."""
    title = entry.signature if entry.signature.startswith(f"{entry.kind} ") else f"{entry.kind} {entry.signature}"
    title += f"  ({entry.source})" if entry.source else ""
    shape = f"shape: {entry.shape}" if entry.shape else ""
    examples = "\n".join(f"example: {e}" for e in entry.examples)
    return "\n\n".join(part for part in (title, entry.doc, entry.definition, "\n".join(filter(None, (shape, examples)))) if part)


def _listing(found: list[Entry]) -> str:
    width = max(len(e.name) for e in found)
    lines = []
    for kind, group in groupby(found, lambda e: e.kind):
        lines += ["", kind, *(f"  {e.name:<{width}}  {e.headline}" for e in group)]
    return "\n".join(lines[1:])


@click.command()
@click.argument("name", required=False)
@click.option(
    "--from", "origin", metavar="SPEC", help="The spec of the gallery to begin with: without it that called NAME, or else digits."
)
@click.option("--list", "as_list", is_flag=True, help="List the gallery, as without NAME.")
def new(name: str | None, origin: str | None, as_list: bool) -> None:
    """Begin a spec NAME.nn from one of the gallery; without NAME, list the gallery."""
    if as_list or name is None:
        click.echo(_gallery())
        return
    stem = Path(name).name.removesuffix(".nn")
    if not stem:
        raise click.BadParameter(f"{name!r} names no file", param_hint="NAME")
    origin = origin or (stem if stem in gallery.names() else "digits")
    source = gallery.read(origin)
    path = gallery.start(name, source)
    click.echo(f"{printable(str(path))}, from `{origin}` of the gallery:")
    click.echo("\n".join(f"  {line}" for line in gallery.header(source)))
    click.echo("Go on with:")
    for command in ("check", "train", *(("test",) if _has_tests(source) else ())):
        click.echo(f"  nnspec {command} {printable(shlex.quote(str(path)))}")


def _gallery() -> str:
    width = max(map(len, gallery.names()))
    topics = ("\n".join([topic, *(f"  {n:<{width}}  {shows}" for n, shows in specs.items())]) for topic, specs in gallery.COURSE.items())
    return "\n\n".join(topics)


def _has_tests(source: Source) -> bool:
    return any(isinstance(d, ast.Test) for d in parse(source)[0].definitions)
