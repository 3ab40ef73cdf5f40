"""Arrays that lie in a file, for data larger than memory: rows are read when they are asked for, and none of them is kept."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from math import prod
from typing import IO, Any

import numpy as np

from nnspec.array import Array

PART = 1 << 24
"""Bytes that are looked at together where all rows are."""
CUT = "a data file ends before its last row: it has been cut while it was read"


class Opened:
    """A file that is open as long as somebody reads from it, even where it has no name any more."""

    def __init__(self, file: IO[bytes]) -> None:
        self.number = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.number)

    def read(self, into: Array, offset: int) -> None:
        """Fill an array; OSError where the file ends before."""
        left = into.reshape(-1).view(np.uint8).data
        while left:
            done = os.preadv(self.number, [left], offset)
            if not done:
                raise OSError(CUT)
            left, offset = left[done:], offset + done

    def rows(self, into: Array, offsets: list[int], size: int) -> None:
        """Fill an array with pieces of this size, one after the other."""
        left = into.reshape(-1).view(np.uint8).data
        if sum(os.preadv(self.number, [left[i * size : (i + 1) * size]], offset) for i, offset in enumerate(offsets)) < len(left):
            raise OSError(CUT)


class Stored:
    """An array in a file, its first axis that of examples. What is taken from it is an array in memory; it is never changed."""

    def __init__(self, file: Opened, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.file, self.dtype, self.shape = file, dtype, shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def reshape(self, shape: tuple[int, ...]) -> Stored:
        """The same rows, each in another shape."""
        assert shape[0] == len(self) and prod(shape) == self.size
        return Stored(self.file, self.dtype, shape)

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            found: Array = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
            self.file.read(found, start * self.row_bytes)
            return found[::step]
        chosen = np.arange(len(self))[rows] if isinstance(rows, np.ndarray) and rows.dtype == bool else np.asarray(rows)
        found = np.empty((*chosen.shape, *self.shape[1:]), self.dtype)
        self._gather(found, chosen)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def into(self, out: Array, rows: Array) -> None:
        """Some rows, in place."""
        if out.flags.c_contiguous and out.dtype == self.dtype:
            self._gather(out, rows)
        else:
            np.copyto(out, self[rows])

    def _gather(self, out: Array, rows: Array) -> None:
        self.file.rows(out, (rows.reshape(-1) * self.row_bytes).tolist(), self.row_bytes)


def as_array(values: Any) -> Array:
    """An array of the numbers that something stands for; what lies in a file stays there."""
    return values if isinstance(values, Stored) else np.asarray(values)  # type: ignore[return-value]  # it is asked as an array is


def in_parts(values: Any) -> Iterator[Array]:
    """All rows of an array, wherever it lies, a few at a time."""
    step = max(1, PART // max(1, values[:1].nbytes)) if isinstance(values, Stored) else max(1, len(values))
    for start in range(0, len(values), step):
        yield np.asarray(values[start : start + step])
