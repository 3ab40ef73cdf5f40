"""The proof of an export: onnxruntime computes with the file what the definition computes with the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import fault
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME, size_names
from nnspec.run import reference
from nnspec.run.ort import REFUSALS, Session

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_DIFFERENCE = 1e-4
# Of a training step: where relu and max pools decide by the last bit, two ways of adding up come to 4.8e-4 (GoogLeNet, 41 draws).
LARGEST_OF_STEP = 1e-3
# A gradient that is 0 but for rounding has nothing to be compared with.
SMALLEST_SCALE = 1e-2
# Each run-time size takes both lengths of its pair.
BATCHES, LENGTHS = (1, 7), (3, 5)


def proved(graph: Graph, content: bytes | Path, feeds: Iterable[Mapping[str, Array]], largest: float | None = None) -> float:
    """The largest difference between a model and its graph over these values of all sources; E505 when it is too large."""
    pairs: list[tuple[Array, Array]] = []
    try:
        session = Session(content)
        for values in feeds:
            expected = reference.run(graph, values)
            got = session.run({n: values[n] for n in session.inputs})
            pairs += [(got[o], e) for o, e in zip(session.outputs, expected.values(), strict=True)]
    except REFUSALS as error:
        raise fault("E505", f"onnxruntime refuses the model: {' '.join(str(error).split())}") from error
    return compared(pairs, largest)


def compared(pairs: Iterable[tuple[Array, Array]], largest: float | None = None) -> float:
    """The largest difference of what was got from what was expected; E505 when it is too large."""
    difference = float(np.max([0.0, *(distance(got, expected) for got, expected in pairs)]))  # NaN stays NaN
    if not difference <= (LARGEST_DIFFERENCE if largest is None else largest):
        raise fault("E505", f"onnxruntime and the definition differ by {difference:.2g} of the largest output")
    return difference


def random_batches(types: Mapping[str, Type], rng: np.random.Generator, batches: tuple[int, ...] = BATCHES) -> Iterator[dict[str, Array]]:
    """Values of these types: a batch of each size, with other lengths of all sequences."""
    names = set().union(*(size_names(t.shape) for t in types.values()))
    for batch, length in zip(batches, LENGTHS, strict=False):
        sizes = {n: batch if n == BATCH_NAME else length for n in names}
        yield {name: _random_value(type.bound(sizes), rng) for name, type in types.items()}


def sizes_tried(types: Mapping[str, Type]) -> str:
    """At which sizes two such batches are compared."""
    lengths = sorted(set().union(*(size_names(t.shape) for t in types.values())) - {BATCH_NAME})
    pairs = {BATCH_NAME: BATCHES, **dict.fromkeys(lengths, LENGTHS)}
    return f"at {', '.join(f'{name} {small} and {large}' for name, (small, large) in pairs.items())}"


def inputs_of(graph: Graph) -> dict[str, Type]:
    """The values that are no weights."""
    return {n.name: n.type for n in graph if n.op.name == "input"}


def _random_value(type: Type, rng: np.random.Generator) -> Array:
    size: Any = type.shape  # bound: all are numbers
    most = type.classes or (256 if type.dtype == "uint8" else 2)
    drawn = rng.normal(size=size) if type.is_float else rng.integers(0, most, size)
    return np.asarray(drawn, type.dtype)


def distance(got: Array, expected: Array) -> float:
    """The largest difference, over the largest number expected; infinite when shape or anything not finite differs."""
    finite = np.isfinite(expected)
    if got.shape != expected.shape or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return np.inf
    got, expected = np.asarray(got[finite], np.float64), np.asarray(expected[finite], np.float64)
    scale = np.max(np.abs(expected), initial=SMALLEST_SCALE)
    return float(np.max(np.abs(got - expected), initial=0.0) / scale)
