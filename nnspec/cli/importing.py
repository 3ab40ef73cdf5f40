"""`nnspec import`: a model of another tool as a spec."""

from __future__ import annotations

from pathlib import Path

import click

from nnspec.cli.options import JSON, written
from nnspec.diagnostics import fault
from nnspec.strict_json import dumps


@click.command(name="import")
@click.argument("model", metavar="M.onnx")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="F.nn", help="The spec; its weights go beside it.")
@JSON
def import_(model: str, output: str, as_json: bool) -> None:
    """Write a spec that a person can read and train from an ONNX model, after proving them equal."""
    from nnspec.importing import import_model

    for path in (Path(written(output, ".nn", model)), Path(output).with_suffix(".safetensors")):
        if path.exists():
            raise fault("E504", f"{path} is there already", help="choose another name, or remove it")
    done = import_model(Path(model), Path(output))
    if as_json:
        weights = str(done.weights) if done.weights else None
        files = {"model": str(done.model), "spec": str(done.spec), "weights": weights}
        click.echo(
            dumps(
                {**files, "arrays": done.arrays, "numbers": done.numbers, "difference": done.difference, "renamed": done.renamed}, indent=2
            )
        )
    else:
        click.echo(done.sentence)
