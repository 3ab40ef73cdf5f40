"""The health of a network while it trains: looked at now and then, on a few examples, and said once where something is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from math import isfinite, log
from typing import Any

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.update import starts_from_the_base
from nnspec.record import dataclass
from nnspec.train.probe import Layer, Look, Probe

SHARE, LAST = 0.02, 0.2
"""Of the time of a training that looking may take, but for the first look; and the seconds that the last one may take in any case."""
DEAD, SATURATED, FAR, LONG = 0.5, 0.8, 200.0, 1000.0
EPOCHS, FALLEN, NEAR = 5, 0.99, 0.02


@dataclass
class Health:
    """`begin` before the first step of a train block, `after` each epoch, `finish` at the end.

    `tell` is given each warning once, `record` all that is seen. `fresh` says that the block begins with new weights and one loss, which
    is to fall. Of a block that goes on, `epochs` and `steps` are those it has done, and what it begins with is not recorded.
    """

    probe: Probe
    tell: Callable[[Diagnostic], None]
    record: Callable[[dict[str, Any]], None]
    fresh: bool = True
    epochs: int = 0
    steps: int = 0
    said: set[str] = field(default_factory=set)
    first: Look | None = None
    last: int = 0
    seconds: float = 0.0
    spent: float = 0.0
    started: float = 0.0

    def begin(self, epoch: int = 0, *, recorded: bool = True) -> None:
        self.started = time.perf_counter()
        self.first = self._look(epoch, recorded=recorded)

    def after(self, epoch: int) -> None:
        self.epochs += 1
        elapsed = time.perf_counter() - self.started
        if self.spent + self.seconds <= SHARE * elapsed:
            self._look(epoch)

    def finish(self, epoch: int) -> None:
        if self.last != epoch and self.seconds <= max(LAST, SHARE * (time.perf_counter() - self.started)):
            self._look(epoch)

    def say(self, warnings: Iterable[Diagnostic]) -> None:
        """Tell those whose like was not told before."""
        for warning in warnings:
            if warning.code not in self.said:
                self.said.add(warning.code)
                self.tell(warning)

    def _look(self, epoch: int, *, recorded: bool = True) -> Look:
        started = time.perf_counter()
        look = self.probe.look()
        if recorded:
            self.record({"epoch": epoch, **look.as_json()})
        self.last = epoch
        self.say(self._warnings(look))
        self.seconds = time.perf_counter() - started
        self.spent += self.seconds
        return look

    def _when(self) -> str:
        number, what = (self.epochs, "epoch") if self.epochs else (self.steps, "step")
        return f"after {number} {what}{'s' * (number != 1)}" if number else "before the first step"

    def _warnings(self, look: Look) -> Iterator[Diagnostic]:
        number = len(next(iter(self.probe.fields.values())))
        when = self._when()
        yield from _dead(look, number, when)
        yield from _saturated(look, when)
        yield from _gradients(look, when)
        if self.first and self.fresh and self.epochs >= EPOCHS and look.loss > FALLEN * self.first.loss > 0:
            yield _not_falling(self.probe, self.first.loss, look.loss, self.epochs)


def _worst(layers: tuple[Layer, ...]) -> Layer | None:
    return max(layers, key=lambda layer: layer.value, default=None)


def _dead(look: Look, number: int, when: str) -> Iterator[Diagnostic]:
    """W401."""
    worst = _worst(look.dead)
    if worst and worst.value >= DEAD:
        message = f"{worst.value:.0%} of the units behind `{worst.name}` are dead {when}: they give 0 for all {number} examples looked at"
        help_ = "a smaller learning rate, `leaky_relu`, or a normalisation before it; a dead unit has no gradient and stays dead"
        yield Diagnostic("W401", message, worst.span, help=help_, level="warning")


def _saturated(look: Look, when: str) -> Iterator[Diagnostic]:
    """W402."""
    worst = _worst(look.saturated)
    if worst and worst.value >= SATURATED:
        message = f"{worst.value:.0%} of the values behind `{worst.name}` are saturated {when}: the slope is less than 1/25 of the steepest"
        help_ = "smaller weights at the start, inputs of mean 0 and deviation 1 (`standardize`), or a normalisation before it"
        yield Diagnostic("W402", message, worst.span, help=help_, level="warning")


def _gradients(look: Look, when: str) -> Iterator[Diagnostic]:
    """W404 where they are long in most layers; of others, what becomes of them on their way."""
    long = [layer for layer in look.gradients if _is_long(layer)]
    worst = _worst(tuple(long))
    if worst and 2 * len(long) > len(look.gradients):
        message = f"the gradient explodes {when}: that of `{worst.name}` is {worst.value:.3g} times as long as its weights"
        if len(look.gradients) > 1:
            message += f", and more than {LONG:,.0f} times it is in {len(long)} of {len(look.gradients)} layers"
        help_ = "smaller weights at the start, a normalisation, inputs of deviation 1 (`standardize`), or targets that are not as large"
        yield Diagnostic("W404", message, worst.span, help=help_, level="warning")
    else:
        yield from _on_the_way(look, when)


def _is_long(layer: Layer) -> bool:
    """Also by what the loss owes to the weights: a gradient is soon long beside weights that are next to nothing."""
    return isfinite(layer.value) and layer.value > LONG and layer.value * layer.size**2 > LONG


def _on_the_way(look: Look, when: str) -> Iterator[Diagnostic]:
    """W403 where less and less reaches the earlier layers, W404 where more and more does: the middle of the first third and of the last."""
    third = max(1, len(look.gradients) // 3)
    early, late = _middle(look.gradients[:third]), _middle(look.gradients[-third:])
    if early and late and _far_above(late, early):
        ratio = f"1/{late.value / early.value:,.0f} of" if early.value else "nothing beside"
        help_ = "relu, an init that fits, a normalisation or residual connections keep it alive"
        yield _far("W403", "vanishes", when, early, ratio, late, help_)
    if early and late and late.value and _far_above(early, late):
        help_ = "smaller weights at the start, a normalisation, or `clip norm(1.0)`"
        yield _far("W404", "explodes", when, early, f"{early.value / late.value:,.0f} times", late, help_)


def _far_above(a: Layer, b: Layer) -> bool:
    """Also by what the loss owes to the weights: those of a layer wide beside its inputs are long, and its steps short beside them."""
    return a.value > FAR * b.value and a.value * a.size**2 > FAR * b.value * b.size**2


def _middle(layers: tuple[Layer, ...]) -> Layer | None:
    """The one that half of the others do not exceed."""
    return sorted(layers, key=lambda layer: layer.value)[len(layers) // 2] if layers else None


def _far(code: str, does: str, when: str, far: Layer, ratio: str, near: Layer, help_: str) -> Diagnostic:
    message = f"the gradient {does} {when}: relative to its weights, that of `{far.name}` is {ratio} that of `{near.name}`"
    notes = ((near.span, "compared with this one"),) if near.span and near.span != far.span else ()
    return Diagnostic(code, message, far.span, notes=notes, help=help_, level="warning")


def _not_falling(probe: Probe, first: float, now: float, epochs: int) -> Diagnostic:
    """W405."""
    spec = probe.engine.spec
    classes = next((t.classes for t in spec.model.targets.values() if t.classes), None)
    guess = f", the loss of a guess, log {classes}" if classes and abs(now - log(classes)) < NEAR * log(classes) else ""
    optimizer, schedule = spec.trainings[probe.stage].optimizer, spec.trainings[probe.stage].schedule
    decides = optimizer if schedule is None or starts_from_the_base(spec.definitions, schedule) else schedule
    message = f"the loss has not fallen in {epochs} epochs: {first:.4g} before and {now:.4g} now{guess}"
    help_ = "another learning rate, ten times as large or as small; and see that inputs are scaled and targets belong to their inputs"
    return Diagnostic("W405", message, decides.span if decides else None, help=help_, level="warning")
