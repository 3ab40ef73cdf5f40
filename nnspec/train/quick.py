"""A csv file in which nothing surprises, read by pyarrow: the same values as cell by cell, or no answer."""

from __future__ import annotations

import csv
import importlib
import mmap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.train.cells import NUMBERS_OR_TEXTS, Cells, are_numbers, as_float

SAMPLE = 1 << 16
"""Bytes from the start of a file by which a column is expected to be of numbers or of texts."""

CHUNK = 1 << 20
"""Bytes that are looked at together."""
QUOTE, BESIDE_QUOTES = ord('"'), tuple(b',\r\n"')

Columns = dict[str, Array | None]


def plain_columns(path: Path, cells: Cells = NUMBERS_OR_TEXTS) -> Columns | None:
    """The columns by name, None for one whose cells want a closer look; None where the file does, or pyarrow is not installed."""
    try:
        arrow, reader = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.csv")
    except ImportError:
        return None
    gaps, kinds, quotes = cells.gaps, _expected(path, cells), _quotes(path)
    if not kinds or quotes is None:
        return None
    types = {name: arrow.float64() if number else arrow.dictionary(arrow.int32(), arrow.string()) for name, number in kinds.items()}
    with path.open("rb") as file:
        file.readline()
        try:
            table = reader.read_csv(
                file,
                reader.ReadOptions(column_names=list(kinds)),
                reader.ParseOptions(quote_char=quotes and '"', ignore_empty_lines=len(kinds) > 1, newlines_in_values=quotes),
                reader.ConvertOptions(column_types=types, null_values=[""]),
            )
        except (ValueError, OSError):  # a row that is too long, a text among numbers, what is no UTF-8
            return None
    return {n: _numbers(column, gaps) if kinds[n] else _texts(column, gaps) for n, column in zip(kinds, table.columns, strict=True)}


def _quotes(path: Path) -> bool | None:
    """Whether there are quotes; None where one is elsewhere than around a whole cell, or twice within one."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b'"') < 0:
            return False
        head, inside = len(file.readline()), False
        if content[:head].count(b'"') % 2:
            return None
        for start in range(head, len(content), CHUNK):
            piece = np.frombuffer(content[start - 1 : start + CHUNK + 1] + b"\n", np.uint8)
            quotes = np.flatnonzero(piece[1 : CHUNK + 1] == QUOTE) + 1
            opening, closing = quotes[inside::2], quotes[not inside :: 2]
            if not (np.isin(piece[opening - 1], BESIDE_QUOTES).all() and np.isin(piece[closing + 1], BESIDE_QUOTES).all()):
                return None
            inside ^= bool(len(quotes) % 2)
    return None if inside else True


def _expected(path: Path, cells: Cells) -> dict[str, bool] | None:
    """Each column by name, whether its first cells are numbers; None where the file does not begin as it should."""
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    try:
        names, *rows = _rows(start[: start.rfind(b"\n") + 1].decode("utf-8-sig").split("\n")[:-1])
    except ValueError:
        return None
    names, rows = [name.strip() for name in names], [row or [""] for row in rows if row or len(names) == 1]
    if len(set(names)) < len(names) or not rows or any(len(row) != len(names) for row in rows):
        return None
    one_odd_name = len(names) == 1 and not names[0].isidentifier()  # perhaps semicolons part the cells
    if one_odd_name or all(as_float(name) is not None for name in names):
        return None
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return {
        name: name not in cells.texts and all(as_float(cell) is not None for cell in column if cell or not cells.gaps)
        for name, column in columns.items()
    }


def _rows(lines: Sequence[str]) -> Iterator[list[str]]:
    """The rows in these lines; the last, which may be the beginning of one, only if it is whole."""
    with suppress(csv.Error):
        yield from csv.reader(lines, strict=True)


def _numbers(column: Any, gaps: bool) -> Array | None:
    values: Array = column.to_numpy()
    return values if are_numbers(values, gaps) else None


def _texts(column: Any, gaps: bool) -> Array | None:
    """Texts without white space around them, none of them a number, or empty unless there may be gaps."""
    whole = column.unify_dictionaries().combine_chunks()
    texts = [text.strip() for text in whole.dictionary.to_pylist()]
    if not any(texts) or any(not (t or gaps) or as_float(t) is not None or len(t) > csv.field_size_limit() for t in texts):
        return None
    values: Array = np.array(texts, dtype=object)[whole.indices.to_numpy()]
    return values
