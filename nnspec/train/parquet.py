"""Parquet files to fields: the only door of pyarrow, an optional package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Span, fault
from nnspec.train.files import BROKEN, MAX_EXPANDED, NOT_FINITE_HELP, Readers, broken, existing, package

WIDEST = 8


def read_parquet(path: Path, span: Span | None) -> Readers:
    """The columns of a parquet file, numbers, truths or texts."""
    try:
        with _opened(existing(path, span), span) as file:
            names, metadata = list(file.schema_arrow.names), file.metadata
    except BROKEN as error:
        raise broken(path, error, span) from None
    size = max(sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)), WIDEST * metadata.num_rows)
    if size > MAX_EXPANDED:
        raise broken(path, f"it expands to {size} bytes, and at most {MAX_EXPANDED} are read", span)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise broken(path, f"two columns are called `{twice[0]}`", span)
    return {name: partial(_column, path, name, span) for name in names}


def _opened(path: Path, span: Span | None) -> Any:
    return package("pyarrow.parquet", "pyarrow", "a parquet file", "parquet", span).ParquetFile(path)


def _column(path: Path, name: str, span: Span | None) -> np.ndarray:
    try:
        with _opened(path, span) as file:
            column = file.read(columns=[name]).column(name)
        values = _array(path, name, column, span)
        empty = column.is_null().to_numpy() | (values == "" if values.dtype == object else False)
        if empty.any():
            row = int(np.argmax(empty)) + 1
            raise fault("E306", f"{path}, row {row}, column `{name}`: the cell is empty", span, help=NOT_FINITE_HELP)
        return values
    except BROKEN as error:
        raise broken(path, f"column `{name}`: {error}", span) from None


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
