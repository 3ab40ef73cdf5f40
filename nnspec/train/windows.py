"""Long files cut into windows: a text into its characters, a series into its past and what follows. No window is copied."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nnspec.array import Array
from nnspec.diagnostics import Fault, did_you_mean, fault
from nnspec.elaborate.sources import DataSource
from nnspec.train.cells import Cells, not_a_number, quoted
from nnspec.train.files import read_text
from nnspec.train.readers import Parts, in_memory
from nnspec.train.tables import read_csv

Fields = dict[str, Array]

TEXT_FIELDS = ("text", "next", "last")
TEXT_HELD_OUT = 10
SERIES_HELD_OUT = 5


def gap(source: DataSource) -> int | None:
    """Between examples that are trained on and later ones that are held out, so many have targets in common with both; None of others
    than a text or a series, whose examples do not follow each other in time.
    """
    if source.name == "series":
        return int(source.options["horizon"]) - 1
    if source.name == "text":
        return ceil(int(source.options["window"]) / _stride(source)) - 1
    return None


def text_parts(source: DataSource, path: Path, known: Sequence[str]) -> Parts:
    """The windows of a text; the last tenth of its characters is held out, where it is as long as a window and so is what is left."""
    text = read_text(path, source.span)
    alphabet = tuple(known or sorted(set(text)))
    numbers = _numbered(source, path, text, alphabet)
    labels = dict.fromkeys(TEXT_FIELDS, alphabet)
    window, stride = source.options["window"], _stride(source)
    seen = _windows(source, path, numbers, "characters")[::stride]
    if len(numbers) == window:
        why = _too_few(source, path, f"{len(numbers)} characters", " and the one after it")
        return Parts(in_memory({"text": seen}), labels=labels).refusing("next", why).refusing("last", why)
    cut = len(numbers) - len(numbers) // TEXT_HELD_OUT
    cut = cut if cut > window else len(numbers)
    train, test, everything = (_text_fields(part, window, stride) for part in (numbers[:cut], numbers[cut:], numbers))
    return Parts(in_memory(train), in_memory(test) or None, in_memory(everything), in_memory({"text": seen}), labels)


def _stride(source: DataSource) -> int:
    return int(source.options["stride"] or source.options["window"])


def _windows(source: DataSource, path: Path, values: Array, what: str) -> Array:
    """All windows of what a file has in a row, those at its end too, which nothing follows yet."""
    window = source.options["window"]
    if len(values) < window:
        raise _too_few(source, path, f"{len(values)} {what}")
    return sliding_window_view(values, window)


def _too_few(source: DataSource, path: Path, there: str, after: str = "") -> Fault:
    return fault("E308", f"{path} has {there}, too few for a window of {source.options['window']}{after}", source.span)


def _numbered(source: DataSource, path: Path, text: str, alphabet: Sequence[str]) -> Array:
    """The class number of every character: its place in the alphabet, which is sorted."""
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    letters = np.array([ord(c) for c in alphabet], np.uint32)
    numbers = np.searchsorted(letters, characters).clip(max=max(len(letters) - 1, 0))
    foreign = letters[numbers] != characters if len(letters) else np.zeros(0, bool)
    if foreign.any():
        at = int(np.argmax(foreign))
        message = f"{path}, character {at + 1}: {text[at]!r} is not in the text that was trained on"
        raise fault("E305", message, source.span)
    return numbers


def _text_fields(numbers: Array, window: int, stride: int) -> Fields:
    """`text`, the same one character on, and the one character after it."""
    if len(numbers) <= window:
        return {}
    seen = sliding_window_view(numbers, window + 1)[::stride]
    return dict(zip(TEXT_FIELDS, (seen[:, :-1], seen[:, 1:], seen[:, -1]), strict=True))


def series_parts(source: DataSource, path: Path, dtype: str) -> Parts:
    """Windows of a column in the order of the file, and the values after each; the last fifth is held out, whose targets none that
    are trained on share.
    """
    window, horizon = source.options["window"], source.options["horizon"]
    values = _column(source, path).astype(dtype)
    ahead = {"x": _windows(source, path, values, "rows")[:, :, None]}
    if len(values) < window + horizon:
        why = _too_few(source, path, f"{len(values)} rows", f" and {horizon} after it")
        return Parts(in_memory(ahead)).refusing("y", why)
    seen = sliding_window_view(values, window + horizon)
    cut = len(seen) - len(seen) // SERIES_HELD_OUT
    last = cut - horizon + 1 if cut < len(seen) else cut
    if last < 1:  # all are needed
        cut = last = len(seen)
    train, test, everything = (
        in_memory({"x": part[:, :window, None], "y": part[:, window:]}) if len(part) else None for part in (seen[:last], seen[cut:], seen)
    )
    assert train
    return Parts(train, test, everything, in_memory(ahead))


def _column(source: DataSource, path: Path) -> Array:
    columns, name = read_csv(path, source.span, Cells(gaps=True)), source.options["column"]
    if name not in columns:
        raise fault("E307", f"{path} has no column `{name}`", source.spans["column"], help=did_you_mean(name, columns))
    values: np.ndarray = columns[name]()
    if values.dtype == object:
        message = f"{path}: a series is of numbers, and the column `{name}` holds text: {quoted(values[0])} in row 1"
        raise not_a_number(values[0], message, source.spans["column"], "")
    if np.isnan(values).any():
        row = int(np.argmax(np.isnan(values))) + 1
        help_ = "fill in the value: what a series has to go on with is the row before"
        raise fault("E306", f"{path}, row {row}, column `{name}`: the cell is empty", source.spans["column"], help=help_)
    return values
