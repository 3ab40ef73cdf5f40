"""`nnspec export`: a model, or the training itself, as ONNX."""

from __future__ import annotations

from pathlib import Path

import click

from nnspec import api
from nnspec.cli.options import DATA, SET, compilation, options


@click.command()
@click.argument("source", metavar="RUN|F")
@options(SET, DATA)
@click.option("-o", "--output", type=click.Path(), metavar="M.onnx", help="The file, or with --train-step the folder (default: NAME-step).")
@click.option("--train-step", is_flag=True, help="Write the training: a step as ONNX, what it begins with, and train.py that runs it.")
@click.option("--with-data", is_flag=True, help="With --train-step: write what it trains on, too.")
def export(source: str, pairs: tuple[str, ...], data: str | None, output: str | None, train_step: bool, with_data: bool) -> None:
    """Write ONNX, after proving it equal to the reference: a trained run, or a spec with its initial weights."""
    if Path(source).is_dir() and pairs:
        raise click.UsageError("--set belongs to a spec; a run has its values already")
    if with_data and not train_step:
        raise click.UsageError("--with-data belongs to --train-step")
    if data and not with_data:
        raise click.UsageError("--data says where --with-data reads")
    net = api.open(source) if Path(source).is_dir() else api.Net(compilation(source, pairs))
    if train_step:
        folder = output or f"{Path(source).stem if source != '-' else net.name.lower()}-step"
        proof = net.export_training(folder, data=net.datasets(data) if with_data else ())
        click.echo(proof.sentence)
        if proof.left_out:
            click.echo(f"no step does what the spec says of: {', '.join(proof.left_out)}", err=True)
    elif output:
        click.echo(net.export(output).sentence)
    else:
        raise click.UsageError("-o says where to write the model")
