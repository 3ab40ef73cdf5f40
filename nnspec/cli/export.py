"""`nnspec export`: a model, or the training itself, as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnspec import api
from nnspec.cli.options import DATA, JSON, SET, compilation, options, say, written
from nnspec.diagnostics import SpecError
from nnspec.net import Net
from nnspec.strict_json import dumps

if TYPE_CHECKING:
    from nnspec.deploy import Proof
    from nnspec.deploy.training import TrainingProof
    from nnspec.train.data import Dataset

OLDEST, NEWEST = 17, 26
HALF, DOUBLE = "float16", "float64"
BYTES, STANDARDIZE, FIELDS = "bytes", "standardize", "data"


@click.command()
@click.argument("source", metavar="RUN|F")
@options(SET, DATA, JSON)
@click.option("-o", "path", type=click.Path(), metavar="M.onnx", help="The file, or with --train-step the folder (default: NAME-step).")
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="Cut the model at this value instead of at its outputs.")
@click.option("--opset", type=click.IntRange(OLDEST, NEWEST), default=21, show_default=True)
@click.option("--dtype", type=click.Choice(["float32", HALF, DOUBLE]), default="float32", show_default=True, help="Of weights and values.")
@click.option(
    "--quantize", type=click.Choice(["int8"]), help="Calibrated on the training data, or on --data; says what the metrics were and are."
)
@click.option(
    "--preprocess",
    "prepared",
    multiple=True,
    metavar="NAME=bytes|data|standardize",
    help="Raw values come: NAME as pixels from 0 to 255; the fields of the data, of which the data block makes the inputs; "
    "or what the network standardizes by what it has learnt, an error where it has not.",
)
@click.option("--train-step", is_flag=True, help="Write the training: a step as ONNX, what it begins with, and train.py that runs it.")
@click.option("--with-data", is_flag=True, help="With --train-step: write what it trains on, too.")
def export(source: str, pairs: tuple[str, ...], data: str | None, path: str | None, train_step: bool, **how: Any) -> None:
    """Write ONNX, after proving it equal to the reference: a trained run, or a spec with its initial weights."""
    if Path(source).is_dir() and pairs:
        raise click.UsageError("--set belongs to a spec; a run has its values already")
    _refuse_strangers(train_step, data, how)
    own = DOUBLE if how["dtype"] == DOUBLE else None
    net = api.open(source) if Path(source).is_dir() else Net(compilation(source, pairs, own))
    if net.spec.given and not Path(source).is_dir():
        from nnspec.agreement import check_reading

        check_reading(Path(source), net.spec.given(net.spec.dtype))
    if train_step:
        _training(net, path or f"{Path(source).stem if source != '-' else net.name.lower()}-step", data, how)
    elif path:
        form = {
            "half": how["dtype"] == HALF,
            "double": how["dtype"] == DOUBLE,
            "int8": _calibrating(net, source, data) if how["quantize"] else None,
            **_prepared(net, how["prepared"], data),
            "examples": _seen(net) if Path(source).is_dir() and not how["quantize"] and FIELDS not in how["prepared"] else {},
        }
        _say(
            net.export(
                written(path, ".onnx", source, data), outputs=how["outputs"], opset=how["opset"], **form, measured=_measured(source, net)
            ),
            how["as_json"],
        )
    else:
        raise click.UsageError("-o says where to write the model")


def _refuse_strangers(train_step: bool, data: str | None, how: dict[str, Any]) -> None:
    """Options that do not belong together."""
    if how["with_data"] and not train_step:
        raise click.UsageError("--with-data belongs to --train-step")
    if train_step and (how["outputs"] or how["quantize"] or how["prepared"] or how["dtype"] == HALF):
        options = "--output, --quantize or --preprocess"
        raise click.UsageError(f"--train-step is of the whole model in float32 or float64: it takes no {options}, and no --dtype {HALF}")
    if data and not (how["with_data"] or how["quantize"] or FIELDS in how["prepared"]):
        raise click.UsageError("--data is read by --quantize, --with-data and --preprocess data only")
    if how["quantize"] and how["dtype"] != "float32":
        raise click.UsageError("--quantize is of a float32 model")


def _calibrating(net: Net, source: str, data: str | None) -> Dataset:
    """What 8-bit numbers are calibrated on and judged by: what the network is trained on, or the examples of --data if it never is."""
    from nnspec.cli.judging import held_out, needs_measure
    from nnspec.train.data import Dataset

    if net.spec.trainings:
        return net.dataset(data)
    needs_measure(net, source)
    return Dataset(held_out(net, data, net.spec.model.ports)[1], None, None)


def _prepared(net: Net, wishes: tuple[str, ...], data: str | None) -> dict[str, Any]:
    """How raw values come."""
    for wish in wishes:
        if wish not in (STANDARDIZE, FIELDS) and wish.partition("=")[2] != BYTES:
            raise click.BadParameter(f"{wish!r} is not NAME={BYTES}, {FIELDS} or {STANDARDIZE}", param_hint="--preprocess")
    pixels = [wish.partition("=")[0] for wish in wishes if "=" in wish]
    return {"pixels": pixels, "raw": net.sample(data) if FIELDS in wishes else None, "standardized": STANDARDIZE in wishes}


def _seen(net: Net) -> Mapping[str, Any]:
    """A few examples of what a run was trained on, where that is still there."""
    try:
        return net.sample().inputs if net.spec.trainings else {}
    except SpecError as error:
        click.echo(f"compared on random numbers only, as the data are not at hand: {error.diagnostics[0].message}", err=True)
        return {}


def _measured(source: str, net: Net) -> dict[str, dict[str, Any]]:
    """What a run says of the epoch whose weights it has, and of the data that it held out."""
    from nnspec.train.rundir import judged, kept_epoch

    folder, step = Path(source), int(net.engine.steps_done)
    epoch = kept_epoch(folder, step)
    return ({f"epoch {epoch.number}": dict(epoch.metrics)} if epoch else {}) | judged(folder, step)


def _training(net: Net, folder: str, data: str | None, how: dict[str, Any]) -> None:
    datasets = net.datasets(data) if how["with_data"] else ()
    double = how["dtype"] == DOUBLE
    _say(net.export_training(folder, data=datasets, opset=how["opset"], double=double, on_warning=lambda d: say([d])), how["as_json"])


def _say(proof: Proof | TrainingProof, as_json: bool) -> None:
    click.echo(dumps({**asdict(proof), "path": str(proof.path)}, indent=2) if as_json else proof.sentence)
