"""Batches on their way into an engine's memory: gathered once, straight into place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np

from nnspec.array import Array
from nnspec.run.fractions import Fractions
from nnspec.run.stored import Stored


@final
class Rows(Mapping[str, Array]):
    """The chosen rows of every field of a data set, gathered when asked for."""

    def __init__(self, data: Mapping[str, Any], rows: Array) -> None:
        self.data, self.rows = data, rows

    def __getitem__(self, name: str) -> Array:
        values = self.data[name]
        if isinstance(values, Fractions | Stored):
            return np.asarray(values[self.rows])
        # `take` first copies an array that is not contiguous: of overlapping windows it would lay out all.
        chosen: Array = values.take(self.rows, 0) if values.flags.c_contiguous else values[self.rows]
        return chosen

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def fill(array: Array, fields: Mapping[str, Array], name: str) -> None:
    """Put one field of a batch into an engine's input, if it is not there."""
    if type(fields) is not Rows:  # to ask whether it is an instance takes as long as a small copy
        if (given := fields[name]) is not array:
            np.copyto(array, given)
        return
    values = fields.data[name]
    if isinstance(values, Fractions | Stored):
        values.into(array, fields.rows)
    elif values.dtype == array.dtype and values.flags.c_contiguous:
        values.take(fields.rows, 0, array, "clip")
    else:
        np.copyto(array, fields[name])


def shapes_of(fields: Mapping[str, Array]) -> tuple[tuple[int, ...], ...]:
    """The shape of every field, without gathering anything."""
    if type(fields) is Rows:
        return tuple((len(fields.rows), *v.shape[1:]) for v in fields.data.values())
    return tuple([v.shape for v in fields.values()])
