"""A csv file to fields: all columns at once where nothing in it surprises, and otherwise cell by cell, each mistake with its place."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import dropwhile
from pathlib import Path

import numpy as np

from nnspec.diagnostics import Fault, Span, fault
from nnspec.record import dataclass
from nnspec.source import UTF_16
from nnspec.train.cells import (
    DECIMAL_COMMA,
    NOT_FINITE_HELP,
    NUMBERS_OR_TEXTS,
    Cells,
    are_numbers,
    as_elsewhere,
    as_float,
    not_a_number,
    quoted,
)
from nnspec.train.files import broken, existing, missing_help
from nnspec.train.quick import plain_columns
from nnspec.train.readers import Readers, in_memory

QUICK_FROM = 1 << 22
"""Bytes of a file from which loading pyarrow, a quarter of a second, pays."""
SEPARATORS = {";": ("semicolons", ";"), "\t": ("tabs", "\\t"), "|": ("bars", "|")}
"""Signs that part cells elsewhere, in words and as they are written in Python."""
ARRAYS = ("npy", "npz", "parquet")
IN_UTF_8 = "save it as UTF-8: `iconv -f CODE -t UTF-8`, of which CODE is what it is written in, such as LATIN1 or LATIN2"
GAPS = ("", "nan", "+nan", "-nan")
"""Cells that are gaps among numbers."""
FOR_NOTHING = ("na", "n/a", "#n/a", "<na>", "null", "none", "nil", "?", "-")
"""What other programs write into the cell of a missing number."""
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""What the files of these begin with."""


@dataclass(frozen=True)
class Table:
    """The text of a csv file below its header by rows, with the line that each ends on, and how its cells are read."""

    path: Path
    span: Span | None
    cells: Cells
    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    @property
    def gaps(self) -> bool:
        return self.cells.gaps

    def place(self, row: int) -> str:
        return f"row {row + 1} (line {self.lines[row]})"

    def column(self, index: int) -> np.ndarray:
        """Numbers, or an array of texts where no cell is a number, or texts are due. A gap is NaN, or an empty text."""
        cells = [row[index].strip() for row in self.rows]
        if self.names[index] in self.cells.texts and (self.gaps or all(cells)):
            return np.array(cells, dtype=object)
        with suppress(ValueError):
            values = np.array([c or "nan" for c in cells] if self.gaps else cells, dtype=np.float64)
            if are_numbers(values, self.gaps) and as_elsewhere("".join(cells)):
                return values
        numbers = [_is_finite(c) for c in cells]
        if self._is_text(cells, numbers):
            return np.array(cells, dtype=object)
        wrong = (i for i, cell in enumerate(cells) if not numbers[i] and not (self.gaps and cell.lower() in GAPS))
        raise self._bad_cell(cells, cells.index("") if "" in cells and not self.gaps else next(wrong), index)

    def _is_text(self, cells: Sequence[str], numbers: Sequence[bool]) -> bool:
        if not self.gaps:
            return all(cells) and not any(numbers)
        return all(as_float(cell) is None or cell.lower() in GAPS for cell in cells)

    def _bad_cell(self, cells: Sequence[str], row: int, index: int) -> Fault:
        name = self.names[index]
        place = f"{self.path}, {self.place(row)}, column `{name}`"
        value, is_number = as_float(cells[row]), any(map(_is_finite, cells))
        if not cells[row]:
            help_ = missing_help(self.path, cells.count(""), is_number, self.span)
            return fault("E306", f"{place}: the cell is empty", self.span, help=help_)
        if value is not None:
            help_ = missing_help(self.path, 1, is_number, self.span) if math.isnan(value) else NOT_FINITE_HELP
            return fault("E306", f"{place}: {quoted(cells[row])} is not a finite number", self.span, help=help_)
        message = f"{place}: {quoted(cells[row])} is not a number"
        help_ = "a column holds only numbers, or no number"
        if cells[row].lower() in FOR_NOTHING and is_number:
            how = "" if self.gaps else ", and `missing = drop` or `missing = mean` in the source says what becomes of it"
            help_ = f"a missing value is an empty cell{how}"
        return not_a_number(cells[row], message, self.span, help_)


def _is_finite(cell: str) -> bool:
    value = as_float(cell)
    return value is not None and math.isfinite(value)


def read_csv(path: Path, span: Span | None, cells: Cells = NUMBERS_OR_TEXTS) -> Readers:
    """The columns of a csv file with a header row. With gaps a missing value is NaN or an empty text, and otherwise refused."""
    table = cache(partial(_table, path, span, cells))
    try:
        plain = plain_columns(path, cells) if existing(path, span).stat().st_size >= QUICK_FROM else None
    except OSError as error:
        raise broken(path, error.strerror, span) from None
    closer = {name: partial(_column, table, i) for i, name in enumerate(plain or table().names)}
    return {**closer, **in_memory({name: values for name, values in (plain or {}).items() if values is not None})}


