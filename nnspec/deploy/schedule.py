"""The learning rate of an exported training as graphs that keep count of the steps, and of how the epochs went."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce

import numpy as np

from nnspec.compile import Compilation
from nnspec.deploy.step import NEXT
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import schedule_graph
from nnspec.graph import Graph, Type, Var
from nnspec.ops import OPS
from nnspec.train.schedule import LEAST_PROGRESS, base_rate

PREFIX = "schedule:"
EXAMPLES, EPOCH_END = f"{PREFIX}examples", f"{PREFIX}epoch_end"
"""How many examples there are, and the number that comes after that of a train block's last epoch."""
NO_LOSS = float(np.finfo(np.float64).max)
COUNTED, KNOWN = ("step", "rate", "stale", "best", "loss", "seen", "left"), ("an_epoch", "examples")
"""What every step changes, and what stays as it is."""


def first_counts(graph: Graph, spec: Compilation, stage: int, name: str, *, epoch: Var) -> dict[str, Var]:
    """What a schedule goes by before the first step of a train block that begins with this epoch; `name` is the rate of that step."""
    training, number = spec.trainings[stage], partial(graph.constant, dtype="float64")
    an_epoch = OPS["ceil"](count(graph, EXAMPLES) / float(training.batch))
    left = _steps(training, an_epoch)
    zero, base = number(0.0), number(base_rate(spec, stage))
    rate = _rate(graph, spec, stage, {"epoch": zero, "step": zero, "rate": base, "stale": zero}, an_epoch)
    counts = dict(zip(COUNTED, (zero, rate, zero, number(NO_LOSS), zero, zero, left), strict=True))
    block = {"an_epoch": an_epoch, "epoch": epoch, "epoch_end": epoch + OPS["ceil"](left / an_epoch)}
    return {f"{PREFIX}{n}": v for n, v in (counts | block).items()} | {name: OPS["cast"](rate, dtype=spec.dtype)}


def rates(spec: Compilation, stage: int, name: str, loss: str) -> Graph:
    """From the counts before a step and its loss to those after it, `next:NAME`; `next:` with the name of the rate is that of the next.

    `schedule:loss` is the mean over the examples that the epoch has seen so far.
    """
    graph = Graph("schedule", "float64")
    step, before, stale, best, mean, seen, left, an_epoch, examples = (count(graph, f"{PREFIX}{n}") for n in (*COUNTED, *KNOWN))
    told = OPS["cast"](graph.source(OPS["input"], loss, Type(spec.dtype)), dtype="float64")
    batch = float(spec.trainings[stage].batch)
    place = step - OPS["floor"](step / an_epoch) * an_epoch
    rows = OPS["minimum"](examples - place * batch, batch)
    seen = OPS["where"](OPS["equal"](place, 0.0), 0.0, seen)
    mean = (mean * seen + told * rows) / (seen + rows)
    ended = OPS["equal"](place + 1.0, an_epoch)
    better = OPS["logical_and"](ended, OPS["less"](mean, best - LEAST_PROGRESS * OPS["abs"](best)))
    stale = OPS["where"](better, 0.0, OPS["where"](ended, stale + 1.0, stale))
    done = step + 1.0
    rate = _rate(graph, spec, stage, {"epoch": OPS["floor"](done / an_epoch), "step": done, "rate": before, "stale": stale}, an_epoch)
    stale = OPS["where"](OPS["equal"](rate, before), stale, 0.0)
    values = (done, rate, stale, OPS["where"](better, mean, best), mean, seen + rows, left - 1.0)
    after = {f"{PREFIX}{n}": v for n, v in zip(COUNTED, values, strict=True)} | {name: OPS["cast"](rate, dtype=spec.dtype)}
    return graph.only({f"{NEXT}{n}": value.name for n, value in after.items()})


def is_watchful(spec: Compilation, stage: int) -> bool:
    """Whether the schedule of a train block asks how the epochs went."""
    schedule = spec.trainings[stage].schedule
    if schedule is None:
        return False
    graph = schedule_graph(spec.definitions, schedule)
    return "stale" in graph.needed(graph.outputs.values())


def count(graph: Graph, name: str) -> Var:
    """One of the numbers that a schedule goes by."""
    return graph.source(OPS["input"], name, Type("float64"))


def _rate(graph: Graph, spec: Compilation, stage: int, now: dict[str, Var], an_epoch: Var) -> Var:
    training, base = spec.trainings[stage], graph.constant(base_rate(spec, stage), "float64")
    if training.schedule is None:
        return base
    formula = schedule_graph(spec.definitions, training.schedule)
    values = {"lr": base, **now, **_length(training, an_epoch)}
    moved = graph.insert(formula, formula.outputs.values(), {n: v.name for n, v in values.items()})
    return graph.var(moved[formula.outputs["lr"]])


def _length(training: Training, an_epoch: Var) -> dict[str, Var]:
    """The epochs and steps of a train block, by its epochs or steps, whichever ends first."""
    steps = _steps(training, an_epoch)
    return {"epochs": OPS["ceil"](steps / an_epoch), "steps": steps}


def _steps(training: Training, an_epoch: Var) -> Var:
    return reduce(OPS["minimum"], _ends(training, an_epoch))


def _ends(training: Training, an_epoch: Var) -> Iterator[Var]:
    """After how many steps a train block ends, by its steps and by its epochs."""
    if training.steps:
        yield an_epoch.graph.constant(float(training.steps), "float64")
    if training.epochs:
        yield an_epoch * float(training.epochs)
