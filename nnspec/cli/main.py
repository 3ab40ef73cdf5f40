"""`nnspec COMMAND`: results to stdout, diagnostics and progress to stderr.

Exit codes: 0 fine, 1 the spec or data is wrong, 2 usage, 3 out of resources, 128 + N stopped by signal N (Ctrl-C: 130).
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from nnspec.cli import failure, library
from nnspec.cli.bench import bench
from nnspec.cli.check import check, explain
from nnspec.cli.derive import derive
from nnspec.cli.diff import diff
from nnspec.cli.export import export
from nnspec.cli.fmt import fmt
from nnspec.cli.graph import graph
from nnspec.cli.importing import import_
from nnspec.cli.lsp import lsp
from nnspec.cli.options import DATA, IMPORT, JSON, LIMIT, SET, SIZES, compilation, options, say, sizes_from, trained, written
from nnspec.cli.predict import predict
from nnspec.cli.templates import templates
from nnspec.cli.trace import trace
from nnspec.diagnostics import fault
from nnspec.elaborate.training import MAX_SEED
from nnspec.net import DEVICES, ENGINES, Net
from nnspec.version import VERSION

STAGES = ("ast", "graph", "step", "plan")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="nnspec")
def cli() -> None:
    """Neural networks written as formulas: checked before they run, trained, and deployed.

    F is a .nn file, a name of the gallery such as `digits`, - for stdin, or an ONNX model M.onnx, of which `--set target=..`, `loss`,
    `metric`, `train` and `constants` say what is to be learnt.
    """


def main() -> None:
    """The console script."""
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    failure.run(lambda: cli(standalone_mode=False))


@cli.command(name="compile")
@click.argument("file", metavar="F")
@options(SET, JSON, SIZES)
@click.option("--stage", type=click.Choice(STAGES), help="Print this stage as text.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="F.onnx", help="Write the freshly initialised network.")
def compile_(file: str, pairs: tuple[str, ...], as_json: bool, lengths: tuple[str, ...], stage: str | None, output: str | None) -> None:
    """Compile a spec; print its summary, a stage, or write an ONNX file."""
    from nnspec.planning import memory_of, step_plan
    from nnspec.summary import describe, summary

    spec = compilation(file, pairs).checked()
    if stage:
        from nnspec.syntax.dump import dump

        stages: dict[str, Callable[[], object]] = {
            "ast": lambda: dump(spec.ast),
            "graph": lambda: spec.inference,
            "step": lambda: "\n\n".join(str(phase.step) for stage in spec.stages for phase in stage) or spec.step,
            "plan": lambda: step_plan(spec, sizes_from(lengths)),
        }
        click.echo(str(stages[stage]()))
    elif as_json:
        click.echo(json.dumps(describe(spec) | memory_of(spec, sizes_from(lengths)), indent=2))
    else:
        click.echo(summary(spec))
    if output:
        click.echo(Net(spec).export(written(output, ".onnx", file)).sentence, err=True)


@cli.command()
@click.argument("file", metavar="F|RUN")
@options(DATA, SET, JSON)
@click.option("--epochs", type=click.IntRange(1), help="Of every train block, instead of the spec's.")
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
    from nnspec.cli.train import Wishes, interrupted, report, taken_up, train_run
    from nnspec.train.interrupt import Interrupted

    changes = {k: v for k, v in {"epochs": epochs, "seed": seed}.items() if v is not None}
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
        result = train_run(spec, Path(file).stem, wishes, folder, resume=resume)
    except Interrupted as stop:
        interrupted(stop)
    click.echo(json.dumps(result, indent=2) if as_json else report(result))


@cli.command(name="eval")
@click.argument("run", metavar="RUN|M.onnx")
@options(DATA, SET, JSON)
def eval_(run: str, data: str | None, pairs: tuple[str, ...], as_json: bool) -> None:
    """Loss and metrics of a trained run, on its test data or on other data; of an ONNX model those that `--set` says."""
    from nnspec.cli.train import held_out, metrics_text
    from nnspec.train.epoch import as_lists

    net = trained(run, pairs)
    if not net.spec.model.losses and not net.spec.model.metrics:
        raise fault(
            "E110", f"`{run}` has neither a loss nor a metric", help="an ONNX model is given them by `--set loss=..`, `--set metric=..`"
        )
    part, fields = held_out(net, data, {**net.inputs, **net.targets})
    metrics = net.evaluate(fields)
    click.echo(json.dumps({"part": part, **as_lists(metrics)}, indent=2) if as_json else metrics_text(part, metrics))


@cli.command()
@click.argument("file", metavar="F")
@options(SET, JSON)
def gradcheck(file: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Compare every parameter's gradient with finite differences in float64."""
    from dataclasses import asdict

    from nnspec.gradcheck import RTOL
    from nnspec.gradcheck import gradcheck as run_check

    results = run_check(compilation(file, pairs).checked())
    if as_json:
        click.echo(json.dumps([asdict(r) | {"passed": r.passed} for r in results], indent=2))
    else:
        width = max((len(r.parameter) for r in results), default=1)
        for r in results:
            verdict = "ok" if r.passed else f"WRONG (at most {RTOL:g} is right)"
            click.echo(f"{r.parameter:<{width}}  {r.directions:>4} directions  error {r.error:.1e}  {verdict}")
    if not all(r.passed for r in results):
        sys.exit(1)


for command in (
    bench, check, derive, diff, explain, export, fmt, graph, import_, lsp, predict, templates, trace,
    library.doc, library.new, library.test,
):  # fmt: skip
    cli.add_command(command)
for command in cli.commands.values():
    command.params.append(LIMIT)
