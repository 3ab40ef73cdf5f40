"""How many threads the products of a program use: as many as there are, and fewer for a while where these stand in each other's way.

Threads of a BLAS wait for each other in a loop, and do not give way. Where a neighbour leaves two of them one processor, each takes it
until the system takes it away, milliseconds later: a step then takes up to a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter

from nnspec.blas import Call, threads_help, use_threads

DOUBT = 4.0
"""So many times its estimate a run may take, until one with fewer threads has been seen."""
PATIENCE = 0.02
"""Seconds that may be lost to what fewer threads would have taken."""
SHORTEST, LONGEST = 0.1, 10.0
"""Seconds for which there are fewer threads; twice as many where the time before did not help for ten times as long."""
WORTH = 5
"""So many times what it has cost to try all threads, they are not tried again: what that takes is a small part of the time."""


def with_threads(number: int) -> Callable[[Call], None]:
    """So many whatever happens; 0 leaves their number as it is."""

    def run(call: Call) -> None:
        if number:
            use_threads(number)
        call()

    return run


class Backoff:
    """Runs a program with `most` threads as long as that pays; its largest product is as one of matrices of this `side`.

    Runs are `late` by what they take beyond the `limit`: the mean of those with fewer threads, or what one should take by an estimate.
    """

    def __init__(self, most: int, side: int, alone: float) -> None:
        self.most, self.side, self.number = most, side, 1
        self.limit, self.late = DOUBT * alone, 0.0
        self.seconds, self.runs = 0.0, 0  # with fewer threads
        self.held = 0.0  # seconds with all, since they were last tried
        self.due, self.pause = -inf, SHORTEST / 2

    def run(self, call: Call) -> None:
        if self.number < self.most and perf_counter() >= self.due:
            self._try_all()
        use_threads(self.number)
        started = perf_counter()
        call()
        self._judge(perf_counter() - started)

    def _try_all(self) -> None:
        started = perf_counter()
        if threads_help(self.most, self.side):
            self.limit = self.seconds / self.runs if self.runs else self.limit
            self.number, self.late = self.most, 0.0
        else:
            self._wait(perf_counter() - started)

    def _judge(self, seconds: float) -> None:
        if self.number == self.most:
            self.held += seconds
            self.limit = min(self.limit, self.most * seconds)  # what one thread takes at most
        else:
            self.seconds, self.runs = self.seconds + seconds, self.runs + 1
        self.late = max(0.0, self.late + seconds - self.limit)
        if self.number > 1 and self.late > PATIENCE:
            self._wait(self.late)
            self.number, self.late, self.seconds, self.runs = self.number // 2, 0.0, 0.0, 0

    def _wait(self, lost: float) -> None:
        """Try all again after a while, which is longer where many seconds were lost."""
        self.pause = SHORTEST if self.held - lost > 10 * self.pause else min(2 * self.pause, LONGEST)
        self.due = perf_counter() + max(self.pause, min(WORTH * lost, LONGEST))
        self.held = 0.0
