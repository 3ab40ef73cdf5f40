"""Cells of tables: how they are read, whether they are numbers where these are due, and what is said of those that are not."""

from __future__ import annotations

import re
from contextlib import suppress

import numpy as np

from nnspec.diagnostics import Fault, Span, fault
from nnspec.record import dataclass

MAX_QUOTED = 40
KINDS = "biufUO"
"""NumPy's letters for numbers, truths and texts."""
NOT_FINITE_HELP = "fill in the value, or remove the row"
TRUTHS = {"true": True, "false": False}
DATE, MAX_DATES = re.compile(r"\d{4}-\d{1,2}-\d{1,2}\b|\d{1,2}([./])\d{1,2}\1\d{2,4}\b"), 100
DECIMAL_COMMA = re.compile(r"[-+]?\d[\d.]*,\d+")


@dataclass(frozen=True)
class Cells:
    """How the cells of a table are read: whether some may be empty, and which columns are of texts even where these look like numbers."""

    gaps: bool = False
    texts: frozenset[str] = frozenset()


NUMBERS_OR_TEXTS = Cells()


def quoted(text: str) -> str:
    """A text of the data, short enough for a message."""
    return f"`{text}`" if len(text) <= MAX_QUOTED else f"`{text[:MAX_QUOTED]}...`"


def as_float(text: str) -> float | None:
    with suppress(ValueError):
        return float(text) if as_elsewhere(text) else None
    return None


def as_elsewhere(text: str) -> bool:
    """Whether a number would be one to other programs, too: Python's has `_` between digits, and digits of every script."""
    return "_" not in text and text.isascii()


def as_truths(values: np.ndarray) -> np.ndarray:
    """Texts that are all `True` or `False`, as truths; else as they are."""
    if values.dtype != object or not all(str(v).lower() in TRUTHS for v in set(values.flat)):
        return values
    return np.reshape([TRUTHS[str(v).lower()] for v in values.flat], values.shape)


def are_numbers(values: np.ndarray, gaps: bool) -> bool:
    """Whether all are finite, or, where there may be gaps, NaN."""
    return bool(not np.isinf(values).any() if gaps else np.isfinite(values).all())


def not_a_number(text: str, message: str, span: Span | None, help: str) -> Fault:
    """What to say of a text where a number is due; of 3,14 how it is written."""
    if not as_elsewhere(text):
        with suppress(ValueError):
            help = f"write {float(text):.17g}"
    if not DECIMAL_COMMA.fullmatch(text):
        return fault("E309", message, span, help=help)
    point, whole = text.replace(".", "").replace(",", "."), text.replace(".", "").replace(",", "")
    thousands = f", or {whole} if the comma parts thousands" if len(text) - text.index(",") == 4 else ""
    return fault("E311", f"{message}; it has a decimal comma", span, help=f"write {point}{thousands}")


def text_help(name: str, texts: np.ndarray) -> str:
    """How a column of texts gets into a model: as the class numbers of an input of its own, or of a date as numbers."""
    if all(DATE.match(text) for text in texts.flat[:MAX_DATES]):
        return "a date is written as numbers, each in a column of its own: its month, its weekday, or the days since the first"
    port = name if name.isidentifier() else "kind"
    declared = f"`input {port}: class({len(set(texts.flat))})`" + ("" if port == name else f', `kind = "{name}"` in the source,')
    return f"texts become class numbers in an input of their own: {declared} and `one_hot({port})`"
