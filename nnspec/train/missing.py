"""Missing values of tables: rows that are left out, and means that stand for others, learnt from the examples that are trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from functools import partial
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Fault, fault
from nnspec.elaborate.sources import DataSource
from nnspec.graph import Type
from nnspec.record import dataclass
from nnspec.train.binding import names_read
from nnspec.train.cells import NOT_FINITE_HELP
from nnspec.train.readers import Parts, Stretch, Tall

Means = Mapping[str, Any]
"""By column a number, or nested lists of the shape of an example."""
TEXT, NUMBERS = "OU", "biuf"


@dataclass(frozen=True)
class Gaps:
    """What is done about the missing values of a table: which rows stay, and what stands for the values that some of these lack.

    Without either nothing is done.
    """

    kept: Array | None = None
    means: Mapping[str, Array] = field(default_factory=dict)

    def closed(self, stretch: Stretch) -> Stretch:
        """Rows without them."""
        if self.kept is None and not self.means:
            return stretch
        stay = np.ones(stretch.rows, bool) if self.kept is None else self.kept[stretch.where]
        readers = {name: partial(self._column, name, read, stay) for name, read in stretch.readers.items()}
        return Stretch(stretch.table, stretch.before, int(stay.sum()), readers, stretch.before + np.flatnonzero(stay))

    def _column(self, name: str, read: Any, stay: Array) -> Array:
        values: Array = read()
        if name in self.means and values.dtype.kind == "f":
            values = np.where(np.isnan(values), self.means[name], values)
        return values[stay]


def learnt(means: Means) -> dict[str, Array]:
    """Means as a run keeps them, as arrays."""
    return {name: np.asarray(value, np.float64) for name, value in means.items()}


def fillable(source: DataSource, inputs: Mapping[str, Type], targets: Mapping[str, Type]) -> frozenset[str]:
    """The columns that a mean can stand in: those that only inputs of numbers are made of."""
    numbers = {name: type for name, type in inputs.items() if type.is_float}
    others = {**targets, **{name: type for name, type in inputs.items() if not type.is_float}}
    return names_read(source, numbers) - names_read(source, others)


def columns_of(source: DataSource, parts: Parts, ports: Mapping[str, Type]) -> Tall | None:
    """What these ports read of a table, in stretches; None where it is no table of rows, or has none."""
    columns = names_read(source, ports) & parts.train.keys()
    if tall := parts.tall(columns):
        return tall if tall.rows else None
    lengths = {name: np.shape(parts.train[name]())[:1] for name in sorted(columns)}
    if len(set(lengths.values())) != 1 or {(), (0,)} & {*lengths.values()}:
        return None
    (rows,) = next(iter(lengths.values()))
    return Tall(rows, 0, lambda wanted: iter([Stretch(parts.table, 0, rows, {n: parts.train[n] for n in columns & wanted})]))


def rows_kept(source: DataSource, tall: Tall, columns: frozenset[str], filled: Collection[str]) -> Array:
    """Of every row whether it has all values but those that are filled."""
    kept = np.ones(tall.rows, bool)
    for stretch in tall.stretches(columns):
        here = np.ones(stretch.rows, bool)
        for name in columns & stretch.readers.keys():
            values = stretch.readers[name]()
            if name not in filled or values.dtype.kind in TEXT:
                here &= ~_is_missing(values)
        kept[stretch.where] = here
    if not kept.any():
        raise fault("E308", "every row is without some value", source.span, help="leave out the columns that have few")
    return kept


def known_gaps(source: DataSource, parts: Parts, ports: Mapping[str, Type], means: Means, every_row: bool = False) -> Gaps:
    """What is done about missing values by what has been learnt; rows without one are refused where `every_row` is wanted."""
    tall = columns_of(source, parts, ports) if source.options.get("missing") else None
    if tall is None:
        return Gaps()
    known = learnt(means) if source.options["missing"] == "mean" else {}
    if every_row:
        for stretch in tall.stretches(names_read(source, ports)):
            refuse_gaps(source, Gaps(means=known).closed(stretch), names_read(source, ports))
    return Gaps(rows_kept(source, tall, names_read(source, ports), known), known)


def refuse_gaps(source: DataSource, stretch: Stretch, columns: frozenset[str]) -> None:
    """A Fault (E306) for a row without a value, where every row is to be answered."""
    for name in sorted(columns & stretch.readers.keys()):
        gaps = _is_missing(stretch.readers[name]())
        if gaps.any():
            help_ = f"{NOT_FINITE_HELP}; rows are dropped for training and judging only"
            raise _missing(source, stretch, name, gaps, "every row is to get an answer", help_)


def refuse_unknown(source: DataSource, tall: Tall, columns: frozenset[str]) -> None:
    """A Fault (E306) for a gap among numbers that no mean is known for, as what is trained on has no such column."""
    for stretch in tall.stretches(columns):
        for name in sorted(columns & stretch.readers.keys()):
            values = stretch.readers[name]()
            if values.dtype.kind in NUMBERS and (gaps := _is_missing(values)).any():
                help_ = "the mean is that of the column of the same name; call both alike"
                raise _missing(source, stretch, name, gaps, f"what is trained on has no `{name}`", help_)


def _missing(source: DataSource, stretch: Stretch, name: str, gaps: Array, why: str, help: str) -> Fault:
    """The first gap of a column, and why it matters."""
    row = stretch.before + int(np.argmax(gaps)) + 1
    return fault("E306", f"{stretch.table}, row {row}, column `{name}`: a value is missing, and {why}", source.span, help=help)


def _is_missing(values: Array) -> Array:
    """Of every row whether it has a NaN or an empty text."""
    if values.dtype.kind in TEXT:
        gaps = np.asarray(values == "")
    else:
        gaps = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    return np.asarray(gaps.reshape(len(values), -1).any(axis=1))


def means_of(source: DataSource, tall: Tall, columns: frozenset[str], rows: Array) -> dict[str, Array]:
    """The mean of each column of numbers over the rows that are trained on, of those that have a value."""
    sums, counts = dict[str, Array](), dict[str, Array]()
    for stretch in tall.stretches(columns):
        chosen = rows[stretch.where]
        for name in columns & stretch.readers.keys():
            values = stretch.readers[name]()[chosen]
            if values.dtype.kind not in NUMBERS:
                continue
            there = ~np.isnan(values)
            sums[name] = sums.get(name, 0) + np.where(there, values, 0).sum(axis=0, dtype=np.float64)
            counts[name] = counts.get(name, 0) + there.sum(axis=0)
    for name, count in counts.items():
        if not np.all(count):
            raise fault("E306", f"no example that is trained on has a value of `{name}`", source.span, help="leave out the column")
    return {name: np.asarray(total / counts[name]) for name, total in sums.items()}
