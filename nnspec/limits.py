"""What is refused before anything is made of it, and how far each limit is raised: `--limit nodes=200000`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from nnspec.diagnostics import Fault, Span, did_you_mean, fault
from nnspec.record import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Limit:
    """The most there may be of something, in words, and the code of the error that says so."""

    most: int
    what: str
    code: str = "E502"


LIMITS = {
    "source": Limit(4 * MIB, "bytes of a spec"),
    "sources": Limit(16 * MIB, "bytes of a spec and what it imports"),
    "imports": Limit(64, "files that are imported"),
    "depth": Limit(16, "files that import each other in a row"),
    "calls": Limit(64, "calls inside each other"),
    "statements": Limit(200_000, "statements, stages and calls that a spec expands to"),
    "nodes": Limit(100_000, "operations of a graph"),
    "list": Limit(100_000, "elements of a list"),
    "value": Limit(1 << 36, "elements of a value that an ONNX model computes of one example", "E580"),
    "parameters": Limit(2 * GIB, "bytes of parameters", "E580"),
    "memory": Limit(0, "bytes that a training takes; without it, what the machine has free", "E580"),
    "data": Limit(8 * GIB, "bytes of a data file in memory; of npy and parquet files more is read from the disk", "E309"),
}

_raised: ContextVar[Mapping[str, int]] = ContextVar("limits", default={})  # noqa: B039  # it is never changed in place


def most(name: str) -> int:
    """A limit as it stands."""
    return _raised.get().get(name, LIMITS[name].most)


def exceeded(name: str, message: str, span: Span | None = None, otherwise: str = "") -> Fault:
    """The exception for what is more than a limit; the message says what, and how much, and `otherwise` what may be done instead."""
    return fault(LIMITS[name].code, message, span, help=f"{otherwise}`--limit {name}=N` sets another limit")


@contextmanager
def limited(**most: int) -> Iterator[None]:
    """Other limits for what is done inside.

    >>> import nnspec
    >>> from nnspec.limits import limited
    >>> with limited(nodes=200_000):
    ...     net = nnspec.load("digits")
    """
    token = _raised.set({**_raised.get(), **most})
    try:
        yield
    finally:
        _raised.reset(token)


def raise_for_good(pairs: Mapping[str, int]) -> None:
    """Other limits for all that this process does."""
    for name in pairs:
        if name not in LIMITS:
            raise fault("E106", f"there is no limit `{name}`", help=did_you_mean(name, LIMITS) or f"they are {', '.join(LIMITS)}")
    _raised.set({**_raised.get(), **pairs})
