"""Export with proof: a model file is written only once onnxruntime has computed with it what the definition computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import fault
from nnspec.files import write_whole
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME, size_names
from nnspec.interchange.prove import check
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import DEFAULT_OPSET, to_onnx
from nnspec.run import reference
from nnspec.run.ort import REFUSALS, Session

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_DIFFERENCE = 1e-4
# A gradient that is 0 but for rounding has nothing to be compared with.
SMALLEST_SCALE = 1e-2
LARGEST_FILE = 2**31 - 2**20
# Each run-time size takes both lengths of its pair.
BATCHES, LENGTHS = (1, 7), (3, 5)


@dataclass(frozen=True)
class Proof:
    """A file that was written, and how far its outputs were from the definition, over the largest output."""

    path: Path
    difference: float
    opset: int
    ir: int
    size: int

    @property
    def sentence(self) -> str:
        equal = f"equal to the reference within {self.difference:.1e} at batch {' and '.join(map(str, BATCHES))}"
        return f"{self.path}: {self.size:,} bytes, opset {self.opset}, IR {self.ir}; in onnxruntime {equal}"


def export(
    graph: Graph, weights: Mapping[str, Array], path: Path, *, metadata: Mapping[str, str] = {}, seed: int = 0, opset: int = DEFAULT_OPSET
) -> Proof:
    """Write a float32 graph as ONNX once it is proved right; a failure leaves the file that was there."""
    if any(n.type.dtype == "float64" for n in graph):
        raise fault("E505", "a float64 model cannot be exported", help="compile it as float32: onnxruntime lacks float64 convolutions")
    if sum(np.asarray(w).nbytes for w in weights.values()) > LARGEST_FILE:
        raise fault("E505", "the model is larger than 2 GiB, which no ONNX file can be")
    model = to_onnx(*simplified(graph, weights), metadata=metadata, opset=opset)
    check(model)
    content = model.SerializeToString()
    difference = _difference(graph, weights, content, np.random.default_rng(seed))
    if not difference <= LARGEST_DIFFERENCE:
        raise fault("E505", f"onnxruntime and the definition differ by {difference:.2g} of the largest output")
    _write(path, content)
    return Proof(path, difference, opset, model.ir_version, len(content))


def _difference(graph: Graph, weights: Mapping[str, Array], content: bytes, rng: np.random.Generator) -> float:
    """The largest over all inputs tried and all outputs."""
    differences = [0.0]
    try:
        session = Session(content)
        for feeds in _random_feeds(graph, rng):
            expected = reference.run(graph, {**weights, **feeds})
            got = session.run(feeds)
            differences += [distance(got[o], e) for o, e in zip(session.outputs, expected.values(), strict=True)]
    except REFUSALS as error:
        raise fault("E505", f"onnxruntime refuses the model: {' '.join(str(error).split())}") from error
    return float(np.max(differences))  # NaN stays NaN


def _random_feeds(graph: Graph, rng: np.random.Generator) -> Iterator[dict[str, Array]]:
    inputs = {n.name: n.type for n in graph if n.op.name == "input"}
    names = set().union(*(size_names(t.shape) for t in inputs.values()))
    for batch, length in zip(BATCHES, LENGTHS, strict=True):
        sizes = {n: batch if n == BATCH_NAME else length for n in names}
        yield {name: _random_value(type.bound(sizes), rng) for name, type in inputs.items()}


def _random_value(type: Type, rng: np.random.Generator) -> Array:
    size: Any = type.shape  # bound: all are numbers
    drawn = rng.normal(size=size) if type.is_float else rng.integers(0, type.classes or 2, size)
    return np.asarray(drawn, type.dtype)


def distance(got: Array, expected: Array) -> float:
    """The largest difference, over the largest number expected; infinite when shape or anything not finite differs."""
    finite = np.isfinite(expected)
    if got.shape != expected.shape or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return np.inf
    got, expected = np.asarray(got[finite], np.float64), np.asarray(expected[finite], np.float64)
    scale = np.max(np.abs(expected), initial=SMALLEST_SCALE)
    return float(np.max(np.abs(got - expected), initial=0.0) / scale)


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise fault("E504", f"`{path}` cannot be written: {error.strerror}") from error
