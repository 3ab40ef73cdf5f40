"""A train block of an exported training: its models, and what `step.json` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from nnspec.compile import Compilation
from nnspec.deploy.models import Models
from nnspec.deploy.proof import random_batches
from nnspec.deploy.step import BEGUN, FINITE, LOSS, NEXT, memory_of, rate, rate_name, whole_step
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.interchange.recurrent import recognised
from nnspec.record import dataclass
from nnspec.train.schedule import base_rate

Array = np.ndarray[Any, np.dtype[Any]]
OUTSIDE = ("augment", "stop", "start")
"""What a train block may ask for that no step computes; where the first starts from is in the state already."""
# Where the proof of a step stands: an optimizer's states are well above 0, so that no rounding error is divided by another.
PROOF_STEP, PROOF_BEGUN, MEMORY = 5, 2, (0.5, 1.5)
HALFWAY = {"epoch": 1, "step": 15, "epochs": 2, "steps": 20, "stale": 1}


def suffix(spec: Compilation, number: int) -> str:
    """What tells the files of several train blocks apart."""
    return f"-{spec.trainings[number].name or number + 1}" if len(spec.stages) > 1 else ""


@dataclass(frozen=True)
class Block:
    """One train block; `arrays` is where the training stands, all that steps take besides batch and rate."""

    spec: Compilation
    number: int
    arrays: Mapping[str, Array]
    models: Models

    def described(self) -> dict[str, Any]:
        """Its entry in the manifest, with all of its models made and proved."""
        return {
            "name": self.training.name,
            **self._files(),
            **{name: getattr(self.training, name) for name in ("batch", "epochs", "steps", "seed")},
            "left_out": [n for n in OUTSIDE if getattr(self.training, n) and (self.number or n != "start")],
            "lr": {"input": rate_name(self.spec), "base": self.base},
        }

    @cached_property
    def training(self) -> Training:
        return self.spec.trainings[self.number]

    @cached_property
    def base(self) -> float:
        return base_rate(self.spec, self.number)

    @cached_property
    def memory(self) -> dict[str, tuple[Type, float]]:
        return memory_of(self.spec, self.number)

    def _files(self) -> dict[str, Any]:
        """Step, epoch and schedule, and what the inputs and outputs of a step are."""
        step, epoch, schedule = (f"{kind}{suffix(self.spec, self.number)}.onnx" for kind in ("step", "epoch", "schedule"))
        given = self._halfway()
        outputs = self.models.add(step, recognised(whole_step(self.spec, self.number)), given)
        carried = {public.removeprefix(NEXT): name for public, name in outputs.items() if public.startswith(NEXT)}
        read, ports = self.models.inputs(step), self.spec.model.inputs | self.spec.model.targets
        fields = [n for n in read if n in ports]
        batch = next(random_batches({n: ports[n] for n in fields}, self.models.rng))
        self.models.add_epoch(epoch, step, carried, [*fields, rate_name(self.spec)], {n: (given | batch)[n] for n in read})
        return {
            "step": step,
            "epoch": epoch,
            "schedule": self._schedule(schedule),
            "fields": fields,
            "carried": carried,
            "memory": {n: {"shape": list(t.shape), "value": value} for n, (t, value) in self.memory.items()},
            "loss": outputs[LOSS],
            "losses": {public.removeprefix(f"{LOSS}:"): name for public, name in outputs.items() if public.startswith(f"{LOSS}:")},
            "loss_is_finite": outputs[FINITE],
        }

    def _schedule(self, file: str) -> str | None:
        rates = rate(self.spec, self.number)
        if rates is None:
            return None
        given = {**HALFWAY, "lr": self.base, "rate": self.base}
        self.models.add(file, rates, {n: np.asarray(v, np.float64) for n, v in given.items()})
        return file

    def _halfway(self) -> dict[str, Array]:
        """The weights as they are, and all else as it may be in the middle of a training."""
        filled = {n: np.asarray(self.models.rng.uniform(*MEMORY, t.numbers), np.float32) for n, (t, _) in self.memory.items()}
        numbers = {SEED: 3, STEP: PROOF_STEP, BEGUN: PROOF_BEGUN}
        scalars = {n: np.asarray(v, np.int64) for n, v in numbers.items()} | {rate_name(self.spec): np.asarray(self.base, np.float32)}
        return {**self.arrays, **filled, **scalars}
