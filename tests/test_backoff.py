"""Threads of products stand back while they are in each other's way, as a clock that only the steps move on shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import nnspec
from nnspec.blas import Call
from nnspec.run import backoff
from nnspec.run.backoff import LONGEST, SHORTEST, Backoff
from nnspec.run.engine import Engine

ALONE, COLLAPSED, PROBE = 0.004, 0.2, 0.001


class Machine:
    """Steps take a time by how many threads they have and whether a neighbour is there, and nothing else takes any."""

    def __init__(self, most: int, stand_apart: int = 1) -> None:
        self.now, self.threads, self.most, self.stand_apart = 0.0, 0, most, stand_apart
        self.neighbour, self.seen = False, True
        self.steps: Counter[int] = Counter()

    def clock(self) -> float:
        return self.now

    def use(self, number: int) -> None:
        self.threads = number

    def help(self, number: int, side: int) -> bool:
        self.now += PROBE
        return not (self.neighbour and self.seen)

    def step(self) -> None:
        self.steps[self.threads] += 1
        self.now += COLLAPSED if self.neighbour and self.threads > self.stand_apart else ALONE / self.threads

    def run(self, program: Callable[[Call], None], seconds: float) -> Counter[int]:
        """How many steps were done with how many threads."""
        self.steps, end = Counter(), self.now + seconds
        while self.now < end:
            program(self.step)
        return self.steps


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Backoff:
    monkeypatch.setattr(backoff, "perf_counter", machine.clock)
    monkeypatch.setattr(backoff, "use_threads", machine.use)
    monkeypatch.setattr(backoff, "threads_help", machine.help)
    return Backoff(machine.most, 100, ALONE)


def test_on_a_machine_of_its_own_all_threads_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    assert [*machine.run(on(machine, monkeypatch).run, 10)] == [2]


def test_a_step_that_is_interrupted_now_and_then_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    program = on(machine, monkeypatch)
    for _ in range(100):
        machine.run(program.run, 0.1)
        program.run(lambda: setattr(machine, "now", machine.now + 0.01))
    assert machine.threads == 2


def test_threads_that_collapse_stand_back_and_come_back_once_the_neighbour_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    program = on(machine, monkeypatch)
    machine.run(program.run, 1)
    machine.neighbour = True
    assert machine.run(program.run, 1)[2] == 1
    machine.neighbour = False
    machine.run(program.run, 2)
    assert [*machine.run(program.run, 1)] == [2]


@pytest.mark.parametrize("seen", [True, False], ids=["probe sees it", "probe sees nothing"])
@pytest.mark.parametrize("idle", [0.0, 2.0])
def test_a_neighbour_that_stays_costs_little_more_than_one_thread_alone(idle: float, seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, steps = Machine(2), Counter[int]()
    program = on(machine, monkeypatch)
    machine.neighbour, machine.seen = True, seen
    machine.run(program.run, 60)
    for _ in range(300):
        machine.now += idle
        steps += machine.run(program.run, 1)
    assert steps.total() * ALONE > 0.94 * 300
    assert steps[2] <= (0 if seen else 300 * (1 + idle) / LONGEST)


def test_threads_that_did_not_help_at_first_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    program = on(machine, monkeypatch)
    machine.neighbour = True
    assert [*machine.run(program.run, SHORTEST / 2)] == [1]
    machine.neighbour = False
    machine.run(program.run, SHORTEST)
    assert [*machine.run(program.run, 1)] == [2]


def test_the_longer_a_step_that_collapsed_the_longer_the_threads_stand_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    program = on(machine, monkeypatch)
    machine.run(program.run, 1)
    waits = []
    for seconds in (0.1, 1.0, 100.0):
        machine.now = max(machine.now, program.due)
        machine.run(program.run, 200)
        program.run(lambda seconds=seconds: setattr(machine, "now", machine.now + seconds))  # type: ignore[misc]
        waits.append(program.due - machine.now)
    assert SHORTEST < waits[0] < waits[1] < waits[2] == LONGEST


@pytest.mark.parametrize(("stand_apart", "left"), [(8, 8), (5, 4), (1, 1)])
def test_of_many_threads_half_stay_as_long_as_that_is_enough(stand_apart: int, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(16, stand_apart)
    program = on(machine, monkeypatch)
    machine.run(program.run, 1)
    machine.neighbour = True
    machine.run(program.run, 1)
    assert machine.threads == left


def test_steps_that_become_slower_by_themselves_keep_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2)
    program = on(machine, monkeypatch)
    machine.run(program.run, 1)
    slower = lambda: setattr(machine, "now", machine.now + 10 * ALONE / machine.threads)  # noqa: E731
    for _ in range(1000):
        program.run(slower)
    assert machine.threads == 2


SPEC = """
model M {
  input  x: [784]
  target y: class(10)
  output z = x -> dense(500) -> relu -> dense(10)
  loss   cross_entropy(z, y)
}
train { epochs 1  batch 128  optimizer sgd(lr = 0.01) }
"""


@pytest.mark.parametrize(("asked", "numbers"), [(2, {2}), (None, {1, 2})])
def test_a_number_of_threads_that_is_asked_for_stays(asked: int | None, numbers: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[int] = set()
    monkeypatch.setattr(backoff, "use_threads", used.add)
    monkeypatch.setattr(backoff, "threads_help", lambda *_: True)
    monkeypatch.setattr(backoff, "PATIENCE", -1.0)  # every step is late
    monkeypatch.setattr("nnspec.run.engine.cores", lambda: 2)
    engine = Engine(nnspec.loads(SPEC).spec, "numpy", asked)
    engine.initialise(0)
    batch = {"x": np.ones((128, 784), "float32"), "y": np.zeros(128, "int64")}
    for _ in range(3):
        engine.step(batch, 0.01)
    assert used == numbers
