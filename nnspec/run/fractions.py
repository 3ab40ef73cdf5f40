"""Pixels kept as the bytes they are in a file: a quarter of the memory of what they stand for, and no time before training begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnspec.array import Array


class Fractions:
    """An array of whole numbers read as fractions of `whole`. Wherever NumPy takes it for an array, it is one of those fractions."""

    def __init__(self, numbers: Array, whole: int, dtype: str) -> None:
        self.numbers, self.whole, self.dtype = numbers, whole, np.dtype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.numbers.shape)

    @property
    def ndim(self) -> int:
        return self.numbers.ndim

    @property
    def size(self) -> int:
        return self.numbers.size

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Fractions:
        return Fractions(self.numbers[rows], self.whole, self.dtype.name)

    def reshape(self, *shape: Any) -> Fractions:
        return Fractions(self.numbers.reshape(*shape), self.whole, self.dtype.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        fractions: Array = np.divide(self.numbers, self.whole, dtype=self.dtype)
        return fractions if dtype is None else fractions.astype(dtype, copy=False)

    def into(self, out: Array, rows: Array) -> None:
        """The fractions of some rows, computed in place."""
        np.divide(self.numbers.take(rows, 0), self.whole, out, dtype=self.dtype)


def joined(parts: Sequence[Fractions]) -> Fractions:
    """Fractions of the same whole, one after the other."""
    return Fractions(np.concatenate([p.numbers for p in parts]), parts[0].whole, parts[0].dtype.name)
