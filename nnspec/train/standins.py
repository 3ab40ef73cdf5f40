"""Missing values of arrays: a NaN gets what the mean of its column comes to in its place, as a cell of a table does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.elaborate.fields import Formula
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.train.binding import items
from nnspec.train.formulas import computed
from nnspec.train.missing import Means, learnt
from nnspec.train.split import split
from nnspec.train.windows import gap


def stand_ins(source: DataSource | None, inputs: Mapping[str, Type], means: Means) -> dict[str, Array]:
    """For each number of an example of an input what stands for it where it is missing, NaN where nothing does."""
    known, found = learnt(means), dict[str, Array]()
    if not known:
        return found
    for port in (name for name, type in inputs.items() if type.is_float):
        pieces = [_stand_in(item, known) for item in (items(source, port) if source else (port,))]
        if any(piece is not None for piece in pieces):
            found[port] = np.concatenate([np.full(1, np.nan) if piece is None else piece.ravel() for piece in pieces])
    return found


def _stand_in(item: str | Formula, known: Mapping[str, Array]) -> Array | None:
    """Of a column its mean, of a formula over one what it makes of the mean; of several it is not known which is missing."""
    if isinstance(item, str):
        return known.get(item)
    columns = [name for name in item.names() if name in known or not item.means(name)]
    if len(columns) != 1 or columns[0] not in known:
        return None
    mean = known[columns[0]][None]
    made: Array = computed(item, {columns[0]: lambda: mean}, None, columns)[0]
    return made


def means_of_arrays(training: Training, fields: Mapping[str, Any], inputs: Mapping[str, Type]) -> dict[str, float]:
    """The mean of each column that lies in an input as it comes, over what is trained on; of none without `missing = mean`."""
    source, found = training.data, dict[str, float]()
    if not training.fills:
        return found
    for port in (name for name, type in inputs.items() if type.is_float and name in fields):
        with suppress(ValueError, TypeError):  # what is no array of numbers is refused later, with its name
            values = np.asarray(fields[port], np.float64)
            trained = split(training, len(values), gap(source) if source else None)[0]
            found |= _means(items(source, port) if source else (port,), values[trained])
    return found


def _means(columns: tuple[Any, ...], values: Array) -> dict[str, float]:
    """By column, where each is one number; of those that have a value."""
    table = values.reshape(len(values), -1)
    if table.shape[1] != len(columns):
        return {}
    places = [(name, table[~np.isnan(table[:, i]), i]) for i, name in enumerate(columns) if isinstance(name, str)]
    return {name: float(there.mean()) for name, there in places if len(there)}
