"""The proof of an export: onnxruntime computes with the file what the definition computes with the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.deploy.comparison import (
    Run,
    difference,
    distance,
    farthest,
    is_rounding,
    largest,
    never_finite,
    nothing_compared,
    runs_of,
    settled,
)
from nnspec.diagnostics import Span, fault
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.run import reference
from nnspec.run.lengths import Sizes, fitting, names_of
from nnspec.run.ort import REFUSALS, Session
from nnspec.run.room import check_values

# In float32; in float64 as many roundings.
LARGEST_DIFFERENCE = 1e-4
# Half precision has eleven bits, and an error of each operation adds to that of the next.
LARGEST_OF_HALF = 2e-2
# Of a training step: where relu and max pools decide by the last bit, two ways of adding up come to 4.8e-4 (GoogLeNet, 41 draws).
LARGEST_OF_STEP = 1e-3
# Of a network that single precision does not hold to that, whose results are as near to double precision as it comes.
LARGEST_OF_ROUGH = 5e-2
SENSITIVE = "where rounding changes a result that much, keep the numbers before it small, or `nnspec export` it with `--dtype float64`"
BATCHES = (1, 7)
MOST_OTHERS = 50

Lengths = tuple[Sizes, Sizes]
"""Those of all sequences in the small batch, and in the large one."""


def proved(graph: Graph, content: bytes | Path, feeds: Iterable[Mapping[str, Array]], most: float | None = None, help: str = "") -> float:
    """The largest difference between a model and its graph over these values of all sources; E505 when it is too large.

    So it is when an output is no finite number for any of them, as then nothing of it was compared; `help` is for either.
    """
    runs = [*map(settled, tried(graph, content, feeds))]
    if unknown := never_finite(graph, runs):
        raise fault("E505", nothing_compared(unknown), help=help)
    far, enough = difference(graph, runs), within(LARGEST_DIFFERENCE, graph.dtype) if most is None else most
    if most is None and enough < far < LARGEST_OF_ROUGH and is_rounding(graph, runs, LARGEST_OF_ROUGH):
        return far
    return _small_enough(far, enough, graph[farthest(graph, runs)].span, help or SENSITIVE)


def within(most: float, dtype: str) -> float:
    """What is as many roundings of these numbers as `most` is of float32."""
    return most * float(np.finfo(dtype).eps / np.finfo(np.float32).eps)


def largest_for(bits: int) -> float:
    """How far a model on numbers of so many bits may be off."""
    return LARGEST_OF_HALF if bits < 32 else LARGEST_DIFFERENCE


def tried(graph: Graph, content: bytes | Path, feeds: Iterable[Mapping[str, Array]]) -> list[Run]:
    """A model in onnxruntime and its graph with these values of all sources."""
    feeds = [*feeds]
    for values in feeds:
        check_values(graph, reference.sizes_of(reference.sources_of(graph), values))
    try:
        session = Session(content)
        return [*runs_of(graph, feeds, lambda values: [*session.run({n: values[n] for n in session.inputs}).values()])]
    except REFUSALS as error:
        raise fault("E505", f"onnxruntime refuses the model: {' '.join(str(error).split())}") from error


def compared(pairs: Iterable[tuple[Array, Array]], most: float) -> float:
    """The largest difference of what was got from what was expected; E505 when it is too large."""
    return _small_enough(largest(distance(got, expected) for got, expected in pairs), most, help=SENSITIVE)


def _small_enough(far: float, most: float, span: Span | None = None, help: str = "") -> float:
    if far <= most:
        return far
    if np.isfinite(far):
        raise fault("E505", f"onnxruntime and the definition differ by {far:.2g} of the largest output", span, help=help)
    raise fault("E505", "onnxruntime and the definition differ in shape, or in what is a finite number", span, help=help)


def lengths_of(graphs: Sequence[Graph], types: Mapping[str, Type], data: Sizes) -> Lengths:
    """The shorter for a small batch and the longer for a large one: each another where that fits, or else twice the same."""
    found = fitting(graphs, types, data=data)
    one = next(found)
    other = next((sizes for sizes in islice(found, MOST_OTHERS) if not one.items() & sizes.items()), one)
    small, large = sorted((one, other), key=lambda sizes: sum(sizes.values()))
    return small, large


def random_batches(
    types: Mapping[str, Type], rng: np.random.Generator, lengths: Lengths, batches: tuple[int, ...] = BATCHES
) -> Iterator[dict[str, Array]]:
    """Values of these types: a batch of each size, with other lengths of all sequences."""
    for batch, sizes in zip(batches, lengths, strict=False):
        yield {name: _random_value(type.bound({**sizes, BATCH_NAME: batch}), rng) for name, type in types.items()}


def sizes_tried(types: Mapping[str, Type], lengths: Lengths) -> str:
    """At which sizes two such batches are compared."""
    tried = {BATCH_NAME: BATCHES, **{name: [sizes[name] for sizes in lengths] for name in names_of(types)}}
    return f"at {', '.join(f'{name} ' + ' and '.join(map(str, dict.fromkeys(sizes))) for name, sizes in tried.items())}"


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
