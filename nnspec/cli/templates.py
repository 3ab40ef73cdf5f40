"""`nnspec templates`: the pictures of a run."""

from __future__ import annotations

from pathlib import Path

import click

from nnspec import api
from nnspec.cli.options import DATA, options
from nnspec.diagnostics import printable


@click.command()
@click.argument("run", metavar="RUN")
@options(DATA)
def templates(run: str, data: str | None) -> None:
    """Draw a run: curves of losses and metrics, weights as images, the confusion matrix and the worst mistakes of a classifier."""
    from nnspec.cli.judging import answer, held_out
    from nnspec.train import rundir
    from nnspec.train.mistakes import judged
    from nnspec.train.pictures import draw_run

    net, folder = api.open(run), Path(run)
    epochs = rundir.logged(folder)
    written = draw_run(folder, net.spec, epochs, net.params)
    if judged(net.spec):
        _, fields = held_out(net, data, {**net.spec.inputs_in_use, **net.targets})
        written += answer(net, folder, fields)
    for path in written:
        click.echo(printable(str(path)))
