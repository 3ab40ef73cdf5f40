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
from nnspec.train.data import Dataset
from nnspec.train.epoch import Epoch
from nnspec.train.schedule import LearningRate
from nnspec.train.stop import stopper

Array = np.ndarray[Any, np.dtype[Any]]
Fields = dict[str, Array]
EVALUATION_BATCH = 1000


@dataclass
class Progress:
    """What a listener is told: `on_batch(epoch, steps done in it, steps in it, loss)`, and `on_epoch`."""

    on_batch: Callable[[int, int, int, float], None] = lambda *_: None
    on_epoch: Callable[[Epoch], None] = lambda _: None


@dataclass
class History:
    epochs: list[Epoch] = field(default_factory=list)
    stopped: str = ""


def fit(engine: Engine, data: Dataset, training: Training, progress: Progress | None = None) -> History:
    """Train for the epochs or steps of the train block; the best weights are put back when it stops early."""
    return _Fitting(engine, data, training, progress or Progress()).run()


@dataclass(frozen=True)
class Length:
    """How long a training is: epochs, steps in all, and steps in each epoch."""

    epochs: int
    steps: int
    an_epoch: int


def length(training: Training, data: Dataset) -> Length:
    """By the train block's epochs or steps, whichever ends first."""
    an_epoch = ceil(len(next(iter(data.train.values()))) / training.batch)
    steps = training.steps or (training.epochs or 1) * an_epoch
    return Length(training.epochs or ceil(steps / an_epoch), steps, an_epoch)


class _Fitting:
    def __init__(self, engine: Engine, data: Dataset, training: Training, progress: Progress) -> None:
        self.engine, self.data, self.training, self.progress = engine, data, training, progress
        self.examples = len(next(iter(data.train.values())))
        self.length = length(training, data)
        self.rate = LearningRate(engine.spec, self.length.epochs, self.length.steps)
        self.stopper = stopper(training.stop, engine) if training.stop else None
        self.step = 0

    def run(self) -> History:
        history = History()
        for number in range(1, self.length.epochs + 1):
            if self.step >= self.length.steps:
                break
            epoch = self.epoch(number)
            history.epochs.append(epoch)
            self.progress.on_epoch(epoch)
            history.stopped = self.stopper.reason(epoch) if self.stopper else ""
            if history.stopped:
                break
        if self.stopper:
            self.stopper.finish()
        return history

    def epoch(self, number: int) -> Epoch:
        started, total, seen = time.perf_counter(), 0.0, 0
        random = np.random.default_rng([self.training.seed, number])
        lr = self.rate.base
        for done, batch in enumerate(self.batches(random), 1):
            lr = self.rate(number - 1, self.step)
            loss = self.engine.step(batch, lr)
            self.step += 1
            if not isfinite(loss):
                raise self.diverged(loss, number)
            size = shapes_of(batch)[0][0]
            total, seen = total + loss * size, seen + size
            self.progress.on_batch(number, done, self.length.an_epoch, total / seen)
        metrics = {"loss": total / max(seen, 1)}
        if self.data.validation:
            metrics |= {f"val.{n}": v for n, v in evaluate(self.engine, self.data.validation).items()}
        return Epoch(number, self.step, lr, metrics, time.perf_counter() - started)

    def batches(self, random: np.random.Generator) -> Iterator[Mapping[str, Array]]:
        order = random.permutation(self.examples)
        for start in range(0, self.examples, self.training.batch):
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


def evaluate(engine: Engine, fields: Fields) -> dict[str, float]:
    """Loss and metrics over a whole data set, each batch weighted by its size."""
    total: dict[str, float] = {}
    examples = len(next(iter(fields.values())))
    for start in range(0, examples, EVALUATION_BATCH):
        part = {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}
        share = len(next(iter(part.values()))) / examples
        for public, value in engine.evaluate(part).items():
            total[public] = total.get(public, 0.0) + share * value
    return {public.split(":")[-1]: v for public, v in total.items() if public == "loss" or public.startswith("metric:")}


def predict(engine: Engine, fields: Fields) -> Fields:
    """The outputs for every example, by name."""
    parts: dict[str, list[Array]] = {}
    examples = len(next(iter(fields.values())))
    for start in range(0, examples, EVALUATION_BATCH):
        part = {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}
        for public, value in engine.outputs(part, draw=start).items():
            parts.setdefault(public.split(":")[-1], []).append(value.copy())
    types = engine.spec.model.outputs
    return {n: np.concatenate(values) if types[n].shape[:1] == (BATCH,) else values[0] for n, values in parts.items()}
