"""What one epoch came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np

from nnspec.record import dataclass

NO_METRICS = ("stage", "epoch", "step", "lr", "seconds")


@dataclass(frozen=True)
class Epoch:
    """`metrics` holds `loss` (the mean over the batches as they were trained) and `val.NAME`; `number` and `step` count from the start.

    `stage` is the name of its train block, and where there are several losses `metrics` holds each by name, too.
    """

    number: int
    step: int
    lr: float
    metrics: Mapping[str, Any]
    seconds: float
    stage: str | None = None

    def as_json(self) -> dict[str, Any]:
        stage = {"stage": self.stage} if self.stage else {}
        return {
            **stage,
            "epoch": self.number,
            "step": self.step,
            "lr": self.lr,
            **as_lists(self.metrics),
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Epoch:
        """The epoch that `as_json` was of."""
        metrics = from_lists({n: v for n, v in line.items() if n not in NO_METRICS})
        return cls(line["epoch"], line["step"], line["lr"], metrics, line["seconds"], line.get("stage"))


def of_number(epochs: Sequence[Epoch], number: int | None) -> Epoch | None:
    """The epoch of this number, or the last."""
    return next((e for e in reversed(epochs) if number in (None, e.number)), None)


def as_lists(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as JSON has them: arrays as nested lists."""
    return {n: v if isinstance(v, float) else v.tolist() for n, v in metrics.items()}


def from_lists(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics of which `as_lists` were written; null stands for what was no finite number."""
    return {n: np.asarray(v, np.float64) if isinstance(v, list) else nan if v is None else v for n, v in metrics.items()}
