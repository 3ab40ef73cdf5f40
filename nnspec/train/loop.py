"""The training loop: epochs of shuffled batches, validation after each, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from math import ceil, isfinite, nan
from signal import SIGPIPE
from typing import TYPE_CHECKING, Any

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Diagnostic, Fault, warn
from nnspec.elaborate.training import Training
from nnspec.graph import BATCH, Graph
from nnspec.lint import allowed
from nnspec.record import dataclass
from nnspec.run.batches import Rows, shapes_of
from nnspec.run.engine import Engine
from nnspec.train.augment import augmented
from nnspec.train.blame import went_wrong
from nnspec.train.check import Fields, examples
from nnspec.train.choose import choose
from nnspec.train.data import Dataset
from nnspec.train.doubts import doubts
from nnspec.train.epoch import Epoch, of_number
from nnspec.train.health import Health
from nnspec.train.probe import Probe
from nnspec.train.schedule import LearningRate
from nnspec.train.standing import Means, Standing
from nnspec.train.stop import of_no_number, stopper
from nnspec.train.trail import Trail, all_finite
from nnspec.wholedata import EXAMPLES

if TYPE_CHECKING:
    from nnspec.train.run import Run

EVALUATION_BATCH = 250


class Progress:
    """What a listener is told, by functions given here or by the methods of a subclass.

    The `loss` that `on_batch` is told after each step is the mean over the examples of the epoch so far.

    >>> import nnspec
    >>> heard = []
    >>> progress = nnspec.Progress(on_epoch=lambda epoch: heard.append(epoch.number))
    >>> _ = nnspec.load("mazur").fit(epochs=3, progress=progress)
    >>> heard
    [1, 2, 3]
    """

    def __init__(
        self,
        on_batch: Callable[[int, int, int, float], None] | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        on_warning: Callable[[Diagnostic], None] | None = None,
    ) -> None:
        given = {"on_batch": on_batch, "on_epoch": on_epoch, "on_note": on_note, "on_warning": on_warning}
        vars(self).update({name: function for name, function in given.items() if function})

    def on_batch(self, epoch: int, done: int, steps: int, loss: float) -> None:
        """After each step: the number of the epoch, how many of its steps are done, how many it has, and its mean loss so far."""

    def on_epoch(self, epoch: Epoch) -> None:
        """After each epoch."""

    def on_note(self, note: str) -> None:
        """Of other news."""

    def on_warning(self, warning: Diagnostic) -> None:
        """Of what is probably not meant; a warning of Python's, where nobody listens."""
        warn(warning)


@dataclass
class History:
    """`warnings` are those of the data and of the network's health; `health` is what each look into it found.

    `kept` is the number of the epoch whose weights were put back, where the training has done so.
    """

    epochs: list[Epoch] = field(default_factory=list)
    stopped: str = ""
    warnings: list[Diagnostic] = field(default_factory=list)
    health: list[dict[str, Any]] = field(default_factory=list)
    kept: int | None = None

    @property
    def final(self) -> Epoch | None:
        """The epoch whose weights the network has; None where the log of a run has lost it."""
        return of_number(self.epochs, self.kept)


@dataclass(frozen=True)
class Length:
    """How long a training is: epochs, steps in all, and steps in each epoch."""

    epochs: int
    steps: int
    an_epoch: int


def length(training: Training, data: Dataset) -> Length:
    """By the train block's epochs or steps, whichever ends first: what a schedule lies over is the run that there is."""
    an_epoch = ceil(examples(data.train) / training.batch)
    steps = min(filter(None, (training.steps, (training.epochs or 0) * an_epoch)))
    return Length(ceil(steps / an_epoch), steps, an_epoch)


