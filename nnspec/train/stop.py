"""When to stop before the last epoch: `early`, `converged` and `plateau`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Diagnostic, fault
from nnspec.elaborate.directions import LOW
from nnspec.elaborate.training import Stop
from nnspec.run.engine import Engine
from nnspec.train.epoch import Epoch


class Stopper(Protocol):
    """`reason(epoch)` is asked after each epoch: why to stop, or nothing; `finish()` once at the end: which epoch's weights it has put
    back, if it has.

    All that it remembers is in `memory`, numbers that JSON can hold, and `arrays`.
    """

    memory: dict[str, Any]
    arrays: dict[str, Array]

    def reason(self, epoch: Epoch) -> str: ...

    def finish(self) -> int | None: ...


def of_no_number(stop: Stop, epoch: Epoch) -> Iterator[Diagnostic]:
    """W406: what is watched is no number after an epoch."""
    if stop.metric and not np.isfinite(epoch.metrics[stop.metric]):
        message = f"`{stop.metric}` is {epoch.metrics[stop.metric]:g} after epoch {epoch.number}, which says nothing of when to stop"
        help_ = "see what the validation data hold: `auc`, for one, is a number only where there are examples of both classes"
        yield Diagnostic("W406", message, stop.span, help=help_, level="warning")


def stopper(stop: Stop, engine: Engine) -> Stopper:
    if stop.kind == "early":
        return _Early(stop, engine)
    return _Plateau(stop, engine) if stop.kind == "plateau" else _Converged(stop, engine)


def refuse_unwatched(stop: Stop, validated: bool) -> None:
    """Before the first epoch: what is watched on validation data needs some."""
    if stop.metric.startswith("val.") and not validated:
        message = f"there is no validation data, so no `{stop.metric}` to watch"
        raise fault("E402", message, stop.span, help="write for example `validation 0.1`")


class _Watched:
    """A metric as a number that is better when lower, and what a person calls it."""

    def __init__(self, stop: Stop, engine: Engine) -> None:
        better = stop.better(engine.spec.model)
        self.metric, self.sign = stop.metric, 1 if better == LOW else -1
        self.called = stop.metric if better else f"{stop.metric}, taken as better when higher,"

    def __call__(self, epoch: Epoch) -> float:
        return self.sign * float(epoch.metrics[self.metric])


class _Early:
    """Remembers the best weights by a metric, and puts them back."""

    def __init__(self, stop: Stop, engine: Engine) -> None:
        self.stop, self.engine, self.watched = stop, engine, _Watched(stop, engine)
        self.memory: dict[str, Any] = {"best": None, "waited": 0, "epoch": None}
        self.arrays: dict[str, Array] = {}

    def reason(self, epoch: Epoch) -> str:
        value, best = self.watched(epoch), self.memory["best"]
        if best is None and not np.isfinite(value):
            return ""  # there is nothing yet that could improve, and no weights to put back
        self.memory["waited"] += 1
        if value < (float("inf") if best is None else best):
            self.memory.update(best=value, waited=0, epoch=epoch.number)
            self.arrays = self.engine.copies()
        late = self.memory["waited"] >= self.stop.patience
        return f"{self.watched.called} has not improved for {self.stop.patience} epochs; the best weights are kept" if late else ""

    def finish(self) -> int | None:
        if self.arrays:
            self.engine.put(self.arrays)
        return self.memory["epoch"] if self.arrays else None


class _Converged:
    """No weight moved further than a limit in an epoch, or the gradient of its last batch is no longer than one."""

    def __init__(self, stop: Stop, engine: Engine) -> None:
        self.stop, self.engine = stop, engine
        self.memory: dict[str, Any] = {}
        self.arrays = {"before": self._weights()}

    def _weights(self) -> Array:
        return np.concatenate([v.ravel() for v in self.engine.params.values()])

    def reason(self, epoch: Epoch) -> str:
        if self.stop.grad is not None:
            length = float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in self.engine.gradient_views.values())))
            return f"the gradient is {length:.3g} long" if length <= self.stop.grad else ""
        now = self._weights()
        moved, self.arrays["before"] = float(np.abs(now - self.arrays["before"]).max()), now
        return f"no weight moved further than {moved:.3g}" if self.stop.weights is not None and moved <= self.stop.weights else ""

    def finish(self) -> None:
        return None


class _Plateau:
    """The smoothed metric Q <- (1 - smoothing) Q + smoothing L is not better by the tolerance, as a share of it, for some epochs."""

    def __init__(self, stop: Stop, engine: Engine) -> None:
        self.stop, self.watched = stop, _Watched(stop, engine)
        self.memory: dict[str, Any] = {"smoothed": None, "waited": 0}
        self.arrays: dict[str, Array] = {}

    def reason(self, epoch: Epoch) -> str:
        value, before = self.watched(epoch), self.memory["smoothed"]
        share = self.stop.smoothing
        smoothed = value if before is None else (1 - share) * before + share * value
        improved = before is None or before - smoothed > self.stop.tolerance * abs(before)
        waited = 0 if improved else self.memory["waited"] + 1
        self.memory.update(smoothed=smoothed if np.isfinite(smoothed) else None, waited=waited)
        return f"{self.watched.called} has been level for {waited} epochs" if waited >= self.stop.patience else ""

    def finish(self) -> None:
        return None
