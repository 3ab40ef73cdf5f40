"""`nnspec compile`: the stages of a spec as text, and its network before training."""

from __future__ import annotations

from collections.abc import Callable

import click

from nnspec.cli.options import JSON, SET, SIZES, compilation, options, sizes_from, written
from nnspec.diagnostics import visible
from nnspec.net import Net
from nnspec.strict_json import dumps

STAGES = ("ast", "graph", "step", "plan")


@click.command(name="compile")
@click.argument("file", metavar="F")
@options(SET, JSON, SIZES)
@click.option("--stage", type=click.Choice(STAGES), help="Print this stage.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="F.onnx", help="Write the freshly initialised network.")
def compile_(file: str, pairs: tuple[str, ...], as_json: bool, lengths: tuple[str, ...], stage: str | None, output: str | None) -> None:
    """Compile a spec; print its summary, a stage, or write an ONNX file."""
    from nnspec.planning import StepPlan, memory_of, step_plan
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
        found = stages[stage]()
        if as_json:
            click.echo(dumps(found.as_json() if isinstance(found, StepPlan) else {"stage": stage, "text": str(found)}, indent=2))
        else:
            click.echo("\n".join(map(visible, str(found).split("\n"))))
    elif as_json:
        click.echo(dumps(describe(spec) | memory_of(spec, sizes_from(lengths)), indent=2))
    else:
        click.echo(summary(spec))
    if output:
        click.echo(Net(spec).export(written(output, ".onnx", file)).sentence, err=True)
