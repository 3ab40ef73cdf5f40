"""Threads take turns at what has one memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Locked(Protocol):
    @property
    def lock(self) -> AbstractContextManager[bool]: ...


Owner = TypeVar("Owner", bound=Locked)
P = ParamSpec("P")
R = TypeVar("R")


def alone(method: Callable[Concatenate[Owner, P], R]) -> Callable[Concatenate[Owner, P], R]:
    """A method that no thread enters while another is in one of the same object."""

    @wraps(method)
    def locked(self: Owner, /, *args: P.args, **named: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **named)

    return locked
