"""The proof of an export: onnxruntime computes with the file what the definition computes with the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.deploy.comparison import ROUNDING, Run, difference, distance, largest, never_finite, nothing_compared, settled
from nnspec.diagnostics import fault
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME, size_names
from nnspec.run import reference
from nnspec.run.ort import REFUSALS, Session
from nnspec.run.room import check_values

Array = np.ndarray[Any, np.dtype[Any]]
# In float32; in float64 as many roundings.
LARGEST_DIFFERENCE = 1e-4
# Of a training step: where relu and max pools decide by the last bit, two ways of adding up come to 4.8e-4 (GoogLeNet, 41 draws).
LARGEST_OF_STEP = 1e-3
# Each run-time size takes both lengths of its pair.
BATCHES, LENGTHS = (1, 7), (3, 5)


def proved(graph: Graph, content: bytes | Path, feeds: Iterable[Mapping[str, Array]], most: float | None = None, help: str = "") -> float:
    """The largest difference between a model and its graph over these values of all sources; E505 when it is too large.

    So it is when an output is no finite number for any of them, as then nothing of it was compared; `help` is for either.
    """
    runs = [*map(settled, tried(graph, content, feeds))]
    if unknown := never_finite(graph, runs):
        raise fault("E505", nothing_compared(unknown), help=help)
    return _small_enough(difference(graph, runs), within(LARGEST_DIFFERENCE, graph.dtype) if most is None else most, help)


def within(most: float, dtype: str) -> float:
    """What is as many roundings of these numbers as `most` is of float32."""
    return most * float(np.finfo(dtype).eps) / ROUNDING


def tried(graph: Graph, content: bytes | Path, feeds: Iterable[Mapping[str, Array]]) -> list[Run]:
    """A model in onnxruntime and its graph with these values of all sources."""
    feeds = [*feeds]
    for values in feeds:
        check_values(graph, reference.sizes_of(sources_of(graph), values))
    try:
        session = Session(content)
        answers = ((values, session.run({n: values[n] for n in session.inputs})) for values in feeds)
        return [Run(v, [got[o] for o in session.outputs], [*reference.run(graph, v).values()]) for v, got in answers]
    except REFUSALS as error:
        raise fault("E505", f"onnxruntime refuses the model: {' '.join(str(error).split())}") from error


def compared(pairs: Iterable[tuple[Array, Array]], most: float) -> float:
    """The largest difference of what was got from what was expected; E505 when it is too large."""
    return _small_enough(largest(distance(got, expected) for got, expected in pairs), most)


def _small_enough(far: float, most: float, help: str = "") -> float:
    if far <= most:
        return far
    if np.isfinite(far):
        raise fault("E505", f"onnxruntime and the definition differ by {far:.2g} of the largest output", help=help)
    raise fault("E505", "onnxruntime and the definition differ in shape, or in what is a finite number", help=help)


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


def sources_of(graph: Graph) -> dict[str, Type]:
    """The values that are computed from: inputs and weights."""
    return {n.name: n.type for n in graph if n.op.is_source}


def inputs_of(graph: Graph) -> dict[str, Type]:
    """The values that are no weights."""
    return {n.name: n.type for n in graph if n.op.name == "input"}


def _random_value(type: Type, rng: np.random.Generator) -> Array:
    """Numbers of both signs, and examples of which all are positive, as a logarithm or a root needs."""
    size: Any = type.shape  # bound: all are numbers
    if not type.is_float:
        return np.asarray(rng.integers(0, type.classes or (256 if type.dtype == "uint8" else 2), size), type.dtype)
    drawn = np.asarray(rng.normal(size=size), type.dtype)
    if size:
        drawn[(len(drawn) + 1) // 2 :] = np.abs(drawn[(len(drawn) + 1) // 2 :])
    return drawn
