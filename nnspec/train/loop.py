"""The training loop: epochs of shuffled batches, validation after each, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, fault
from nnspec.elaborate.training import Training
from nnspec.graph import BATCH
from nnspec.run.batches import Rows, shapes_of
from nnspec.run.engine import Engine
from nnspec.train.augment import augmented
from nnspec.train.check import Fields, examples
from nnspec.train.choose import choose
from nnspec.train.data import Dataset
from nnspec.train.epoch import Epoch
from nnspec.train.schedule import LearningRate
from nnspec.train.stop import stopper
from nnspec.wholedata import EXAMPLES

Array = np.ndarray[Any, np.dtype[Any]]
EVALUATION_BATCH = 250


@dataclass
class Progress:
    """What a listener is told: `on_batch(epoch, steps done in it, steps in it, loss)`, `on_epoch`, `on_note(other news)`."""

    on_batch: Callable[[int, int, int, float], None] = lambda *_: None
    on_epoch: Callable[[Epoch], None] = lambda _: None
    on_note: Callable[[str], None] = lambda _: None


@dataclass
class History:
    epochs: list[Epoch] = field(default_factory=list)
    stopped: str = ""


@dataclass(frozen=True)
class Length:
    """How long a training is: epochs, steps in all, and steps in each epoch."""

    epochs: int
    steps: int
    an_epoch: int


def length(training: Training, data: Dataset) -> Length:
    """By the train block's epochs or steps, whichever ends first."""
    an_epoch = ceil(examples(data.train) / training.batch)
    steps = training.steps or (training.epochs or 1) * an_epoch
    return Length(training.epochs or ceil(steps / an_epoch), steps, an_epoch)


class Stage:
    """One train block at work: for its epochs or steps; the best weights are put back when it stops early."""

    def __init__(self, engine: Engine, data: Dataset, stage: int, progress: Progress, keep: Callable[[], object] | None = None) -> None:
        self.engine, self.data, self.progress, self.keep = engine, data, progress, keep
        self.training = training = engine.spec.trainings[stage]
        self.length = length(training, data)
        self.rate = LearningRate(engine.spec, self.length.epochs, self.length.steps, stage)
        self.stopper = stopper(training.stop, engine) if training.stop else None
        self.step = 0

    def choose(self) -> bool:
        """Let the fastest engine train this block; whether others were tried."""
        return choose(self.engine, next(self.batches(np.random.default_rng(self.training.seed))), self.length.steps)

    def run(self, history: History) -> None:
        """Add the epochs to what there is."""
        before, steps_before = len(history.epochs), history.epochs[-1].step if history.epochs else 0
        reason = ""
        for number in range(1, self.length.epochs + 1):
            if self.step >= self.length.steps or reason:
                break
            epoch = self.epoch(number, before, steps_before)
            history.epochs.append(epoch)
            self.progress.on_epoch(epoch)
            reason = self.stopper.reason(epoch) if self.stopper else ""
        if self.stopper:
            self.stopper.finish()
        said = f"{self.training.name}: {reason}" if self.training.name and reason else reason
        history.stopped = "; ".join(filter(None, (history.stopped, said)))

    def epoch(self, number: int, before: int, steps_before: int) -> Epoch:
        """One pass over the data, `number` of this stage, after other stages' epochs and steps."""
        started, mean = time.perf_counter(), _Mean()
        random = np.random.default_rng([self.training.seed, before + number])
        lr = self.rate.base
        several = len(self.training.phases) > 1
        for done, batch in enumerate(self.batches(random), 1):
            self.checkpoint()
            lr = self.rate(number - 1, self.step)
            loss = self.engine.step(batch, lr, settled=False)
            self.step += 1
            if not isfinite(loss):
                raise self.diverged(loss, before + number)
            mean.add({"loss": loss, **(self.engine.losses if several else {})}, shapes_of(batch)[0][0])
            self.progress.on_batch(before + number, done, self.length.an_epoch, mean.values["loss"])
        self.engine.settle()
        metrics: dict[str, Any] = {"loss": 0.0, **mean.values}
        if self.data.validation:
            metrics |= {f"val.{n}": v for n, v in evaluate(self.engine, self.data.validation).items()}
        self.rate.watch(metrics.get("val.loss", metrics["loss"]))
        return Epoch(before + number, steps_before + self.step, lr, metrics, time.perf_counter() - started, self.training.name)

    def checkpoint(self) -> None:
        """Between two steps; after the last there is nothing left to lose, as the run is saved."""
        if self.keep and self.training.checkpoint and self.step and self.step % self.training.checkpoint == 0:
            self.keep()

    def batches(self, random: np.random.Generator) -> Iterator[Mapping[str, Array]]:
        order = random.permutation(examples(self.data.train))
        for start in range(0, len(order), self.training.batch):
            if self.step >= self.length.steps:
                return
            batch = Rows(self.data.train, order[start : start + self.training.batch])
            yield augmented(dict(batch), self.training, random) if self.training.augment else batch

    def diverged(self, loss: float, epoch: int) -> Fault:
        optimizer = self.training.optimizer
        help_ = "a smaller learning rate, or `clip norm(1.0)`, usually helps"
        return fault(
            "E401", f"the loss became {loss} in epoch {epoch}, step {self.step}", optimizer.span if optimizer else None, help=help_
        )


class _Mean:
    """Means of numbers over batches, each weighted by its size."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.seen = 0

    def add(self, numbers: Mapping[str, float], size: int) -> None:
        self.seen += size
        for name, number in numbers.items():
            before = self.values.get(name, 0.0)
            self.values[name] = before + (number - before) * size / self.seen


def _in_parts(fields: Fields) -> Iterator[tuple[int, Fields]]:
    """Batches for a network in use, each with the number of its first example."""
    for start in range(0, examples(fields), EVALUATION_BATCH):
        yield start, {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}


def evaluate(engine: Engine, fields: Fields) -> dict[str, Any]:
    """Loss and metrics over a whole data set: means, each batch weighted by its size, but for metrics that need all examples at once."""
    means, collected = _Mean(), dict[str, list[Array]]()
    for _, part in _in_parts(fields):
        values = engine.evaluate(part)
        for public in [n for n in values if n.startswith(EXAMPLES)]:
            collected.setdefault(public, []).append(values.pop(public).copy())
        means.add({n: float(v) for n, v in values.items()}, examples(part))
    found: dict[str, Any] = {n: v for n, v in means.values.items() if n == "loss" or n.startswith("metric:")}
    for public, value in engine.metrics({n: np.concatenate(parts) for n, parts in collected.items()}).items():
        found[public] = value if value.ndim else float(value)
    return {n.split(":")[-1]: found[n] for n in (*(f"metric:{m}" for m in engine.spec.model.metrics), "loss") if n in found}


def predict(engine: Engine, fields: Fields) -> Fields:
    """The outputs for every example, by name: computed in batches, each straight into its place."""
    number, found = examples(fields), dict[str, Array]()
    for start in _starts(number):
        part = {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}
        for public, value in engine.outputs(part, draw=start).items():
            name = public.split(":")[-1]
            rows = engine.spec.model.outputs[name].shape[:1] == (BATCH,)
            if name not in found:
                found[name] = np.empty((number, *value.shape[1:]), value.dtype) if rows else value.copy()
            if rows:
                found[name][start : start + len(value)] = value
    return found


def _starts(number: int) -> list[int]:
    """Where batches begin: the last goes over some examples again, so that it needs no program and no memory for a length of its own."""
    return [min(start, max(number - EVALUATION_BATCH, 0)) for start in range(0, number, EVALUATION_BATCH)]
