"""Parquet files to fields, by pyarrow, an optional package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Span, fault
from nnspec.record import dataclass
from nnspec.train.files import BROKEN, Readers, broken, check_size, existing, missing_help, package

WIDEST = 8
READ_AHEAD = 1 << 20


def read_parquet(path: Path, span: Span | None) -> Readers:
    """The columns of a parquet file, numbers, truths or texts."""
    try:
        with _opened(existing(path, span), span) as file:
            names, metadata = list(file.schema_arrow.names), file.metadata
    except BROKEN as error:
        raise broken(path, error, span) from None
    size = max(sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)), WIDEST * metadata.num_rows)
    check_size(size, str(path), span)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise broken(path, f"two columns are called `{twice[0]}`", span)
    return {name: partial(_column, path, name, span) for name in names}


def _opened(path: Path, span: Span | None, **how: Any) -> Any:
    return package("pyarrow.parquet", "pyarrow", "a parquet file", "parquet", span).ParquetFile(path, **how)


def _column(path: Path, name: str, span: Span | None) -> np.ndarray:
    try:
        with _opened(path, span) as file:
            return _values(path, name, span, file.read(columns=[name]).column(name))
    except BROKEN as error:
        raise broken(path, f"column `{name}`: {error}", span) from None


def _values(path: Path, name: str, span: Span | None, column: Any, before: int = 0) -> np.ndarray:
    """The values of a column that starts after so many rows, none of them empty."""
    values = _array(path, name, column, span)
    if column.null_count or values.dtype == object:
        empty = column.is_null().to_numpy() | (values == "" if values.dtype == object else False)
        if empty.any():
            help_ = missing_help(int(empty.sum()), name, values.dtype != object)
            row = before + int(np.argmax(empty)) + 1
            raise fault("E306", f"{path}, row {row}, column `{name}`: the cell is empty", span, help=help_)
    return values


def _array(path: Path, name: str, column: Any, span: Span | None) -> np.ndarray:
    types = package("pyarrow.types", "pyarrow", "a parquet file", "parquet", span)
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array([(text or "").strip() for text in column.to_pylist()], dtype=object)
    if types.is_decimal(kind):
        return np.asarray(column.cast("float64").to_numpy())
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return np.asarray(column.to_numpy())
    raise broken(path, f"the column `{name}` holds {kind}, neither numbers nor texts", span)


@dataclass(frozen=True)
class Stretch:
    """Some rows of a file: how many came before them, how many they are, and their columns."""

    table: Path
    before: int
    rows: int
    readers: Readers


def stretches(path: Path, rows: int, wanted: frozenset[str], span: Span | None) -> tuple[int, Iterator[Stretch]]:
    """How many rows a file has, and its rows in stretches, of which only the columns wanted are read."""
    try:
        file = _opened(existing(path, span), span, pre_buffer=False, buffer_size=READ_AHEAD)  # otherwise it is all read ahead
    except BROKEN as error:
        raise broken(path, error, span) from None
    return file.metadata.num_rows, _stretches(path, file, rows, wanted, span)


def _stretches(path: Path, file: Any, rows: int, wanted: frozenset[str], span: Span | None) -> Iterator[Stretch]:
    table = package("pyarrow", "pyarrow", "a parquet file", "parquet", span).Table
    names, before = list(file.schema_arrow.names), 0
    with file:
        try:
            for batch in file.iter_batches(rows, columns=[n for n in names if n in wanted]):
                columns = table.from_batches([batch])
                known = {n: partial(_values, path, n, span, columns.column(n), before) for n in columns.column_names}
                unread = {n: partial(_column, path, n, span) for n in names if n not in known}
                yield Stretch(path, before, batch.num_rows, {**unread, **known})
                before += batch.num_rows
        except BROKEN as error:
            raise broken(path, error, span) from None
