"""`nnspec train`, and `nnspec eval`, which scores what was trained."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nnspec.cli.failure import exit_code
from nnspec.cli.options import DATA, IMPORT, JSON, SET, SET_ONNX, compilation, options, say, trained
from nnspec.diagnostics import fault
from nnspec.elaborate.training import MAX_SEED
from nnspec.net import DEVICES, ENGINES
from nnspec.strict_json import dumps


@click.command()
@click.argument("file", metavar="F|RUN")
@options(DATA, SET, JSON)
@click.option("--epochs", type=click.IntRange(1), help="Of every train block, instead of the spec's epochs or steps.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="Instead of the spec's.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="What computes: the fastest (auto, the default), or one by name; `ort` is onnxruntime.",
)
@click.option("--device", type=click.Choice(DEVICES), help="Where `ort` computes: on the processor (cpu, the default) or not.")
@click.option("--threads", type=click.IntRange(1), help="A fixed number, with which a run is the same to the last bit.")
@click.option("--run", type=click.Path(file_okay=False), metavar="DIR", help="The run directory (default: runs/NAME-N).")
@click.option("--resume", is_flag=True, help="Go on with the run begun last, or that of --run; F may also be a run itself.")
def train(
    file: str,
    data: str | None,
    pairs: tuple[str, ...],
    as_json: bool,
    epochs: int | None,
    seed: int | None,
    engine: str | None,
    device: str | None,
    threads: int | None,
    run: str | None,
    resume: bool,
) -> None:
    """Train a spec on its data; write weights, metrics, a loss curve and a verified model.onnx.

    `train F --resume` goes on with the run of F begun last, `train RUN --resume` with this run.
    """
    from nnspec.cli.running import Wishes, interrupted, report, taken_up, train_run
    from nnspec.train.interrupt import Interrupted

    changes = ({} if epochs is None else {"epochs": epochs, "steps": None}) | ({} if seed is None else {"seed": seed})
    wishes = Wishes(data, engine, device, threads, changes)
    begun = taken_up(file, pairs, run, wishes) if resume else (compilation(file, pairs), Path(run) if run else None, wishes)
    spec, folder, wishes = begun
    if spec.given:
        raise fault("E525", f"`{file}` is an ONNX model, and a run directory holds a spec", help=IMPORT.format(file))
    if wishes.device not in (None, "cpu") and wishes.engine != "ort":
        raise click.UsageError(f"--device {device} needs --engine ort")
    if spec.checked().warnings:
        say(spec.warnings)
    try:
        result, refused = train_run(spec, Path(file).stem, wishes, folder, resume=resume)
    except Interrupted as stop:
        interrupted(stop, as_json=as_json)
    click.echo(dumps(result, indent=2) if as_json else report(result))
    if refused:
        say(refused)
        sys.exit(exit_code(refused))


@click.command(name="eval")
@click.argument("run", metavar="RUN|M.onnx")
@options(DATA, SET_ONNX, JSON)
def eval_(run: str, data: str | None, pairs: tuple[str, ...], as_json: bool) -> None:
    """Loss and metrics of a trained run, on its test data or on other data; of an ONNX model those that `--set` says."""
    from nnspec.cli.judging import held_out, metrics_text, needs_measure
    from nnspec.train.epoch import as_lists

    net = trained(run, pairs)
    needs_measure(net, run)
    part, fields = held_out(net, data, net.spec.model.ports)
    metrics = net.evaluate(fields)
    click.echo(dumps({"part": part, **as_lists(metrics)}, indent=2) if as_json else metrics_text(part, metrics))
