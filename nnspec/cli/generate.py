"""`nnspec generate`: a model of characters writes on."""

from __future__ import annotations

import sys
from itertools import islice

import click

from nnspec.cli.options import options, trained
from nnspec.diagnostics import visible
from nnspec.elaborate.training import MAX_SEED


@click.command()
@click.argument("run", metavar="RUN|M.onnx")
@click.argument("start", metavar="TEXT")
@options()
@click.option("--length", type=click.IntRange(1), default=500, show_default=True, help="Characters to write.")
@click.option("--temperature", type=click.FloatRange(0), default=0.8, show_default=True, help="Lower is surer; at 0 always the likeliest.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Another one, another text.")
def generate(run: str, start: str, length: int, temperature: float, seed: int) -> None:
    """Have a model of characters, trained on a text, write on from a beginning of yours."""
    from nnspec.generation import generated

    written, shown = generated(trained(run), start, temperature=temperature, seed=seed), sys.stdout.isatty()
    click.echo(start, nl=False)
    for character in islice(written, length):
        click.echo(visible(character) if shown and character != "\n" else character, nl=False)
    click.echo()
