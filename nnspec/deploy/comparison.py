"""How far two ways to compute a model are apart, over how large its outputs are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.double import DOUBLE, in_double
from nnspec.graph import Graph
from nnspec.record import dataclass
from nnspec.run import reference

# A gradient that is 0 but for rounding has nothing to be compared with.
SMALLEST_SCALE = 1e-2
# How often all values are moved by a rounding, to see what of a small output is rounding.
NUDGES = 3
# How much farther than that the results of other orders of summing are.
AS_FAR = 2
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Run:
    """What a model and its graph make of the same values of all sources, output by output."""

    feeds: Mapping[str, Array]
    got: Sequence[Array]
    expected: Sequence[Array]


def runs_of(graph: Graph, feeds: Iterable[Mapping[str, Array]], compute: Callable[[Mapping[str, Array]], Sequence[Array]]) -> Iterator[Run]:
    """What `compute` gives for these values of all sources, beside what the definition does.

    The definition goes first, as it knows the place of what has no value.
    """
    for values in feeds:
        expected = [*reference.run(graph, values).values()]
        yield Run(values, compute(values), expected)


def settled(run: Run) -> Run:
    """A run of which examples count as expected if an output is no number there: runtimes lose that in maxima, in gates and in 8 bits."""
    lost = _without_number(run.expected)
    if not lost.any():
        return run
    both = zip(run.got, run.expected, strict=True)
    return replace(run, got=[_with_rows(theirs, lost, ours) if theirs.shape == ours.shape else theirs for theirs, ours in both])


def where_defined(run: Run) -> Run:
    """A run of which examples count as got where that is no number, as what has no weight that is left."""
    lost = _without_number(run.got)
    if not lost.any():
        return run
    return replace(run, expected=[_with_rows(ours, lost, theirs) for theirs, ours in zip(run.got, run.expected, strict=True)])


def _without_number(outputs: Sequence[Array]) -> Array:
    """Of every example whether some output of it has a NaN; of none where outputs are not of the same examples."""
    if len({values.shape[:1] for values in outputs}) != 1 or not outputs[0].ndim:
        return np.zeros(0, bool)
    return np.asarray(np.any([np.isnan(values).any(axis=tuple(range(1, values.ndim))) for values in outputs], axis=0))


def _with_rows(values: Array, rows: Array, others: Array) -> Array:
    changed = values.copy()
    changed[rows] = others[rows]
    return changed


def never_finite(graph: Graph, runs: Sequence[Run]) -> list[str]:
    """The outputs that are nowhere a finite number, though they are not empty."""
    found = zip(graph.outputs, zip(*(run.expected for run in runs), strict=True), strict=True)
    return [
        n.removeprefix("output:") for n, values in found if any(v.size for v in values) and not any(np.isfinite(v).any() for v in values)
    ]


def nothing_compared(outputs: Sequence[str]) -> str:
    names = " and ".join(f"`{name}`" for name in outputs)
    return f"{names} {'is' if len(outputs) == 1 else 'are'} not finite for any input that was tried, so nothing was compared"


def difference(graph: Graph, runs: Sequence[Run]) -> float:
    """The largest over all runs and outputs, each over how large the output is."""
    floors = _floors(graph, runs)
    return largest(distance(*both) for run in runs for both in zip(run.got, run.expected, floors, strict=True))


def farthest(graph: Graph, runs: Sequence[Run]) -> str:
    """The node of the output that is farthest from what was expected."""
    far = [[distance(*both) for both in zip(run.got, run.expected, strict=True)] for run in runs]
    return [*graph.outputs.values()][int(np.argmax(np.max(far, axis=0)))]


def is_rounding(graph: Graph, runs: Sequence[Run], most: float) -> bool:
    """Whether each result is as near to the true one as its precision comes, and no farther from it than `most`.

    It comes as near as the definition does in it, or as a result of which every value that goes in was moved by a rounding. What is true
    is what double precision makes of single.
    """
    for run in runs:
        for got, expected, truth, moved in zip(run.got, run.expected, _true(graph, run), _moved(graph, [run]), strict=True):
            allowed = max(distance(expected, truth), moved / max(_size(truth), SMALLEST_SCALE))
            if not distance(got, truth) <= min(AS_FAR * allowed, most):
                return False
    return True


def _true(graph: Graph, run: Run) -> Sequence[Array]:
    if graph.dtype == DOUBLE:
        return run.expected
    feeds = {n: np.asarray(v, DOUBLE) if v.dtype == graph.dtype else v for n, v in run.feeds.items()}
    return [*reference.run(in_double(graph, graph.name, graph.outputs, {}), feeds).values()]


def largest(distances: Iterable[float]) -> float:
    return float(np.max([0.0, *distances]))  # NaN stays NaN


def distance(got: Array, expected: Array, smallest: float = SMALLEST_SCALE) -> float:
    """The largest difference, over the largest number expected; infinite when shape or anything not finite differs."""
    finite = np.isfinite(expected)
    if got.shape != expected.shape or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return np.inf
    got, expected = np.asarray(got[finite], np.float64), np.asarray(expected[finite], np.float64)
    far = float(np.max(np.abs(got - expected), initial=0.0))
    return far and far / max(_size(expected), smallest, TINY)


def _floors(graph: Graph, runs: Sequence[Run]) -> list[float]:
    """What each output is at least compared with: no more than it comes to in some run, or than the terms that cancel in it."""
    sizes = [max(map(_size, values)) for values in zip(*(run.expected for run in runs), strict=True)]
    if min(sizes, default=SMALLEST_SCALE) < SMALLEST_SCALE:
        sizes = [max(own, moved / _rounding(graph.dtype)) for own, moved in zip(sizes, _moved(graph, runs), strict=True)]
    return [min(size, SMALLEST_SCALE) for size in sizes]


def _moved(graph: Graph, runs: Sequence[Run]) -> list[float]:
    """How far each output moves when every value that goes in does by a rounding."""
    rng, moves = np.random.default_rng(0), [0.0] * len(graph.outputs)
    for run in [*runs] * NUDGES:
        moved = reference.run(graph, {n: _nudged(v, rng) for n, v in run.feeds.items()}).values()
        moves = [max(move, _size(_apart(a, b))) for move, a, b in zip(moves, moved, run.expected, strict=True)]
    return moves


def _nudged(values: Array, rng: np.random.Generator) -> Array:
    if values.dtype.kind != "f":
        return values
    return np.asarray(values * (1 + _rounding(values.dtype) * rng.choice([-1, 1], values.shape)), values.dtype)


def _rounding(dtype: str | np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps)


def _apart(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.asarray(a, np.float64) - b)


def _size(values: Array) -> float:
    """The largest finite number, without its sign."""
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
