"""Rounds: how many and how long, what each gave, and which of them count."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from tools.bench import machine
from tools.bench.contenders import Contender

FOREIGN_LIMIT = 0.08  # of all cores


@dataclass(frozen=True)
class Effort:
    """How many rounds, how long each contender runs in one, and how often that is repeated if other processes disturb it."""

    rounds: int = 7
    seconds: float = 0.4
    repeats: int = 3


@dataclass(frozen=True)
class Round:
    """Seconds of a step, the share of all cores that others took meanwhile, and the largest size of the process till then."""

    seconds: float
    foreign: float
    memory: int


@dataclass
class Figures:
    """What was measured of a contender, or the `problem` that kept it from running."""

    contender: Contender
    rounds: list[Round] = field(default_factory=list)
    openblas: str | None = None
    problem: str = ""

    @property
    def kept(self) -> list[float]:
        """Seconds of the rounds that were not disturbed; without any, of the one disturbed least."""
        calm = [r.seconds for r in self.rounds if r.foreign <= FOREIGN_LIMIT]
        return calm or [min(self.rounds, key=lambda r: r.foreign).seconds]

    @property
    def median(self) -> float:
        return statistics.median(self.kept)

    @property
    def least(self) -> float:
        return min(r.seconds for r in self.rounds)

    @property
    def disturbed(self) -> int:
        return sum(r.foreign > FOREIGN_LIMIT for r in self.rounds)

    @property
    def memory(self) -> int:
        return max(r.memory for r in self.rounds)

    def measure(self, once: Callable[[], Round], effort: Effort) -> None:
        """One round more, the least disturbed of so many attempts, each when threads of the round before no longer wait for work."""
        try:
            machine.await_quiet(FOREIGN_LIMIT)
            best = once()
            for _ in range(effort.repeats):
                if best.foreign > FOREIGN_LIMIT:
                    machine.await_quiet(FOREIGN_LIMIT)
                    best = min(best, once(), key=lambda r: r.foreign)
            self.rounds.append(best)
        except Absent as problem:
            self.problem = str(problem)


class Absent(Exception):
    """A contender that cannot run, and why."""
