"""How far a training is: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from nnspec.cli.judging import numbers
from nnspec.cli.options import say
from nnspec.diagnostics import Diagnostic, printable
from nnspec.train.epoch import Epoch
from nnspec.train.loop import Progress

MOST_LINES = 100


@contextmanager
def shown(epochs: int) -> Iterator[Progress]:
    """What a training of so many epochs tells."""
    if not sys.stderr.isatty():
        yield _lines(epochs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    whole = Column(no_wrap=True, min_width=len(f"epoch {epochs}/{epochs}"))  # also where little fits beside it
    number = TextColumn("epoch {task.fields[done]}/{task.total}", table_column=whole)
    columns = (number, BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=epochs, done=0)

        def on_batch(epoch: int, done: int, of: int, loss: float) -> None:
            bar.update(task, completed=epoch - 1 + done / of, done=epoch - 1, description=f"loss {loss:.4f}")

        def on_epoch(epoch: Epoch) -> None:
            bar.update(task, completed=epoch.number, done=epoch.number, description=_line(epoch))

        yield Progress(on_batch, on_epoch, lambda text: bar.console.print(printable(text), markup=False), _warn)


def _lines(epochs: int) -> Progress:
    every = max(1, epochs // MOST_LINES)

    def on_epoch(epoch: Epoch) -> None:
        if epoch.number % every == 0 or epoch.number in (1, epochs):
            stage = f"{epoch.stage}: " if epoch.stage else ""
            click.echo(f"{stage}epoch {epoch.number}/{epochs}  {_line(epoch)}", err=True)

    return Progress(on_epoch=on_epoch, on_note=lambda text: click.echo(printable(text), err=True), on_warning=_warn)


def _warn(warning: Diagnostic) -> None:
    say([warning])


def _line(epoch: Epoch) -> str:
    seconds = f"{epoch.seconds:.0f}" if epoch.seconds >= 10 else f"{epoch.seconds:.2g}"
    return f"{numbers(epoch.metrics)}  {seconds} s"
