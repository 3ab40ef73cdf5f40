"""What one epoch came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """`metrics` holds `loss` (the mean over the batches as they were trained) and `val.NAME`; `step` counts from the start."""

    number: int
    step: int
    lr: float
    metrics: Mapping[str, float]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {"epoch": self.number, "step": self.step, "lr": self.lr, **self.metrics, "seconds": round(self.seconds, 3)}
