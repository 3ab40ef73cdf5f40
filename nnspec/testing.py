"""`test` blocks, run in float64 by the reference engine: each on a network with the initial weights of seed 0."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.tests import Condition, Given, Steps, Test
from nnspec.elaborate.update import optimizer_states
from nnspec.elaborate.values import Applied
from nnspec.graph import Graph
from nnspec.optimization import LR, Optimization, T
from nnspec.record import dataclass
from nnspec.rewrite import AFTER_GRADIENTS, BEFORE_GRADIENTS, rewrite
from nnspec.run import reference
from nnspec.run.engine import first_values

DTYPE = "float64"


@dataclass(frozen=True)
class Failure:
    """A condition that does not hold: where it is written, the first element where it fails and, of a comparison, its sides there."""

    span: Span
    at: tuple[int, ...]
    sides: tuple[float, ...]

    def __str__(self) -> str:
        if not self.sides:
            return "this is false"
        where = f" at [{', '.join(map(str, self.at))}]" if self.at else ""
        found, expected = self.sides
        return f"found {found:.12g}{where}, expected {expected:.12g}"


@dataclass(frozen=True)
class Outcome:
    """What became of one test."""

    test: Test
    failures: tuple[Failure, ...]


def run_tests(spec: Compilation) -> list[Outcome]:
    """The outcome of every test of a spec."""
    spec = replace(spec, dtype=DTYPE).checked()
    names = dict.fromkeys(b.model.id for b in spec.test_blocks)
    outcomes = [outcome for name in names for outcome in _outcomes(spec.of(name))]
    return sorted(outcomes, key=lambda o: o.test.block.span.start)


def _outcomes(spec: Compilation) -> list[Outcome]:
    """Those of the tests of one model."""
    tests = spec.tests[0]
    questions = rewrite(tests.model.graph, *BEFORE_GRADIENTS)
    weights = first_values(spec, 0)
    return [Outcome(t, tuple(_Network(spec, questions, weights).failures(t))) for t in tests.tests]


@dataclass
class _Network:
    """The network of one test: its weights and the given example, on their way through the statements."""

    spec: Compilation
    questions: Graph
    weights: dict[str, Array]
    example: dict[str, Array] = field(default_factory=dict)
    memory: dict[str, Array] = field(default_factory=dict)
    optimizer: Applied | None = None
    steps_done: int = 0

    def failures(self, test: Test) -> list[Failure]:
        failed = []
        for action in test.actions:
            match action:
                case Given():
                    self.give(action)
                case Steps():
                    self.take(action)
                case Condition():
                    failed += self.check(action)
        return failed

    def feeds(self) -> dict[str, Any]:
        return {**self.weights, **self.example, **self.memory, SEED: 0, STEP: self.steps_done}

    def give(self, given: Given) -> None:
        ports = self.spec.model.ports
        for name, value in given.values.items():
            if name in ports:
                self.example = {**self.example, name: np.asarray([value], ports[name].dtype)}
            else:
                self.weights = {**self.weights, name: np.asarray(value, DTYPE)}

    def take(self, steps: Steps) -> None:
        """The optimizer's states go on from an earlier `steps` with the same optimizer, and start anew with another."""
        if not self.optimizer or not _same(self.optimizer, steps.optimizer):
            self.optimizer, self.steps_done = steps.optimizer, 0
            self.memory = {
                f"{n}.{s}": np.full(t.numbers, start)
                for n, t in self.spec.parameter_types.items()
                for s, start in optimizer_states(steps.optimizer).items()
            }
        graph = self.step_graph(steps.optimizer)
        for _ in range(steps.count):
            new = reference.run(graph, {**self.feeds(), LR: steps.rate, T: self.steps_done + 1})
            self.weights = self.weights | _of(new, "param:") | _of(new, "state:")
            self.memory = self.memory | _of(new, "opt:")
            self.steps_done += 1

    def step_graph(self, optimizer: Applied) -> Graph:
        added = Optimization(self.spec.definitions, optimizer).added(self.spec.gradients, self.spec.parameter_types)
        return rewrite(added, *AFTER_GRADIENTS)

    def check(self, condition: Condition) -> list[Failure]:
        tensors = (condition.holds, *condition.sides)
        answers = reference.run(self.questions, self.feeds(), {t.var.name for t in tensors})
        holds, *sides = (answers[t.var.name][0] if t.batched else answers[t.var.name] for t in tensors)
        if holds.all():
            return []
        first = tuple(int(i) for i in np.argwhere(~holds)[0])
        return [Failure(condition.written.span, first, tuple(float(np.broadcast_to(s, holds.shape)[first]) for s in sides))]


def _of(new: dict[str, Array], kind: str) -> dict[str, Array]:
    return {n.removeprefix(kind): v for n, v in new.items() if n.startswith(kind)}


def _same(a: Applied, b: Applied) -> bool:
    return a.function is b.function and a.arguments == b.arguments
