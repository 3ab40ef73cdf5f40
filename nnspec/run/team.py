"""Threads that work together: each job in a thread of its own, the first in that of the caller."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import Lock, Thread

from nnspec.blas import Call


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Helper:
    """A thread that does one job after another; two locks wake it and its caller sooner than an executor would."""

    job: Call

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.due, self.done = Lock(), Lock()
        self.due.acquire()
        self.done.acquire()
        Thread(target=self._work, name="nnspec", daemon=True).start()

    def begin(self, job: Call) -> None:
        self.job = job
        self.due.release()

    def _work(self) -> None:
        while True:
            self.due.acquire()
            try:
                self.job()
            except BaseException as error:  # the caller raises it
                self.errors.append(error)
            del self.job
            self.done.release()

    def end(self) -> list[BaseException]:
        """What went wrong, once the job is done."""
        self.done.acquire()
        errors, self.errors = self.errors, []
        _idle.append(self)
        return errors


_idle: list[_Helper] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads stay behind


def _helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


def together(jobs: Sequence[Call]) -> None:
    """All jobs at once; an exception of any of them, once all are done."""
    helpers = [_helper() for _ in jobs[1:]]
    for helper, job in zip(helpers, jobs[1:], strict=True):
        helper.begin(job)
    try:
        jobs[0]()
    finally:
        errors = [error for helper in helpers for error in helper.end()]
    for error in errors:
        raise error