class Stage:
    """One train block at work: for its epochs or steps; the best weights are put back when it stops early.

    It begins where `at` stands. A `run` is asked between any two steps, and told of every epoch.
    """

    def __init__(self, engine: Engine, data: Dataset, at: Standing, progress: Progress, run: Run | None = None) -> None:
        self.engine, self.data, self.at, self.progress, self.kept = engine, data, at, progress, run
        self.training = training = engine.spec.trainings[at.stage]
        self.length = length(training, data)
        self.rate = LearningRate(engine.spec, self.length.epochs, self.length.steps, at.stage)
        self.stopper = stopper(training.stop, engine) if training.stop else None
        self.random, self.started = np.random.default_rng(training.seed), 0.0
        self.trail = Trail(engine)

    def choose(self) -> bool:
        """Let the fastest engine train this block; whether others were tried."""
        order = self.random.permutation(examples(self.data.train))
        return choose(self.engine, self.batch(order[: self.training.batch]), self.length.steps)

    def remember(self, arrays: Mapping[str, Array]) -> None:
        """Go on with what the schedule and the rule for stopping knew where this block stands."""
        self.rate.remember(self.at.rate)
        if self.stopper:
            self.stopper.memory.update(self.at.stop)
            self.stopper.arrays.update(arrays)

    def standing(self) -> Standing:
        """Where it stands now, between two steps."""
        at, drawn = self.at, self.training.augment and self.at.batch
        return replace(
            at,
            seconds=at.seconds + time.perf_counter() - self.started if at.batch else 0.0,
            random=dict(self.random.bit_generator.state) if drawn else None,
            rate=self.rate.remembered(),
            stop=self.stopper.memory if self.stopper else {},
        )

    def run(self, history: History) -> None:
        """Add the epochs to what there is."""
        at, health = self.at, self.health(history)
        at.kept = None
        health.begin(at.epochs_before + at.epoch, recorded=not (self.kept and self.kept.begun is at))
        while at.epoch < self.length.epochs and at.step < self.length.steps and not at.reason:
            epoch = self.epoch()
            history.epochs.append(epoch)
            at.reason = self.stopper.reason(epoch) if self.stopper else ""
            self.tell(epoch)
            health.say(of_no_number(self.training.stop, epoch) if self.training.stop else ())
            health.after(epoch.number)
        if not all_finite(self.engine.params):
            raise self.lost(nan)
        history.kept = at.kept = self.stopper.finish() if self.stopper else None
        health.finish(at.epochs_before + at.epoch)
        said = f"{self.training.name}: {at.reason}" if self.training.name and at.reason else at.reason
        history.stopped = "; ".join(filter(None, (at.stopped, said)))

    def health(self, history: History) -> Health:
        """Says what is probably not meant of the data before the first step, and looks at the network from then on."""

        def warn(warning: Diagnostic) -> None:
            if not allowed(warning):
                history.warnings.append(warning)
                self.progress.on_warning(warning)

        if not self.at.step:
            data = self.data
            for doubt in doubts(self.engine.spec, self.at.stage, data.train, data.labels, self.length.epochs, self.length.steps):
                warn(doubt)

        def record(look: dict[str, Any]) -> None:
            history.health.append(look)
            if self.kept:
                self.kept.looked(look)

        probe = Probe.of(self.engine, self.at.stage, self.data.train)
        fresh = not (self.engine.steps_done or self.training.start or len(self.training.phases) > 1)
        return Health(probe, warn, record, fresh, self.at.epoch, self.at.step)

    def lost(self, loss: float) -> Fault:
        """What to say of numbers that are none any more, and which weights are left."""
        diagnostic = went_wrong(self.trail, loss, self.at.step, self.length.an_epoch, self.at.epochs_before)
        if self.kept and self.kept.saved > 0:
            diagnostic = replace(diagnostic, help=f"{diagnostic.help}; {self.kept.folder} keeps the weights after step {self.kept.saved}")
        return Fault(diagnostic)

    def tell(self, epoch: Epoch) -> None:
        """Log an epoch; where nobody reads the progress any more, that is a wish to stop, as an interrupt is."""
        if self.kept is None:
            self.progress.on_epoch(epoch)
            return
        self.kept.log(epoch)
        try:
            self.progress.on_epoch(epoch)
        except BrokenPipeError:
            self.kept.interrupts.note(SIGPIPE)

    def epoch(self) -> Epoch:
        """One pass over the data, or the rest of one."""
        at, number = self.at, self.at.epochs_before + self.at.epoch + 1
        self.started = time.perf_counter()
        self.random = np.random.default_rng([self.training.seed, number])
        order = self.random.permutation(examples(self.data.train))
        if at.random:
            self.random.bit_generator.state = at.random
        lr = self.rate.base
        for start in range(at.batch * self.training.batch, len(order), self.training.batch):
            if at.step >= self.length.steps:
                break
            if self.kept:
                self.kept.between(self)
            batch = self.batch(order[start : start + self.training.batch])
            lr = self.rate(at.epoch, at.step)
            self.trail.add(batch, lr)
            loss = self.engine.step(batch, lr, settled=False)
            at.step, at.batch = at.step + 1, at.batch + 1
            if not isfinite(loss):
                raise self.lost(loss)
            at.means.add({"loss": loss, **self.losses()}, shapes_of(batch)[0][0])
            self.progress.on_batch(number, at.batch, self.length.an_epoch, at.means.values["loss"])
        self.engine.settle()
        metrics: dict[str, Any] = {"loss": 0.0, **at.means.values}
        if self.data.validation:
            metrics |= {f"val.{n}": v for n, v in evaluate(self.engine, self.data.validation).items()}
        self.rate.watch(metrics.get("val.loss", metrics["loss"]))
        seconds = at.seconds + time.perf_counter() - self.started
        at.next_epoch()
        return Epoch(number, at.steps_before + at.step, lr, metrics, seconds, self.training.name)

    def losses(self) -> dict[str, float]:
        """Those of the last step by name, where there are several or they take turns."""
        several = len(self.engine.losses) > 1 or len(self.training.phases) > 1
        return {n: v for n, v in self.engine.losses.items() if several and n != "loss"}

    def batch(self, rows: Array) -> Mapping[str, Array]:
        """Some examples as they are trained on."""
        batch = Rows(self.data.train, rows)
        return augmented(dict(batch), self.training, self.random) if self.training.augment else batch


