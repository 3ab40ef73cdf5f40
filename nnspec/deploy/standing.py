"""Where a training stands, as an exported one goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import numpy as np

from nnspec.array import Array
from nnspec.deploy.beginning import memory_of
from nnspec.deploy.step import BEGUN
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.record import dataclass
from nnspec.run.engine import Engine
from nnspec.train.stages import saved


@dataclass(frozen=True)
class Standing:
    """In which train block a training is, and all that its steps take besides batch and rate.

    `starts` has what later train blocks take over from other runs, by their number.
    """

    stage: int
    arrays: Mapping[str, Array]
    starts: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)


def standing_of(engine: Engine, dtype: str) -> Standing:
    """That of an engine, in numbers of another kind; before the first step with the weights that its training starts from."""
    starts = {n: saved(engine, t.start).arrays for n, t in enumerate(engine.spec.trainings) if t.start and n >= engine.stage}
    begun = {} if engine.steps_done else starts.get(0, {})
    arrays = engine.all_arrays() | begun
    own = {n: v for n, v in arrays.items() if not n.startswith("optimizer/")}
    for name in memory_of(engine.spec, engine.stage):
        parameter, _, state = name.rpartition(".")
        own[name] = arrays[f"optimizer/{state}/{parameter}"]
    numbers = {SEED: int(engine.seed), STEP: int(engine.steps_done), BEGUN: engine.stage_start}
    floats = {n: np.array(v, dtype) for n, v in own.items()}
    whole = {n: np.asarray(v, np.int64) for n, v in numbers.items()}
    later = {number: {n: np.asarray(v, dtype) for n, v in start.items()} for number, start in starts.items() if number > engine.stage}
    return Standing(engine.stage, floats | whole, later)
