"""Predictions to a file: one row an example."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from nnspec.array import Array
from nnspec.diagnostics import Fault, fault, printable
from nnspec.elaborate.answers import Answer
from nnspec.files import whole, write_whole, writing
from nnspec.graph import Type
from nnspec.train.files import package
from nnspec.train.labels import Labels

FORMATS = (".csv", ".npz", ".parquet")
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d*\.?\d+$)")


class Classes(NamedTuple):
    """What an output has a number for each of: the classes of a target, by name; with a threshold, its one number is about the second."""

    target: str
    names: Sequence[str]
    threshold: float | None = None


def write(path: Path, outputs: Mapping[str, Array], classes: Mapping[str, Classes] = {}, files: Sequence[str] = ()) -> None:
    """Outputs as a table (csv or parquet, columns `probs_0`, `probs_1`, ..., or `probs_NAME` of `classes`) or npz (one array an output).

    After them comes what they say, the name of a class, called like the target. Where each example is one of some `files`, these are the
    first column, or array, unless an output is called `file`.
    """
    first = {"file": np.array([printable(file) for file in files], object)} if files else {}
    refuse_unknown(path)
    with writing(path):
        match path.suffix:
            case ".csv":
                write_whole(path, _csv({**first, **columns(outputs, classes)}))
            case ".parquet":
                with whole(path) as aside, ParquetFile(aside) as file:
                    file.append({**first, **columns(outputs, classes)})
            case _:
                texts = {n: v.astype(str) for n, v in {**first, **_answers(outputs, classes)}.items()}
                write_whole(path, _npz({**texts, **outputs}))


def refuse_unknown(path: Path) -> None:
    """A Fault (E504) for a kind of file that predictions are not written as."""
    if path.suffix not in FORMATS:
        raise fault("E504", f"predictions are written as {', '.join(FORMATS)}, not `{path.suffix or path.name}`")


def refuse_shared(path: Path, outputs: Mapping[str, Type]) -> None:
    """A Fault (E504) for a table of what does not have a row for each example."""
    if path.suffix in (".csv", ".parquet") and not all(type.has_batch for type in outputs.values()):
        raise _same_for_all()


def _same_for_all() -> Fault:
    return fault("E504", "an output of this model is the same for all examples, which a table cannot hold", help="write an .npz")


def classes_of(outputs: Mapping[str, Type], answers: Mapping[str, Answer], labels: Labels) -> dict[str, Classes]:
    """Of each output that says a target, the classes that its numbers stand for, where they have names."""
    found = {}
    for output, (target, threshold) in answers.items():
        names, shape = [printable(name) for name in labels.get(target, ())], outputs[output].shape[1:]
        if shape == (len(names),) if threshold is None else shape in ((), (1,)) and len(names) == 2:
            found[output] = Classes(target, names, threshold)
    return found


def columns(outputs: Mapping[str, Array], classes: Mapping[str, Classes] = {}) -> dict[str, Array]:
    """Every number of every output as a column with a row an example, and after them the names of the classes that they say."""
    numbers = _numbers(outputs, classes)
    return {**numbers, **{n: v for n, v in _answers(outputs, classes).items() if n not in numbers}}


def _answers(outputs: Mapping[str, Array], classes: Mapping[str, Classes]) -> dict[str, Array]:
    """For each target the likeliest class of every example, an empty text where no class is; of several outputs the first says it."""
    found: dict[str, Array] = {}
    for output, (target, names, threshold) in classes.items():
        numbers = outputs[output].reshape(len(outputs[output]), -1)
        if target not in found:
            said = numbers.argmax(1) if threshold is None else np.asarray(numbers[:, 0] > threshold, int)
            found[target] = np.where(np.isnan(numbers).any(1), "", np.array(names, object)[said])
    return found


def _numbers(outputs: Mapping[str, Array], classes: Mapping[str, Classes]) -> dict[str, Array]:
    """The columns of numbers, by the name of their class or their place in the example."""
    lengths = {len(v) if v.ndim else 0 for v in outputs.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise _same_for_all()
    flat = {n: v.reshape(len(v), -1) for n, v in outputs.items()}
    places = {n: range(v.shape[1]) for n, v in flat.items()}
    named = {n: classes[n].names if n in classes and classes[n].threshold is None else places[n] for n in flat}
    names = [n if outputs[n].ndim == 1 else f"{n}_{i}" for n in flat for i in named[n]]
    if len(set(names)) < len(names):
        if classes:  # a class is called as another output ends
            return _numbers(outputs, {})
        twice = next(name for name, times in Counter(names).items() if times > 1)
        owners = [n for n in flat if twice in (n, *(f"{n}_{i}" for i in named[n]))]
        message = f"the outputs {' and '.join(f'`{n}`' for n in owners)} would both have a column `{twice}`"
        raise fault("E504", message, help="write an .npz, which has an array for each output, or call one of them otherwise")
    return dict(zip(names, (v[:, i] for n, v in flat.items() for i in places[n]), strict=True))


class ParquetFile:
    """A table that grows, a row group at a time.

    >>> with ParquetFile(path) as file:
    ...     file.append({"p": probabilities})
    """

    def __init__(self, path: Path) -> None:
        self._arrow = package("pyarrow", "pyarrow", "a parquet file", "parquet", None)
        self._parquet = package("pyarrow.parquet", "pyarrow", "a parquet file", "parquet", None)
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> ParquetFile:
        return self

    def append(self, columns: Mapping[str, Array]) -> None:
        table = self._arrow.table(dict(columns))
        # Hardly two numbers are equal: a dictionary of them would take most of the time and a third of the file.
        texts = [name for name, values in columns.items() if values.dtype == object]
        self._writer = self._writer or self._parquet.ParquetWriter(self._path, table.schema, use_dictionary=texts)
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()


def _csv(columns: Mapping[str, Array]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_text if column.dtype == object else str, column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _text(cell: str) -> str:
    """A text as no spreadsheet computes it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _npz(outputs: Mapping[str, Array]) -> bytes:
    """As np.savez writes it, which cannot save an array that is called `file`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, values, allow_pickle=False)
    return buffer.getvalue()