def evaluate(
    engine: Engine, fields: Fields, compute: Callable[[Fields, int], dict[str, Array]] | None = None, whole: Graph | None = None
) -> dict[str, Any]:
    """Metrics, the loss and the several that it is the sum of, over a whole data set.

    They are means, each batch weighted by its size, but for metrics that need all examples at once. Random formulas draw by the place of
    the batch, whatever was computed before. Something else may `compute` a batch, with its draw, in the engine's place; the graph of the
    metrics of its examples is `whole` then.
    """
    means, collected = Means(), dict[str, list[Array]]()
    with engine.lock:
        for start in range(0, examples(fields), EVALUATION_BATCH):
            part = {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}
            values = (compute or engine.evaluate)(part, start)
            for public in [n for n in values if n.startswith(EXAMPLES)]:
                collected.setdefault(public, []).append(values.pop(public).copy())
            means.add({n: float(v) for n, v in values.items()}, examples(part))
        graph = engine.spec.metrics if whole is None else whole
        joined = engine.metrics(fields, {n: np.concatenate(collected.pop(n), dtype=graph[n].type.dtype) for n in [*collected]}, graph)
    found = means.values | {n: v if v.ndim else float(v) for n, v in joined.items()}
    model = engine.spec.model
    wanted = (*(f"metric:{m}" for m in model.metrics), *(f"loss:{n}" for n in model.single_losses), "loss")
    return {n.rpartition(":")[2]: found[n] for n in wanted if n in found}


def predict(engine: Engine, fields: Fields, step: int = 0) -> Fields:
    """The outputs for every example, by name: computed in batches, each straight into its place.

    Random formulas draw by the place of the batch, and other numbers for another `step`.
    """
    number, found = examples(fields), dict[str, Array]()
    with engine.lock:
        for start in _starts(number):
            part = {n: v[start : start + EVALUATION_BATCH] for n, v in fields.items()}
            for public, value in engine.outputs(part, draw=start + step).items():
                name = public.removeprefix("output:")
                rows = engine.spec.model.outputs[name].shape[:1] == (BATCH,)
                if name not in found:
                    found[name] = np.empty((number, *value.shape[1:]), value.dtype) if rows else value.copy()
                if rows:
                    found[name][start : start + len(value)] = value
    return found


def _starts(number: int) -> list[int]:
    """Where batches begin: the last goes over some examples again, so that it needs no program and no memory for a length of its own."""
    return [min(start, max(number - EVALUATION_BATCH, 0)) for start in range(0, number, EVALUATION_BATCH)]
