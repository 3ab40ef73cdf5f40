"""`nnspec check`: what is wrong with specs, for people and for programs; and `nnspec explain`, which says more."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnspec.cli.failure import exit_code
from nnspec.cli.options import JSON, SET, STDIN, compilation, options, say, spec_files
from nnspec.diagnostics import Diagnostic, Fault, Fix, Source, Span, did_you_mean, fault, printable

if TYPE_CHECKING:
    from nnspec.compile import Compilation

MANY_OBJECTS = 100_000
FEW, MOST_LINES = 3, 12
"""Warnings of one code that are shown where there are many, and lines that are named of the others."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="F...")
@options(SET, JSON)
@click.option("--deny", type=click.Choice(["warnings"]), help="What fails as errors do.")
@click.option("--all", "whole", is_flag=True, help="Show each warning, also where many are alike.")
@click.option("--fix", is_flag=True, help="Write the fixes that help into the files, and say which.")
@click.option(
    "--output-format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="How mistakes are said; all but text on stdout.",
)
def check(files: tuple[str, ...], pairs: tuple[str, ...], as_json: bool, deny: str | None, whole: bool, fix: bool, form: str) -> None:
    """Say what is wrong with specs, or probably not meant, and print the layer table of those that are right.

    F is a file, a folder with all .nn files in it, or - for stdin. In a folder a file of definitions alone needs no model.
    """
    if as_json and form not in ("text", "json"):
        raise click.UsageError(f"--json and --output-format {form} are two forms of one answer")
    _collect_seldom()
    form = "json" if as_json else form
    found: list[Diagnostic] = []
    names = spec_files(files)
    for name in names:
        try:
            spec = _repaired(name, pairs) if fix else compilation(name, pairs)
            alone = name in files or not spec.is_library
            mistakes = (*spec.diagnostics, *spec.warnings) if alone else spec.mistakes_of_library
        except Fault as error:
            mistakes = (error.diagnostic,)
        found += mistakes
        if form == "text" and not any(d.level == "error" for d in mistakes):
            click.echo("\n".join([*([f"{printable(name)}:"] if len(names) > 1 else []), *([_table(spec)] if alone else [])]))
    found = list(_once(found))
    _report(found if whole or form != "text" else list(_few_alike(found)), form)
    if (deny and found) or exit_code(found):
        sys.exit(1)


def _collect_seldom() -> None:
    """What one check makes is used to its end, and then all of it goes with the process."""
    gc.set_threshold(MANY_OBJECTS)


def _table(spec: Compilation) -> str:
    from nnspec.summary import summary

    return str(summary(spec))


def _once(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Without what was said of the same place before: a file may be checked for itself, and for those that import it."""
    said = set[tuple[str, str, str]]()
    for d in found:
        key = (d.code, str(d.span), d.message)
        if d.span is None or key not in said:
            yield d
        said.add(key)


def _few_alike(found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """Of many warnings of one code in a file the first, and where the others are."""
    alike: dict[tuple[str, Source], list[Span]] = {}
    for d in found:
        if d.level == "warning" and d.span:
            alike.setdefault((d.code, d.span.source), []).append(d.span)
    shown = Counter[tuple[str, Source]]()
    for d in found:
        key = (d.code, d.span.source) if d.span else None
        spans = alike.get(key, []) if key else []
        if key is None or len(spans) <= FEW + 1 or shown[key] < FEW:
            yield d
        elif shown[key] == FEW:
            message = f"{len(spans) - FEW} more of these in {spans[0].source.name}, {_lines(spans[FEW:])}"
            yield Diagnostic(d.code, message, help="`--all` shows each", level="warning")
        if key:
            shown[key] += 1


def _lines(spans: Sequence[Span]) -> str:
    numbers = [str(n) for n in dict.fromkeys(s.line for s in spans)]
    listed = numbers if len(numbers) <= MOST_LINES else [*numbers[: MOST_LINES - 1], "...", numbers[-1]]
    return f"line{'s' * (len(numbers) > 1)} {', '.join(listed)}"


def _report(found: Sequence[Diagnostic], form: str) -> None:
    if form == "text":
        if found:
            say(found)
        return
    from nnspec import formats
    from nnspec.strict_json import dumps

    forms: dict[str, Callable[[Iterable[Diagnostic]], str]] = {
        "json": lambda ds: dumps([d.as_json() for d in ds], indent=2),
        "sarif": lambda ds: dumps(formats.sarif(ds), indent=2),
        "github": formats.github,
    }
    text = forms[form](found)
    if text:
        click.echo(text)


def _repaired(name: str, pairs: tuple[str, ...]) -> Compilation:
    """The spec after the fixes that help, which are written into its file and said."""
    from nnspec.fixes import offered, repaired

    if name == STDIN or not Path(name).is_file():
        raise fault("E501", f"there is no file `{name}` to mend")
    spec = compilation(name, pairs)
    if spec.given:
        raise fault("E525", f"`{name}` is an ONNX model, which has no text to mend")
    after = repaired(spec.source, lambda source: replace(spec, source=source).diagnostics)
    for change in after.applied:
        click.echo(f"mended {change.span}: {_change(change)}", err=True)
    for d, change in offered(after.diagnostics, after.source):
        why = "would not mend it" if change.safe else "is a guess"
        click.echo(f"left {change.span}: {_change(change)} {why}: {printable(d.message)}", err=True)
    if after.applied:
        _write(Path(name), after.source)
    return replace(spec, source=after.source)


def _change(fix: Fix) -> str:
    lines = (text.rstrip("\n") for text in (fix.span.text, fix.text))
    old, new = (f"`{printable(line)}`" if line.strip() else "nothing" for line in lines)
    return f"{old} -> {new}"


def _write(path: Path, source: Source) -> None:
    """Into the place of the file, with its line ends and its mark of UTF-8, if it has one."""
    from nnspec.files import rewrite

    before = path.read_bytes()
    text = source.text.replace("\n", "\r\n") if b"\r\n" in before else source.text
    rewrite(path, text.encode("utf-8-sig" if before.startswith(b"\xef\xbb\xbf") else "utf-8"))


@click.command()
@click.argument("code")
def explain(code: str) -> None:
    """Say what CODE means, with an example that gives it and one that does not."""
    from nnspec.pages import codes, page

    if code.upper() not in codes():
        near = did_you_mean(code.upper(), codes()) or f"they go from {codes()[0]} to {codes()[-1]}"
        raise click.BadParameter(f"there is no code {code!r}: {near}", param_hint="CODE")
    click.echo(page(code.upper()), nl=False)
