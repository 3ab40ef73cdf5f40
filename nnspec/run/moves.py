"""The last of a step: every weight moves by a share of its velocity, those that are neighbours in memory in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.ops.pointwise import descend
from nnspec.record import dataclass


@dataclass(frozen=True)
class Move:
    """w -= rate * v, both of them stretches of a buffer."""

    w: Array
    v: Array
    rate: Array

    def call(self) -> Call:
        assert descend.prepare
        return descend.prepare(self.w, self.w, self.v, self.rate)

    def with_next(self, other: Move) -> Move | None:
        """Both as one, where the other begins in both buffers as this one ends."""
        w, v = _joined(self.w, other.w), _joined(self.v, other.v)
        return Move(w, v, self.rate) if w is not None and v is not None and self.rate is other.rate else None


def in_passes(moves: Iterable[Move]) -> Iterator[Call]:
    """As few calls as do the same."""
    waiting: Move | None = None
    for move in sorted(moves, key=lambda m: _start(m.w)):
        longer = waiting.with_next(move) if waiting else None
        if waiting and not longer:
            yield waiting.call()
        waiting = longer or move
    if waiting:
        yield waiting.call()


def _joined(x: Array, y: Array) -> Array | None:
    """Two stretches of a buffer as one."""
    buffer = x.base
    if not isinstance(buffer, np.ndarray) or buffer is not y.base or buffer.ndim != 1 or _start(x) + x.nbytes != _start(y):
        return None
    first = (_start(x) - _start(buffer)) // buffer.itemsize
    return buffer[first : first + x.size + y.size]


def _start(x: Array) -> int:
    return int(x.ctypes.data)
