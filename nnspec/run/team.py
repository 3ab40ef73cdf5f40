"""Threads that work together: each job in a thread of its own, the first in that of the caller."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cache
from queue import SimpleQueue

from nnspec.blas import Call


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Team:
    """Threads that wait for work as long as the process lives."""

    def __init__(self, size: int) -> None:
        self._work: list[SimpleQueue[Call]] = [SimpleQueue() for _ in range(size - 1)]
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        for queue in self._work:
            threading.Thread(target=self._serve, args=(queue,), daemon=True).start()

    def _serve(self, queue: SimpleQueue[Call]) -> None:
        while True:
            job = queue.get()
            try:
                job()
            except BaseException as error:  # the caller raises it
                self._done.put(error)
            else:
                self._done.put(None)

    def run(self, jobs: Sequence[Call]) -> None:
        """All jobs at once; an exception of any of them, once all are done."""
        others = jobs[1:]
        for queue, job in zip(self._work, others, strict=False):
            queue.put(job)
        try:
            jobs[0]()
        finally:
            errors = [self._done.get() for _ in others]
        for error in filter(None, errors):
            raise error


@cache
def team(size: int) -> Team:
    return Team(size)
