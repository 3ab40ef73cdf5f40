"""Parquet files to fields, by pyarrow, an optional package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Span, fault
from nnspec.train.cells import NUMBERS_OR_TEXTS, Cells
from nnspec.train.files import BROKEN, broken, existing, missing_help, package, rows_at_once
from nnspec.train.readers import Readers, Stretch, Tall

WIDEST = 8
READ_AHEAD, LEAST_AHEAD = 1 << 24, 1 << 16
"""Bytes that are read ahead of all columns, and at least of each."""


def read_parquet(path: Path, span: Span | None, cells: Cells = NUMBERS_OR_TEXTS) -> Readers:
    """The columns of a parquet file, numbers, truths or texts; with gaps a missing value is NaN or an empty text, else refused."""
    try:
        file = _opened(existing(path, span), span)  # for as long as there is a column to be read: to open it takes as long as it is wide
        names = Counter(file.schema_arrow.names)
    except BROKEN as error:
        raise broken(path, error, span) from None
    if twice := [name for name, times in names.items() if times > 1]:
        raise broken(path, f"two columns are called `{twice[0]}`", span)
    return {name: partial(_column, file, path, name, span, cells) for name in names}


def tall_parquet(path: Path, span: Span | None, cells: Cells, wanted: frozenset[str]) -> Tall:
    """These columns of a parquet file, to be read a stretch at a time."""
    try:
        with _opened(existing(path, span), span) as file:
            metadata = file.metadata
    except BROKEN as error:
        raise broken(path, error, span) from None
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    laid = sum(c.total_uncompressed_size for g in groups for c in map(g.column, range(g.num_columns)) if c.path_in_schema in wanted)
    rows = rows_at_once(WIDEST * len(wanted))
    size = max(laid, WIDEST * metadata.num_rows * len(wanted))
    return Tall(metadata.num_rows, size, lambda columns: stretches(path, rows, columns, span, cells)[1])


def _opened(path: Path, span: Span | None, **how: Any) -> Any:
    return package("pyarrow.parquet", "pyarrow", "a parquet file", "parquet", span).ParquetFile(path, **how)


def _column(file: Any, path: Path, name: str, span: Span | None, cells: Cells) -> np.ndarray:
    try:
        return _values(path, name, span, file.read(columns=[name]).column(name), cells)
    except BROKEN as error:
        raise broken(path, f"column `{name}`: {error}", span) from None


def _values(path: Path, name: str, span: Span | None, column: Any, cells: Cells, before: int = 0) -> np.ndarray:
    """The values of a column that starts after so many rows, none of them empty unless there may be gaps."""
    values = _texts(column) if name in cells.texts else _array(path, name, column, span)
    if cells.gaps:
        return values
    if column.null_count or values.dtype == object:
        empty = column.is_null().to_numpy() | (values == "" if values.dtype == object else False)
        if empty.any():
            help_ = missing_help(path, int(empty.sum()), values.dtype != object, span)
            row = before + int(np.argmax(empty)) + 1
            raise fault("E306", f"{path}, row {row}, column `{name}`: the cell is empty", span, help=help_)
    return values


def _array(path: Path, name: str, column: Any, span: Span | None) -> np.ndarray:
    types = package("pyarrow.types", "pyarrow", "a parquet file", "parquet", span)
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_string(kind) or types.is_large_string(kind):
        return _texts(column)
    if types.is_decimal(kind):
        return np.asarray(column.cast("float64").to_numpy())
    if types.is_boolean(kind) and column.null_count:
        return np.asarray(column.cast("int8").to_numpy())
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return np.asarray(column.to_numpy())
    raise broken(path, f"the column `{name}` holds {kind}, neither numbers nor texts", span)


def _texts(column: Any) -> np.ndarray:
    """The values as they would stand in a csv file, of which a whole number has no decimals."""
    return np.array([v.strip() if isinstance(v, str) else _text(v) for v in column.to_pylist()], dtype=object)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def stretches(path: Path, rows: int, wanted: frozenset[str], span: Span | None, cells: Cells) -> tuple[int, Iterator[Stretch]]:
    """How many rows a file has, and its rows in stretches, of which only the columns wanted are read."""
    ahead = max(LEAST_AHEAD, READ_AHEAD // max(1, len(wanted)))
    try:
        file = _opened(existing(path, span), span, pre_buffer=False, buffer_size=ahead)  # otherwise it is all read ahead
    except BROKEN as error:
        raise broken(path, error, span) from None
    return file.metadata.num_rows, _stretches(path, file, rows, wanted, span, cells)


def _stretches(path: Path, file: Any, rows: int, wanted: frozenset[str], span: Span | None, cells: Cells) -> Iterator[Stretch]:
    table = package("pyarrow", "pyarrow", "a parquet file", "parquet", span).Table
    whole, before = read_parquet(path, span, cells), 0
    with file:
        try:
            for batch in file.iter_batches(rows, columns=[n for n in whole if n in wanted]):
                columns = table.from_batches([batch])
                known = {n: partial(_values, path, n, span, columns.column(n), cells, before) for n in columns.column_names}
                yield Stretch(path, before, batch.num_rows, {**whole, **known})
                before += batch.num_rows
        except BROKEN as error:
            raise broken(path, error, span) from None
