"""How far rounding alone takes the results of a network: all that is read or computed is off by one, in random trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

import nnspec
from nnspec.graph import Graph, loop
from nnspec.graph.types import bind
from nnspec.run import reference
from tools.fuzz.results import Array, Distances, Fields, Results, distance, distances, results
from tools.fuzz.slopes import loss_of

TRIALS = 12
MOVES = frozenset((
    "abs", "argmax", "cast", "ceil", "clip", "concat", "const", "cut", "expand", "flip", "floor", "gate", "iota", "max", "max_pool",
    "maximum", "min", "minimum", "neg", "one_hot", "pad", "part", "pick", "pick_max", "put_rows", "random", "relu", "reshape", "round",
    "sign", "size_of", "stop_gradient", "take", "top", "transpose", "where",
))  # fmt: skip
"""The ops that give numbers they were given, or exact ones: a largest value is still equal to the one that it is."""


def by_rounding(net: nnspec.Net, batch: Fields, expected: Results) -> Distances:
    """The largest distances of a few trials with the reference."""
    with _rounded_otherwise():
        trials = [distances(results(net, batch), expected) for _ in range(TRIALS)]
    return Distances(_largest([t.forward for t in trials]), _largest([t.backward for t in trials]))


def of_loss(net: nnspec.Net, graph: Graph, batch: Fields, expected: float) -> float:
    """The same for what a graph of a network says its loss is."""
    with _rounded_otherwise():
        return max(distance(loss_of(net, graph, batch), expected) for _ in range(TRIALS))


@contextmanager
def _rounded_otherwise() -> Iterator[None]:
    walk = partial(_walk, np.random.default_rng(2))
    with mock.patch.object(reference, "walk", walk), mock.patch.object(loop, "walk", walk):
        yield


def _largest(trials: list[Mapping[str, float]]) -> dict[str, float]:
    return {what: max(t[what] for t in trials) for what in trials[0]}


def _walk(
    rng: np.random.Generator, graph: Graph, feeds: Mapping[str, Any], sizes: Mapping[str, int], needed: set[str] | None = None
) -> dict[str, Array]:
    """As the reference walks over a graph, with a rounding more for every value."""
    values: dict[str, Array] = {}
    for node in graph if needed is None else (n for n in graph if n.name in needed):
        if node.op.is_source:
            value = np.asarray(feeds[node.name], node.type.dtype)
        else:
            attributes = {key: bind(value, sizes) for key, value in node.attrs}
            value = np.asarray(node.op.kernel(*(values[i] for i in node.inputs), **attributes))
        values[node.name] = value if node.op.name in MOVES else _off(value, rng)
    return values


def _off(value: Array, rng: np.random.Generator) -> Array:
    if value.dtype.kind != "f":
        return value
    return value * (1 + np.finfo(value.dtype).eps * rng.uniform(-1, 1, value.shape)).astype(value.dtype)
