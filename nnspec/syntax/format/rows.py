"""Statements as rows of cells, and the columns in which the cells of rows that belong together stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby

from nnspec.diagnostics import columns
from nnspec.record import dataclass
from nnspec.syntax.format.document import Doc, flat, forced

LIMIT = 120
MAX_SPACES = 8
WORDS = ("input", "target", "output", "loss", "metric", "share", "param", "state")
NAMED = ("output named", "loss named", "metric named", "share named")
TYPED = "param typed"
TYPE = 2
COLUMNS = {"let": (0, 1), "assign": (0, 1), "update": (0, 1), TYPED: (1, 3), **dict.fromkeys(NAMED, (1, 2))}
"""The cells that stand in columns where lines of a shape follow each other."""


@dataclass(frozen=True)
class Row:
    """A statement: cells that can be columns, then the rest. Rows of one `shape` have the same cells; `room` is the width for them."""

    shape: str
    cells: tuple[str, ...]
    rest: Doc
    above: tuple[str, ...]
    after: str
    room: int

    @property
    def doc(self) -> Doc:
        return (*(f"{c} " for c in self.cells), self.rest)

    @cached_property
    def width(self) -> int:
        return columns(flat(self.doc))

    @cached_property
    def on_one_line(self) -> bool:
        return not forced(self.rest) and self.width <= self.room

    def padded(self, index: int, width: int) -> Row:
        cell = self.cells[index]
        wider = cell + " " * (width - columns(cell))
        return replace(self, cells=(*self.cells[:index], wider, *self.cells[index + 1 :]))


def aligned(rows: list[Row]) -> list[Row]:
    """Rows with their cells in columns: settings of a block, words of a paragraph, and lines of one shape."""
    rows = _in_columns(rows, lambda row: row.shape == "setting" and row.on_one_line)
    done = [row for paragraph in _paragraphs(rows) for row in _paragraph_aligned(paragraph)]
    return [row for paragraph in _paragraphs(done) for row in _comments_aligned(paragraph)]


def _paragraphs(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows between blank lines."""
    found: list[Row] = []
    for row in rows:
        if "" in row.above and found:
            yield found
            found = []
        found.append(row)
    if found:
        yield found


def _paragraph_aligned(rows: list[Row]) -> list[Row]:
    rows = _in_columns(rows, lambda row: row.shape.partition(" ")[0] in WORDS)
    out: list[Row] = []
    for shape, run in groupby(rows, lambda row: row.shape if row.on_one_line else ""):
        lines = list(run)
        first, last = COLUMNS.get(shape, (0, 0))
        for index in range(first, last):
            lines = _run_aligned(lines, index)
        out += lines
    return out


def _run_aligned(rows: list[Row], index: int) -> list[Row]:
    """One column of as many rows as can share it, and then of the others."""
    out: list[Row] = []
    while rows:
        count, width = _sharing(rows, index)
        out += [r.padded(index, width) for r in rows[:count]]
        rows = rows[count:]
    return out


def _sharing(rows: list[Row], index: int) -> tuple[int, int]:
    """How many rows, from the first on, can share a column, and its width: names of about one length, and no line too long."""
    narrow = wide = columns(rows[0].cells[index])
    reach = rows[0].width - wide
    for count, row in enumerate(rows[1:], start=1):
        width = columns(row.cells[index])
        bounds = min(narrow, width), max(wide, width), max(reach, row.width - width)
        if (index < TYPE and bounds[1] - bounds[0] > MAX_SPACES) or bounds[1] + bounds[2] > row.room:
            return count, wide
        narrow, wide, reach = bounds
    return len(rows), wide


def _in_columns(rows: Sequence[Row], takes_part: Callable[[Row], bool]) -> list[Row]:
    """The same with the first cells of those that take part equally wide."""
    width = max((columns(r.cells[0]) for r in rows if takes_part(r)), default=0)
    return [r.padded(0, width) if takes_part(r) else r for r in rows]


def _comments_aligned(rows: list[Row]) -> list[Row]:
    """Comments behind lines that follow each other begin in one column, where they all stay within the width."""
    out: list[Row] = []
    for has_comment, run in groupby(rows, lambda row: bool(row.after and row.on_one_line)):
        lines = list(run)
        widest = max(r.width for r in lines) if has_comment else 0
        if has_comment and all(widest + 1 + columns(r.after) <= r.room for r in lines):
            lines = [replace(r, after=" " * (widest - r.width) + r.after) for r in lines]
        out += lines
    return out
