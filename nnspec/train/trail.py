"""The steps since the weights were last copied, so that one that went wrong can be taken again and looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from math import isfinite

import numpy as np

from nnspec.array import Array
from nnspec.record import dataclass
from nnspec.run.batches import Rows
from nnspec.run.engine import Engine

Batch = Mapping[str, Array]
SECONDS, MOST_BYTES = 5.0, 1 << 25
"""When a new copy is made: after that time, or when the batches that are kept, other than rows of the data, take so much memory."""


@dataclass(frozen=True)
class Moment:
    """A step that went wrong, with its rate and all arrays before it; `back` counts the steps that were taken after it.

    It draws as the step `draw`, and is the optimizer's `number`-th, from 1.
    """

    stage: int
    seed: int
    draw: int
    number: int
    batch: Batch
    arrays: Mapping[str, Array]
    lr: float
    losses: tuple[float, ...]
    back: int


@dataclass
class Trail:
    """`add` is told of every step before it is taken."""

    engine: Engine
    arrays: dict[str, Array] = field(default_factory=dict)
    at: tuple[int, int, int, int] = (0, 0, 0, 0)
    steps: list[tuple[Batch, float]] = field(default_factory=list)
    _bytes: int = 0
    _due: float = 0.0

    def add(self, batch: Batch, lr: float) -> None:
        if self._bytes > MOST_BYTES or time.perf_counter() > self._due:
            self._copy()
        self.steps.append((batch, lr))
        if not isinstance(batch, Rows):
            self._bytes += sum(v.nbytes for v in batch.values())

    def _copy(self) -> None:
        """Begin anew with the weights of now, unless something is wrong with them already."""
        engine, now = self.engine, self.engine.all_arrays()
        self._due = time.perf_counter() + SECONDS
        if self.arrays and not all_finite(engine.params):
            return
        if now.keys() != self.arrays.keys():
            self.arrays = {n: np.empty_like(v) for n, v in now.items()}
        for name, value in now.items():
            np.copyto(self.arrays[name], value)
        self.at = engine.stage, engine.stage_start, int(engine.steps_done), int(engine.seed)
        self._bytes = 0
        self.steps.clear()

    def wrong(self) -> Moment | None:
        """The first step that gave a loss or weights that are no finite numbers, found by taking all of them again."""
        engine = Engine(self.engine.spec, self.engine.name, self.engine.threads or None, self.engine.device)
        engine.resume(*self.at)
        engine.put(self.arrays)
        losses: list[float] = []
        for number, (batch, lr) in enumerate(self.steps, 1):
            before = engine.copies()
            losses.append(engine.step(batch, lr))
            if not (isfinite(losses[-1]) and all_finite(engine.params)):
                draw = int(engine.steps_done) - 1
                at = draw, draw + 1 - engine.stage_start
                return Moment(engine.stage, int(engine.seed), *at, batch, before, lr, tuple(losses), len(self.steps) - number)
        return None


def all_finite(arrays: Mapping[str, Array]) -> bool:
    return all(np.isfinite(v).all() for v in arrays.values())
