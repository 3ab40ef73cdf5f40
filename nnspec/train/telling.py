"""Which examples tell most of a data set: the first ones, and those with its smallest and largest numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from nnspec.array import Array

Rows = np.ndarray[Any, np.dtype[np.int64]]
# Numbers that are looked at, those of them at a time, and those that are taken, in so many examples.
SEEN, STRETCH, TAKEN = 1 << 24, 1 << 20, 1 << 10
FEWEST, MOST = 4, 64


def telling(fields: Mapping[str, Array]) -> dict[str, Array]:
    """A few of the examples."""
    return at(telling_rows([*fields.values()]), fields)


def at(rows: Rows, fields: Mapping[str, Array]) -> dict[str, Array]:
    """These examples, as arrays."""
    return {name: np.asarray(values[rows]) for name, values in fields.items()}


def telling_rows(fields: Sequence[Array]) -> Rows:
    """Of the first example, those of the extremes of every column, and more from the beginning; as many as all fields have."""
    size = max(1, sum(prod(v.shape[1:]) for v in fields))
    number = min([SEEN // size, *map(len, fields)]) if fields else 0
    extremes = (row for values in fields for row in _extremes(values, number))
    rows = dict.fromkeys((*range(min(1, number)), *extremes, *range(min(MOST, number))))
    return np.fromiter(islice(rows, max(FEWEST, min(MOST, TAKEN // size))), np.int64)


def _extremes(values: Array, number: int) -> Iterator[int]:
    """Where the smallest and the largest number of each column are, in so many examples, of which a stretch at a time is looked at."""
    if values.dtype.kind not in "fiu" or 0 in values.shape:
        return
    height = max(1, STRETCH // prod(values.shape[1:]))
    where, best = _ends(values, 0, min(height, number))
    for start in range(height, number, height):
        rows, ends = _ends(values, start, min(start + height, number))
        further = np.stack([ends[0] < best[0], ends[1] > best[1]])
        where, best = np.where(further, rows, where), np.where(further, ends, best)
    for smallest, largest in where.T:
        yield from (int(smallest), int(largest))


def _ends(values: Array, start: int, stop: int) -> tuple[Rows, Array]:
    """The rows of the smallest and of the largest number of each column of a stretch, and these numbers."""
    columns = np.asarray(values[start:stop]).reshape(stop - start, -1)
    rows = np.stack([columns.argmin(axis=0), columns.argmax(axis=0)])
    return rows + start, np.take_along_axis(columns, rows, 0)
