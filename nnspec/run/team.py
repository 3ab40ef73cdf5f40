"""Threads that work together: each job in a thread of its own, the first in that of the caller."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from nnspec.blas import Call


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, "nnspec")


def together(jobs: Sequence[Call]) -> None:
    """All jobs at once; an exception of any of them, once all are done."""
    others = [_threads(len(jobs) - 1).submit(job) for job in jobs[1:]]
    try:
        jobs[0]()
    finally:
        wait(others)
    for other in others:
        other.result()
