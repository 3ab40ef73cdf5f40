"""A train block of an exported training: its models, and what `step.json` says of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.beginning import beginning, memory_of
from nnspec.deploy.examples import QUESTIONS
from nnspec.deploy.models import Models
from nnspec.deploy.schedule import EPOCH_END, EXAMPLES, PREFIX, is_watchful, rates
from nnspec.deploy.standing import Standing
from nnspec.deploy.step import BEGUN, FINITE, LOSS, NEXT, of_all_at_once, rate_name, whole_step
from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.training import Training
from nnspec.interchange.recurrent import recognised
from nnspec.record import dataclass
from nnspec.train.schedule import base_rate

TO_THE_END = "`train.py` trains to the end and keeps the last weights"
OUTSIDE = {
    "augment": "`train.py` shows the examples as they are: change them before, or train with `nnspec train`",
    "stop": f"{TO_THE_END}; `loss`, and evaluate.onnx, are there to stop by",
    "validation": "the schedule watches the loss of the training data instead of `val.loss`",
}
"""What a train block may ask for that no step computes, and what is done instead."""
# Where the proof of a step stands: an optimizer's states are well above 0, so that no rounding error is divided by another.
PROOF_STEP, PROOF_BEGUN, MEMORY = 5, 2, (0.5, 1.5)
# A schedule in the middle of a training, at the last step of an epoch; and at the beginning of a train block that is not the first.
HALFWAY = {"step": 13, "stale": 1, "best": 2, "loss": 1, "left": 3, "an_epoch": 7}
BEFORE = {EXAMPLES: 100, EPOCH_END: 4}


def suffix(spec: Compilation, number: int) -> str:
    """What tells the files of several train blocks apart."""
    return f"-{spec.trainings[number].name or number + 1}" if len(spec.stages) > 1 else ""


def left_out(spec: Compilation, number: int) -> list[str]:
    """What a train block asks for and the exported training does not do."""
    training = spec.trainings[number]
    return [n for n in OUTSIDE if getattr(training, n) and (n != "validation" or is_watchful(spec, number))]


def doubts(spec: Compilation) -> Iterator[Diagnostic]:
    """W590: what the train blocks ask for and the exported training does not do."""
    for number, training in enumerate(spec.trainings):
        for name in left_out(spec, number):
            message = f"the exported training does nothing of `{name}`"
            help_ = _stopping(spec, training) if name == "stop" else OUTSIDE[name]
            yield Diagnostic("W590", message, training.spans.get(name, training.span), help=help_, level="warning")


def _stopping(spec: Compilation, training: Training) -> str:
    """What is done instead of stopping, and where there is what is stopped by."""
    watched = training.stop.metric.removeprefix("val.") if training.stop else ""
    if watched in of_all_at_once(spec):
        return f"{TO_THE_END}; `{watched}` is of all examples at once, to be had of what predict.onnx gives for them"
    return OUTSIDE["stop"]


@dataclass(frozen=True)
class Block:
    """One train block of a training that stands somewhere."""

    spec: Compilation
    number: int
    standing: Standing
    models: Models

    def described(self) -> dict[str, Any]:
        """Its entry in the manifest, with all of its models made and proved."""
        return {
            "name": self.training.name,
            **self._files(),
            **{name: getattr(self.training, name) for name in ("batch", "epochs", "steps", "seed")},
            "left_out": left_out(self.spec, self.number),
            "lr": {"input": rate_name(self.spec), "base": self.base},
        }

    @cached_property
    def training(self) -> Training:
        return self.spec.trainings[self.number]

    @cached_property
    def base(self) -> float:
        return base_rate(self.spec, self.number)

    def _files(self) -> dict[str, Any]:
        """Its beginning, step, epoch and schedule, and what the inputs and outputs of a step are."""
        begin, schedule, step, epoch = (f"{kind}{suffix(self.spec, self.number)}.onnx" for kind in ("begin", "schedule", "step", "epoch"))
        given = self._halfway()
        self._begin(begin)
        outputs = self.models.add(step, recognised(whole_step(self.spec, self.number)), given)
        self._schedule(schedule, outputs[LOSS])
        carried = {public.removeprefix(NEXT): name for public, name in outputs.items() if public.startswith(NEXT)}
        read, ports = self.models.inputs(step), self.spec.model.ports
        fields = [n for n in read if n in ports]
        batch = next(self.models.batches({n: ports[n] for n in fields}))
        each = [n for n in (*fields, rate_name(self.spec)) if n in read]  # without parameters there is nothing to learn at a rate
        self.models.add_epoch(epoch, step, carried, each, {n: (given | batch)[n] for n in read})
        return {
            "models": {"examples": QUESTIONS, "begin": begin, "step": step, "schedule": schedule},
            "epoch": epoch,
            "fields": fields,
            "carried": carried,
            "loss": outputs[LOSS],
            "losses": {public.removeprefix(f"{LOSS}:"): name for public, name in outputs.items() if public.startswith(f"{LOSS}:")},
            "loss_is_finite": outputs[FINITE],
        }

    def _begin(self, file: str) -> None:
        standing, start = self.standing, self.standing.starts.get(self.number, {})
        first = self.number == standing.stage
        graph = beginning(self.spec, self.number, start, first=first, fitted=first and not standing.arrays[STEP])
        counts = {n: np.asarray(number, np.float64) for n, number in BEFORE.items()}
        self.models.add(file, graph, {STEP: standing.arrays[STEP], **counts, **start}, fixed=True)

    def _schedule(self, file: str, loss: str) -> None:
        seen = (HALFWAY["an_epoch"] - 1) * self.training.batch
        now = HALFWAY | {"rate": self.base, "seen": seen, "examples": seen + 1}
        given = {f"{PREFIX}{n}": np.asarray(number, np.float64) for n, number in now.items()}
        self.models.add(file, rates(self.spec, self.number, rate_name(self.spec), loss), given)

    def _halfway(self) -> dict[str, Array]:
        """The weights as they are, and all else as it may be in the middle of a training."""
        filled = {
            n: np.asarray(self.models.rng.uniform(*MEMORY, t.numbers), self.spec.dtype)
            for n, (t, _) in memory_of(self.spec, self.number).items()
        }
        numbers = {SEED: 3, STEP: PROOF_STEP, BEGUN: PROOF_BEGUN}
        rate = {rate_name(self.spec): np.asarray(self.base, self.spec.dtype)}
        scalars = {n: np.asarray(v, np.int64) for n, v in numbers.items()} | rate
        return {**self.standing.arrays, **filled, **scalars}
