"""`nnspec predict`: a trained run's outputs for every example, in memory, or streamed from one parquet file into another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from nnspec.cli.options import DATA, options, refuse_input, trained
from nnspec.diagnostics import printable
from nnspec.net import Net

PARQUET = ".parquet"


@click.command()
@click.argument("run", metavar="RUN|M.onnx")
@options(DATA)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="OUT", help="A csv, npz or parquet file.")
def predict(run: str, data: str | None, output: str) -> None:
    """Write the outputs of a trained run, or of an ONNX model, for every example; a run's for images, labelled or not, too.

    The examples are those of --data, or else those that a run holds out for testing, in the order of its data; all if it holds out none.

    Where the classes of a target have names, the likeliest one stands in a column of its name: as the output says that a loss or metric
    compares with it.

    From one parquet file into another the rows are streamed through onnxruntime, so that a file may be larger than memory.
    """
    from nnspec.train.predictions import refuse_shared

    refuse_input(output, run, data)
    net, path = trained(run), Path(output)
    refuse_shared(path, net.outputs)
    tables = data is not None and Path(data).suffix.lower() == path.suffix.lower() == PARQUET
    number = _stream(net, Path(data), path) if data and tables and not _draws(net) else _write(net, data, path)
    click.echo(f"{number} predictions in {printable(output)}")


def _draws(net: Net) -> bool:
    """Whether outputs are drawn at random, each by the number of its example."""
    return any(node.op.name == "random" for node in net.graph)


def _write(net: Net, data: str | None, output: Path) -> int:
    from nnspec.cli.judging import held_out
    from nnspec.train.predictions import classes_of, write

    part, fields = held_out(net, data, net.spec.inputs_in_use, every_row=True)
    if part == "test" and data is None:
        click.echo("only the examples held out for testing, in the order of the data; `--data FILE` is for every row of a file", err=True)
    predicted = net.predict({n: fields[n] for n in net.spec.inputs_in_use})
    write(output, predicted, classes_of(net.outputs, net.spec.answers, net.labels), _files(net, data) if data else ())
    return len(next(iter(fields.values())))


def _files(net: Net, data: str) -> list[str]:
    """The file that each example is, where data is a folder of images."""
    from nnspec.cli.judging import source_of
    from nnspec.train.images import image_names

    source = source_of(net, data)
    return image_names(source, Path(data).absolute()) if source and source.name == "images" else []


def _stream(net: Net, data: Path, output: Path) -> int:
    from nnspec.cli.judging import source_of
    from nnspec.run.ort import Session
    from nnspec.train.binding import by_their_names
    from nnspec.train.missing import Gaps, learnt
    from nnspec.train.parquet import read_parquet
    from nnspec.train.predictions import classes_of
    from nnspec.train.score import Scorer, batch_for, score

    source, inputs = source_of(net, str(data)), net.spec.inputs_in_use
    assert source, "a parquet file is read as a table"
    source = by_their_names(source, read_parquet(data, source.span), inputs)
    with TemporaryDirectory() as folder, _progress() as progress:
        double = net.spec.dtype == "float64"
        session = Session(net.export(Path(folder) / "model.onnx", double=double).path, threads=1)
        classes = classes_of(net.outputs, net.spec.answers, net.labels)
        gaps = Gaps(means=learnt(net.means) if source.options.get("missing") == "mean" else {})
        scorer = Scorer(session, batch_for(net.spec.deployed), inputs, source, net.spec.dtype, classes, gaps, net.labels, net.predict)
        return score(scorer, data, output, progress)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn("rows"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("")
        yield lambda done, number: bar.update(task, completed=done, total=number)
