"""The learning rate of each step, by the formula of the train block."""

from __future__ import annotations

import numpy as np

from nnspec.compile import Compilation
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.training import learning_rate
from nnspec.elaborate.update import SCHEDULE_NAMES, schedule_graph
from nnspec.graph import Graph
from nnspec.run.program import Program


def base_rate(spec: Compilation) -> float:
    """The learning rate of the train block's optimizer, before any schedule."""
    training = spec.training
    assert training and training.optimizer
    return learning_rate(training.optimizer, Elaborator(Graph("lr"), spec.definitions, training=True))


class LearningRate:
    """`rate(epoch, step)`: both counted from 0."""

    def __init__(self, spec: Compilation, epochs: int, steps: int) -> None:
        training, self.base = spec.training, base_rate(spec)
        assert training
        self.memory = {n: np.zeros(()) for n in SCHEDULE_NAMES}
        totals = {"lr": self.base, "epochs": epochs, "steps": steps}
        for name, value in totals.items():
            self.memory[name][...] = value
        self.program = Program(schedule_graph(spec.definitions, training.schedule), {}, self.memory) if training.schedule else None

    def __call__(self, epoch: int, step: int) -> float:
        if self.program is None:
            return self.base
        self.memory["epoch"][...], self.memory["step"][...] = epoch, step
        self.program.run()
        return float(self.program.output("lr"))
