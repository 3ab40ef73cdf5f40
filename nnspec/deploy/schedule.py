"""The learning rate of an exported training as a graph that keeps count of the steps, and of how the epochs went."""

from __future__ import annotations

import numpy as np

from nnspec.compile import Compilation
from nnspec.deploy.step import NEXT
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import schedule_graph
from nnspec.graph import Graph, Type, Var
from nnspec.ops import OPS
from nnspec.train.schedule import LEAST_PROGRESS, base_rate

PREFIX = "schedule:"
AN_EPOCH = f"{PREFIX}an_epoch"
"""How many steps make an epoch: whoever trains says so, and after each says the mean of its losses, `schedule:loss`."""
NO_LOSS = float(np.finfo(np.float64).max)


def first_counts(spec: Compilation, stage: int) -> dict[str, float]:
    """What a schedule counts, as it is before the first step of a train block."""
    counts = {"step": 0.0, "rate": base_rate(spec, stage), "stale": 0.0, "best": NO_LOSS, "loss": 0.0}
    return {f"{PREFIX}{name}": number for name, number in counts.items()}


def rates(spec: Compilation, stage: int, name: str) -> Graph:
    """From the counts, in float64, to those after a step, `next:NAME`; the rate of the step is `next:` with the name it has there."""
    graph = Graph("schedule", "float64")
    known = {n: _count(graph, n) for n in (*first_counts(spec, stage), AN_EPOCH)}
    step, before, stale, best, loss, an_epoch = known.values()
    epoch = OPS["floor"](step / an_epoch)
    began = OPS["logical_and"](OPS["equal"](epoch * an_epoch, step), OPS["greater"](step, 0.0))
    better = OPS["logical_and"](began, OPS["less"](loss, best - LEAST_PROGRESS * OPS["abs"](best)))
    stale = OPS["where"](better, 0.0, OPS["where"](began, stale + 1.0, stale))
    rate = _rate(graph, spec, stage, {"epoch": epoch, "step": step, "rate": before, "stale": stale}, an_epoch)
    after = {
        f"{PREFIX}step": step + 1.0,
        f"{PREFIX}rate": rate,
        f"{PREFIX}stale": OPS["where"](OPS["equal"](rate, before), stale, 0.0),
        f"{PREFIX}best": OPS["where"](better, loss, best),
        name: OPS["cast"](rate, dtype=spec.dtype),
    }
    return graph.only({f"{NEXT}{n}": value.name for n, value in after.items()})


def is_watchful(spec: Compilation, stage: int) -> bool:
    """Whether the schedule of a train block asks how the epochs went."""
    schedule = spec.trainings[stage].schedule
    if schedule is None:
        return False
    graph = schedule_graph(spec.definitions, schedule)
    return "stale" in graph.needed(graph.outputs.values())


def _count(graph: Graph, name: str) -> Var:
    return graph.source(OPS["input"], name, Type("float64"))


def _rate(graph: Graph, spec: Compilation, stage: int, now: dict[str, Var], an_epoch: Var) -> Var:
    training, base = spec.trainings[stage], graph.constant(base_rate(spec, stage))
    if training.schedule is None:
        return base
    formula = schedule_graph(spec.definitions, training.schedule)
    values = {"lr": base, **now, **_length(graph, training, an_epoch)}
    moved = graph.insert(formula, formula.outputs.values(), {n: v.name for n, v in values.items()})
    return graph.var(moved[formula.outputs["lr"]])


def _length(graph: Graph, training: Training, an_epoch: Var) -> dict[str, Var]:
    """The epochs and steps of a training, of which one follows from the other where it is not said."""
    steps = graph.constant(float(training.steps)) if training.steps else an_epoch * float(training.epochs or 1)
    return {"epochs": graph.constant(float(training.epochs)) if training.epochs else OPS["ceil"](steps / an_epoch), "steps": steps}
