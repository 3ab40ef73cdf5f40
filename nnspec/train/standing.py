"""Where a train block stands between two steps: all that its loop remembers, as a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from math import inf
from typing import Any

from nnspec.elaborate.training import Training
from nnspec.record import dataclass


@dataclass
class Means:
    """Means of numbers over batches, each weighted by its size."""

    values: dict[str, float] = field(default_factory=dict)
    seen: int = 0

    def add(self, numbers: Mapping[str, float], size: int) -> None:
        self.seen += size
        for name, number in numbers.items():
            before = self.values.get(name, 0.0)
            self.values[name] = before + (number - before) * size / self.seen


@dataclass
class Standing:
    """Epochs and steps of a block are counted from its beginning; `batch` counts those taken of the epoch under way.

    The order of the examples follows from seed and epoch. `random` is the state of the generator after it and the augmentation of the
    batches taken; `rate` and `stop` are what the schedule and the rule for stopping remember; `reason` is why the block has stopped, and
    `kept` the number of the epoch whose weights it has put back then.
    """

    stage: int = 0
    epochs_before: int = 0
    steps_before: int = 0
    epoch: int = 0
    step: int = 0
    batch: int = 0
    seconds: float = 0.0
    means: Means = field(default_factory=Means)
    random: dict[str, Any] | None = None
    rate: dict[str, Any] = field(default_factory=dict)
    stop: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    kept: int | None = None
    stopped: str = ""

    def next_epoch(self) -> None:
        self.epoch += 1
        self.batch, self.seconds, self.means, self.random = 0, 0.0, Means(), None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Standing:
        return cls(**{**document, "means": Means(**document["means"])})


def has_ended(trainings: Sequence[Training], at: Standing) -> bool:
    """Whether nothing is left to be trained: the last block has stopped, or has done its epochs or steps."""
    last = trainings[-1]
    epochs = last.epochs or (inf if last.steps else 1)
    return at.stage == len(trainings) - 1 and (bool(at.reason) or at.epoch >= epochs or at.step >= (last.steps or inf))
