"""Threads take turns at what has one memory, and a process forks between two turns.

In the child there is no thread of the parent but the one that forked, and so nobody to let go of a lock or to end what it guards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from threading import RLock, local
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Locked(Protocol):
    @property
    def lock(self) -> AbstractContextManager[bool]: ...


Owner = TypeVar("Owner", bound=Locked)
P = ParamSpec("P")
R = TypeVar("R")
AWAITED = "lock"


def alone(method: Callable[Concatenate[Owner, P], R]) -> Callable[Concatenate[Owner, P], R]:
    """A method that no thread enters while another is in one of the same object."""

    @wraps(method)
    def locked(self: Owner, /, *args: P.args, **named: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **named)

    return locked


def renew_at_fork(owner: Any, *names: str) -> None:
    """In a forked process, these locks of an object are free. A fork waits for one that is called `lock`, turns of which are short.

    Who has the `lock` of an object takes none of an older object: a fork takes them in the order of their age.
    """
    _owners[owner] = names


_owners: WeakKeyDictionary[Any, tuple[str, ...]] = WeakKeyDictionary()
_forking = local()


def _wait() -> None:
    _forking.locks = []
    for owner in [owner for reference in _owners.keyrefs() if (owner := reference())]:  # items() of what other threads change is an error
        if AWAITED in _owners[owner]:
            owner.lock.acquire()
            _forking.locks.append(owner.lock)


def _go_on() -> None:
    while _forking.locks:
        _forking.locks.pop().release()


def _renew() -> None:
    for owner, names in _owners.items():
        vars(owner).update({name: RLock() for name in names})


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_renew)
