"""The learning rate of each step, by the formula of the train block."""

from __future__ import annotations

from collections.abc import Mapping
from math import copysign, inf
from typing import Any

import numpy as np

from nnspec.compile import Compilation
from nnspec.diagnostics import fault
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.update import learning_rate, read_by, schedule_graph
from nnspec.elaborate.values import SCHEDULE_NAMES
from nnspec.graph import Graph
from nnspec.run.program import Program


def base_rate(spec: Compilation, stage: int) -> float:
    """The learning rate of a train block's optimizer, before any schedule."""
    optimizer = spec.trainings[stage].optimizer
    assert optimizer
    rate = learning_rate(optimizer, Elaborator(Graph("lr"), spec.definitions, training=True))
    if abs(rate) > float(np.finfo(spec.dtype).max):
        message = f"the learning rate is larger than any number of {spec.dtype}"
        raise fault("E106", message, optimizer.spans.get("lr", optimizer.span), help="write for example `lr = 1e-3`")
    return rate


def follows_length(spec: Compilation) -> bool:
    """Whether the learning rate of a train block hangs on how many epochs or steps there are."""
    return any(read_by(spec.definitions, t.schedule) & {"epochs", "steps"} for t in spec.trainings if t.schedule)


LEAST_PROGRESS = 1e-4  # as a share of the best loss
LEARNT = ("rate", "stale")


class LearningRate:
    """`rate(epoch, step)`: both counted from 0; `watch(loss)` is told how each epoch went."""

    def __init__(self, spec: Compilation, epochs: int, steps: int, stage: int = 0) -> None:
        schedule, self.base = spec.trainings[stage].schedule, base_rate(spec, stage)
        self.best: float | None = None
        self.most = float(np.finfo(spec.dtype).max)
        self.memory = {n: np.zeros(()) for n in SCHEDULE_NAMES}
        start = {"lr": self.base, "rate": self.base, "epochs": epochs, "steps": steps}
        for name, value in start.items():
            self.memory[name][...] = value
        self.program = Program(schedule_graph(spec.definitions, schedule), {}, self.memory) if schedule else None

    def remembered(self) -> dict[str, Any]:
        """What `rate` and `watch` have learnt so far."""
        return {"best": self.best, **{n: float(self.memory[n]) for n in LEARNT}}

    def remember(self, learnt: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best = learnt["best"]
        for name in LEARNT:
            self.memory[name][...] = learnt[name]

    def __call__(self, epoch: int, step: int) -> float:
        if self.program is None:
            return self.base
        self.memory["epoch"][...], self.memory["step"][...] = epoch, step
        self.program.run()
        rate = float(self.program.output("lr"))
        if abs(rate) > self.most:
            rate = copysign(inf, rate)
        if rate != self.memory["rate"]:
            self.memory["stale"][...] = 0
        self.memory["rate"][...] = rate
        return rate

    def watch(self, loss: float) -> None:
        """Count the epochs since the loss was best, or since the rate changed, whichever is shorter ago."""
        if self.best is None or loss < self.best - LEAST_PROGRESS * abs(self.best):
            self.best = loss
            self.memory["stale"][...] = 0
        else:
            self.memory["stale"] += 1
