"""Predictions to a file: one row an example."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import fault
from nnspec.files import write_whole

Array = np.ndarray[Any, np.dtype[Any]]


def write(path: Path, outputs: Mapping[str, Array]) -> None:
    """Outputs as csv (columns `probs_0`, `probs_1`, ...) or npz (one array an output)."""
    if path.suffix not in (".csv", ".npz"):
        raise fault("E504", f"predictions are written as .csv or .npz, not `{path.suffix or path.name}`")
    try:
        write_whole(path, _csv(outputs) if path.suffix == ".csv" else _npz(outputs))
    except OSError as error:
        raise fault("E504", f"cannot write {path}: {error.strerror}") from None


def _csv(outputs: Mapping[str, Array]) -> bytes:
    lengths = {len(v) if v.ndim else 0 for v in outputs.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise fault("E504", "an output of this model is the same for all examples, which a csv cannot hold", help="write an .npz")
    columns = {n: v.reshape(len(v), -1) for n, v in outputs.items()}
    names = [n if outputs[n].ndim == 1 else f"{n}_{i}" for n, v in columns.items() for i in range(v.shape[1])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for rows in zip(*columns.values(), strict=True):
        writer.writerow([str(x) for row in rows for x in row])
    return text.getvalue().encode()


def _npz(outputs: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **outputs)  # type: ignore[arg-type]  # the stub takes keyword arrays for its flags
    return buffer.getvalue()
