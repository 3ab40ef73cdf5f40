"""Which examples tell most of a data set: the first ones, and those with its smallest and largest numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
# Numbers that are looked at, and that are taken, in so many examples.
SEEN, TAKEN = 1 << 24, 1 << 10
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
    extremes = (row for values in fields for row in _extremes(np.asarray(values[:number])))
    rows = dict.fromkeys((*range(min(1, number)), *extremes, *range(min(MOST, number))))
    return np.fromiter(islice(rows, max(FEWEST, min(MOST, TAKEN // size))), np.int64)


def _extremes(values: Array) -> Iterator[int]:
    """Where the smallest and the largest number of each column are."""
    if values.dtype.kind in "fiu" and values.size:
        columns = values.reshape(len(values), -1)
        for smallest, largest in zip(columns.argmin(axis=0), columns.argmax(axis=0), strict=True):
            yield from (int(smallest), int(largest))
