"""Predictions to a file: one row an example."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from nnspec.diagnostics import fault, printable
from nnspec.files import whole, write_whole, writing
from nnspec.graph import Type
from nnspec.train.files import package
from nnspec.train.labels import Labels

FORMATS = (".csv", ".npz", ".parquet")
Array = np.ndarray[Any, np.dtype[Any]]
Classes = Mapping[str, Sequence[str]]
"""The names of the classes that an output has a number for each of."""


def write(path: Path, outputs: Mapping[str, Array], classes: Classes | None = None, files: Sequence[str] = ()) -> None:
    """Outputs as a table (csv or parquet, columns `probs_0`, `probs_1`, ..., or `probs_NAME` of `classes`) or npz (one array an output).

    Where each example is one of some `files`, these are the first column, or array, unless an output is called `file`.
    """
    first = {"file": np.array([printable(file) for file in files])} if files else {}
    refuse_unknown(path)
    with writing(path):
        match path.suffix:
            case ".csv":
                write_whole(path, _csv({**first, **columns(outputs, classes)}))
            case ".parquet":
                with whole(path) as aside, ParquetFile(aside) as file:
                    file.append({**{n: v.astype(object) for n, v in first.items()}, **columns(outputs, classes)})
            case _:
                write_whole(path, _npz({**first, **outputs}))


def refuse_unknown(path: Path) -> None:
    """A Fault (E504) for a kind of file that predictions are not written as."""
    if path.suffix not in FORMATS:
        raise fault("E504", f"predictions are written as {', '.join(FORMATS)}, not `{path.suffix or path.name}`")


def classes_of(outputs: Mapping[str, Type], inputs: Collection[str], targets: Mapping[str, Type], labels: Labels) -> dict[str, list[str]]:
    """Of each output the class names that its numbers stand for: those of the only target of so many classes that has names.

    An ONNX model has names of targets that it does not declare.
    """
    single = [texts for name, texts in labels.items() if name not in inputs and (name not in targets or targets[name].rank == 1)]
    found = {}
    for output, type in outputs.items():
        named = [texts for texts in single if type.shape[1:] == (len(texts),)]
        if len(named) == 1:
            found[output] = [printable(name) for name in named[0]]
    return found


def columns(outputs: Mapping[str, Array], classes: Classes | None = None) -> dict[str, Array]:
    """Every number of every output as a column with a row an example, by the name of its class or its place in the example."""
    lengths = {len(v) if v.ndim else 0 for v in outputs.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise fault("E504", "an output of this model is the same for all examples, which a table cannot hold", help="write an .npz")
    flat = {n: v.reshape(len(v), -1) for n, v in outputs.items()}
    places = {n: range(v.shape[1]) for n, v in flat.items()}
    names = [n if outputs[n].ndim == 1 else f"{n}_{i}" for n in flat for i in (classes or {}).get(n, places[n])]
    if len(set(names)) < len(names):  # a class is called as another output ends
        return columns(outputs)
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
        # Hardly two predictions are equal: a dictionary of them would take most of the time and a third of the file.
        self._writer = self._writer or self._parquet.ParquetWriter(self._path, table.schema, use_dictionary=False)
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()


def _csv(columns: Mapping[str, Array]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(str, column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _npz(outputs: Mapping[str, Array]) -> bytes:
    """As np.savez writes it, which cannot save an array that is called `file`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, values, allow_pickle=False)
    return buffer.getvalue()
