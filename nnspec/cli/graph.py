"""`nnspec graph`: the picture of a model."""

from __future__ import annotations

from pathlib import Path

import click

from nnspec.cli.options import SET, compilation, options
from nnspec.diagnostics import fault, printable
from nnspec.files import write

FORMS = ("svg", "html", "dot", "mermaid")
SUFFIXES = {".svg": "svg", ".html": "html", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command()
@click.argument("file", metavar="F")
@options(SET)
@click.option("-o", "--output", metavar="PICTURE", help="A .svg, .html, .dot or .mmd file; or svg, html, dot or mermaid, for stdout.")
@click.option("--backward", is_flag=True, help="With losses, and the way of their gradients back to every parameter.")
@click.option("--depth", type=click.IntRange(0), default=1, show_default=True, help="How many levels of blocks are open at first.")
def graph(file: str, pairs: tuple[str, ...], output: str | None, backward: bool, depth: int) -> None:
    """Draw a spec's model: calls and formulas as boxes, blocks of layers open, the shape of one example on every edge."""
    from nnspec.drawing import drawn
    from nnspec.picture.formats import WRITERS

    spec = compilation(file, pairs).checked()
    path = Path(output) if output and output not in FORMS else None
    form = form_of(path) if path else output or "svg"
    if backward:
        spec.model.needs_loss("no gradient flows")
    text = WRITERS[form](drawn(spec, depth, backward=backward), spec.model.name)
    if path:
        write(path, text.encode())
        click.echo(f"{printable(str(path))}: {len(text.encode()):,} bytes", err=True)
    else:
        click.echo(text, nl=False)


def form_of(path: Path) -> str:
    """The format that a file's name asks for."""
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise fault(
            "E565", f"a picture is no `{path.suffix or path.name}`", help=f"its name ends with {known}; or write {', '.join(FORMS)}"
        )
    return SUFFIXES[path.suffix.lower()]