def _column(table: Callable[[], Table], index: int) -> np.ndarray:
    return table().column(index)


def _table(path: Path, span: Span | None, cells: Cells) -> Table:
    try:
        numbered = _numbered_rows(path, span)
    except OSError as error:
        raise broken(path, error.strerror, span) from None
    if not numbered:
        raise broken(path, "it is empty", span)
    (_, header), *body = numbered
    table = Table(path, span, cells, [name.strip() for name in header], [row for _, row in body], [line for line, _ in body])
    _check_header(table)
    for i, row in enumerate(table.rows):
        if len(row) != len(table.names):
            message = f"{path}, {table.place(i)} has {_cells(len(row))}, and the header has {len(table.names)}"
            more = "; a text with a comma in it stands in quotes, and a number has a decimal point" if len(row) > len(table.names) else ""
            raise fault("E309", message, span, help=f"every row has a cell for each column{more}")
    return table


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _numbered_rows(path: Path, span: Span | None) -> list[tuple[int, list[str]]]:
    """The header and the rows below it, each with the line that it ends on; where they have one column, a blank line is an empty cell."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            numbered = list(dropwhile(lambda numbered: not numbered[1], ((reader.line_num, row) for row in reader)))
        except csv.Error as error:
            raise broken(path, f"line {reader.line_num}: {error}", span) from None
        except UnicodeDecodeError:
            raise _not_utf_8(path, span) from None
    one_column = bool(numbered) and len(numbered[0][1]) == 1
    return [(line, row or [""]) for line, row in numbered if row or one_column]


def _not_utf_8(path: Path, span: Span | None) -> Fault:
    if (kind := path.suffix.lower().removeprefix(".")) in ARRAYS:
        help_ = f'arrays are read by `{kind}("{path.name}", ..)`; a series is a column of a csv file'
        return fault("E309", f"{path} cannot be read: it is no csv file", span, help=help_)
    found, help_ = packed(path)
    with path.open("rb") as file:
        if file.read(2) in UTF_16:
            found, help_ = "it is text in UTF-16, and not in UTF-8", "save it as UTF-8, or `iconv -f UTF-16 -t UTF-8`"
        if not found:
            file.seek(0)
            place = next((f": line {i} has the byte {b:#04x}" for i, row in enumerate(file, 1) if (b := _foreign(row))), "")
            found, help_ = f"it is not text in UTF-8{place}", IN_UTF_8
    return fault("E309", f"{path} cannot be read: {found}", span, help=help_)


def packed(path: Path) -> tuple[str, str]:
    """What a file is that has its text packed, and what to do; nothing of any other."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(GZIP):
        named = path.suffix.lower() == ".gz"  # else gunzip refuses to name what comes out
        return (
            "it is packed by gzip",
            f"unpack it: `gunzip {f'--keep {path.name}' if named else f'-c {path.name} > {path.stem}_plain.csv'}`",
        )
    if start == ZIP:
        return "it is a zip archive, as the file of a spreadsheet is", "save the sheet as csv, or unpack the archive"
    return "", ""


def _foreign(line: bytes) -> int:
    """The first byte that UTF-8 does not have there; 0 where there is none."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return line[error.start]
    return 0


def _check_header(table: Table) -> None:
    names = table.names
    if len(names) == 1:
        _check_separator(table)
    if all(as_float(name) is not None for name in names):
        raise broken(table.path, "its first line holds numbers, where the names of the columns are expected", table.span)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        numbers = " and ".join(str(i + 1) for i, name in enumerate(names) if name == twice[0])
        message = f"{table.path} cannot be read: two columns are called `{twice[0]}`, columns {numbers}"
        raise fault("E309", message, table.span, help="give each another name in the first line")


def _check_separator(table: Table) -> None:
    """Refuse a header that other signs than commas part."""
    sign, count = max(((s, table.names[0].count(s)) for s in SEPARATORS), key=lambda pair: pair[1])
    if count:
        words, written = SEPARATORS[sign]
        commas = any(DECIMAL_COMMA.fullmatch(c) for row in table.rows[:9] for c in ",".join(row).split(sign))
        points = r'.replace(r"^([-+]?\d+),(\d+)$", r"\1.\2", regex=True)' if commas else ""
        file, new = table.path.name, f"{table.path.stem}_commas.csv"
        message = f"{table.path} has {words} between its cells, and a csv file has commas"
        help_ = f'in pandas `pd.read_csv("{file}", sep="{written}", dtype=str, keep_default_na=False){points}.to_csv("{new}", index=False)`'
        raise fault("E310", message, table.span, help=help_)
