"""npy files to fields: an array, the columns of a structured one, or a folder with an array for each field; read whole or in stretches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from nnspec.array import Array
from nnspec.diagnostics import Span, fault
from nnspec.record import dataclass
from nnspec.run.stored import Opened
from nnspec.train.cells import NUMBERS_OR_TEXTS, Cells
from nnspec.train.files import BROKEN, broken, check_size, existing, rows_at_once
from nnspec.train.readers import Readers, Stretch, Tall

ONLY = "array"
"""The field of a file that holds one array."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class Field:
    """An array in a file, or one column of it: where its rows begin, and what they are. The file holds what its header promises."""

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    column: str = ""

    @property
    def row_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def whole(self, span: Span | None) -> Array:
        way = f'saved by `np.save("{self.path.name}", np.ascontiguousarray(array))` it is read from the disk; or '
        check_size(prod(self.shape) * self.dtype.itemsize, str(self.path), span, way if self.by_columns else "")
        try:
            with self.path.open("rb") as file:
                return self._chosen(npy.read_array(file, allow_pickle=False))
        except BROKEN as error:
            raise broken(self.path, error, span) from None

    def part(self, file: Opened, start: int, stop: int) -> Array:
        """Some rows."""
        values: Array = np.empty((stop - start, *self.shape[1:]), self.dtype)
        file.read(values, self.start + start * self.row_bytes)
        return self._chosen(values)

    def _chosen(self, values: Array) -> Array:
        return values[self.column] if self.column else values


def read_npy(path: Path, span: Span | None, _: Cells = NUMBERS_OR_TEXTS) -> Readers:
    """The fields of a file, or of a folder."""
    return {name: partial(field.whole, span) for name, field in _fields(path, span).items()}


def tall_npy(path: Path, span: Span | None, _: Cells, wanted: frozenset[str]) -> Tall | None:
    """These fields, to be read a stretch at a time; None where they are no rows one after the other."""
    fields = {name: field for name, field in _fields(path, span).items() if name in wanted}
    if not fields or any(not f.shape or f.by_columns for f in fields.values()):
        return None
    rows, first = next((f.shape[0], n) for n, f in fields.items())
    for name, field in fields.items():
        if field.shape[0] != rows:
            raise fault("E308", f"{path}: `{name}` has {field.shape[0]} examples, and `{first}` has {rows}", span)
    size = sum(rows * f.row_bytes for f in fields.values())
    return Tall(rows, size, partial(_stretches, path, fields))


def _fields(path: Path, span: Span | None) -> dict[str, Field]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix == ".npy" and not p.name.startswith("."))
        if not files:
            help_ = "`npy` takes a file, or a folder with a file NAME.npy for each field"
            raise fault("E308", f"there are no npy files in {path}", span, help=help_)
        return {p.stem: _field(p, span) for p in files}
    field = _field(path, span)
    columns = field.dtype.names or ()
    return {n: Field(path, field.start, field.shape, field.dtype, field.by_columns, n) for n in columns} or {ONLY: field}


def _field(path: Path, span: Span | None) -> Field:
    """What the header of a file says, which is believed when the file is as long."""
    try:
        with existing(path, span).open("rb") as file:
            version = npy.read_magic(file)
            if version not in HEADERS:
                raise broken(path, f"it is of version {version[0]}.{version[1]} of npy, and those to 2.0 are read", span)
            shape, by_columns, dtype = HEADERS[version](file)
            start = file.tell()
    except BROKEN as error:
        raise broken(path, error, span) from None
    if dtype.hasobject:
        raise broken(path, "it holds Python objects, which are not loaded", span)
    size, there = prod(shape) * dtype.itemsize, path.stat().st_size - start
    if min(shape, default=0) < 0 or size > there:
        raise broken(path, f"its header promises {size:,} bytes, and {there:,} follow", span)
    return Field(path, start, shape, dtype, by_columns and len(shape) > 1)


def _stretches(path: Path, fields: Mapping[str, Field], wanted: frozenset[str]) -> Iterator[Stretch]:
    """All rows of the fields wanted, a few at a time."""
    read = {name: field for name, field in fields.items() if name in wanted}
    files = {}
    for field in read.values():
        with field.path.open("rb") as file:
            files[field.path] = Opened(file)
    total = max((f.shape[0] for f in fields.values()), default=0)
    step = rows_at_once(sum(f.row_bytes for f in read.values()))
    for start in range(0, total, step):
        stop = min(start + step, total)
        yield Stretch(path, start, stop - start, {n: partial(f.part, files[f.path], start, stop) for n, f in read.items()})
