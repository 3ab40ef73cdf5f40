"""What tells one data set from another: a checksum of every field."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from nnspec.array import Array
from nnspec.run.fractions import Fractions
from nnspec.train.check import Fields
from nnspec.train.data import Dataset

Fingerprint = dict[str, dict[str, str]]
"""Of each part of a data set and each field in it."""
PART = 1 << 24  # bytes that are laid out at once: windows of a text lie over one another


def fingerprints(data: Sequence[Dataset]) -> list[Fingerprint]:
    """One for every train block; those that share their data share the work."""
    known: dict[int, Fingerprint] = {}
    for dataset in data:
        if id(dataset) not in known:
            parts = {"training": dataset.train, "validation": dataset.validation or {}}
            known[id(dataset)] = {part: _of(fields) for part, fields in parts.items()}
    return [known[id(dataset)] for dataset in data]


def _of(fields: Fields) -> dict[str, str]:
    return {name: _checksum(v.numbers if isinstance(v, Fractions) else v) for name, v in fields.items()}


def _checksum(values: Array) -> str:
    rows = max(1, PART // max(1, values[:1].nbytes))
    found = zlib.crc32(f"{values.dtype.str}{values.shape}".encode())
    for start in range(0, len(values), rows):
        found = zlib.crc32(np.ascontiguousarray(values[start : start + rows]).data.cast("B"), found)
    return f"{found:08x}"
