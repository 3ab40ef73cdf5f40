"""`nnspec fmt`: specs in their one layout."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path

import click

from nnspec.cli.options import STDIN, say, spec_files
from nnspec.diagnostics import Diagnostic, Fault, fault, printable
from nnspec.files import rewrite
from nnspec.record import dataclass
from nnspec.source import read_source, source_of


@dataclass(frozen=True)
class Layout:
    """What a file has, and what it should have."""

    name: str
    written: bytes
    text: str

    @property
    def is_right(self) -> bool:
        return self.written == self.text.encode()

    @property
    def diff(self) -> str:
        before, name = self.written.decode("utf-8").splitlines(keepends=True), printable(self.name)
        return "".join(unified_diff(before, self.text.splitlines(keepends=True), name, name))


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="F...")
@click.option("--check", is_flag=True, help="Change nothing; name the files that would change, exit 1 if there are any.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change, exit 1 if there is anything.")
def fmt(files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Lay specs out as all specs are: only white space changes.

    F is a file, a folder with all .nn files in it, or - for stdin, which is written to stdout.
    """
    found: list[Diagnostic] = []
    layouts: list[Layout] = []
    for name in spec_files(files):
        try:
            layouts.append(_layout(name, found))
        except Fault as error:
            found.append(error.diagnostic)
    wrong = [layout for layout in layouts if not layout.is_right]
    for layout in wrong if check or diff else layouts:
        if diff:
            click.echo(layout.diff, nl=False)
        elif check:
            click.echo(printable(layout.name))
        else:
            _write(layout)
    if found:
        say(found)
    if found or (wrong and (check or diff)):
        sys.exit(1)


def _layout(name: str, found: list[Diagnostic]) -> Layout:
    from nnspec.syntax.format import formatted

    if name != STDIN and not Path(name).is_file():
        raise fault("E501", f"there is no file `{name}` to format")
    written = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    text, mistakes = formatted(source_of("<stdin>", written) if name == STDIN else read_source(name))
    found += mistakes
    return Layout(name, text.encode() if mistakes else written, text)


def _write(layout: Layout) -> None:
    """Stdin to stdout; a file that is not right yet into its place."""
    if layout.name == STDIN:
        click.echo(layout.text, nl=False)
    elif not layout.is_right:
        rewrite(Path(layout.name), layout.text.encode())
        click.echo(f"{layout.name} is laid out anew", err=True)
