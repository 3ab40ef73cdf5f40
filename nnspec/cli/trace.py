"""`nnspec trace`: one step of training as a table of numbers."""

from __future__ import annotations

from shutil import get_terminal_size

import click

from nnspec.cli.options import DATA, JSON, SET, compilation, options
from nnspec.diagnostics import fault
from nnspec.net import Net
from nnspec.strict_json import dumps

WIDTH = (120, 24)
"""Columns and lines where there is no terminal."""


@click.command()
@click.argument("file", metavar="F")
@options(DATA, SET, JSON)
@click.option("--examples", type=click.IntRange(1), default=1, show_default=True, help="How many examples of the data, from its start.")
def trace(file: str, data: str | None, pairs: tuple[str, ...], as_json: bool, examples: int) -> None:
    """Show a training step in numbers: values, errors, derivatives and the weights after it, from the initial weights in float64."""
    from nnspec.derivation.trace import conditions, table
    from nnspec.derivation.trace import trace as run_trace
    from nnspec.train.loop import length
    from nnspec.train.schedule import LearningRate

    spec = compilation(file, pairs, dtype="float64").checked()
    spec.model.needs_loss("there is no step to trace")
    if not spec.trainings:
        raise fault("E110", f"the model `{spec.model.name}` has no train block, so there is no step to trace", spec.model.span)
    training, dataset = spec.trainings[0], Net(spec, "reference").datasets(data)[0].as_arrays()
    fields, run = {n: v[:examples] for n, v in dataset.train.items()}, length(training, dataset)
    rate = LearningRate(spec, run.epochs, run.steps)(0, 0)
    lines = run_trace(spec, fields, rate, dataset.train)
    if as_json:
        rows = [{"phase": x.phase, "part": x.part, "name": x.name, "formula": x.formula, "value": x.value.tolist()} for x in lines]
        click.echo(dumps(rows, indent=2, ensure_ascii=False))
    else:
        number = len(next(iter(fields.values())))
        assert training.optimizer  # a train block without one is refused
        title = f"{spec.model.name}: a step on {number} example{'s' * (number > 1)} by {training.optimizer.span.one_line}"
        click.echo(table("\n".join([title, *conditions(training, rate)]), lines, get_terminal_size(WIDTH).columns))
