"""The derivative of a loss along a direction, between the slopes of the loss on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import nnspec
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph
from nnspec.run import reference
from tools.fuzz.results import Array, Fields

STEP_SIZES, DIRECTIONS = (1e-6, 1e-7), 2


@dataclass(frozen=True, order=True)
class Slopes:
    """How far apart the slopes on both sides are, as at a corner they are, and how far a derivative is from lying between them."""

    apart: float
    error: float


def loss_of(net: nnspec.Net, graph: Graph, batch: Fields, moved: Mapping[str, Array] = {}) -> float:
    """What a graph of a network says its loss is, with so much added to its weights."""
    weights = {n: v + moved.get(n, 0) for n, v in {**net.params, **net.states}.items()}
    return float(reference.run(graph, {**batch, **weights, SEED: net.engine.seed, STEP: 0}, ["loss"])["loss"])


def error_of_gradients(net: nnspec.Net, batch: Fields, gradients: Fields, seed: int) -> float:
    """Where the sides agree best, of a few random directions of all parameters and steps along each."""
    tried, here = [], loss_of(net, net.spec.stable, batch)
    for number in range(DIRECTIONS):
        rng = np.random.default_rng([seed, number])
        direction = {n: rng.normal(size=g.shape) for n, g in gradients.items()}
        along = sum(float((gradients[n] * d).sum()) for n, d in direction.items())
        for step in STEP_SIZES:
            before, after = (loss_of(net, net.spec.stable, batch, {n: way * d for n, d in direction.items()}) for way in (-step, step))
            tried.append(_slopes(before, here, after, step, along))
    return min(tried).error


def _slopes(before: float, here: float, after: float, step: float, along: float) -> Slopes:
    """Over the derivative, or 1 where it is smaller."""
    sides, scale = sorted([(here - before) / step, (after - here) / step]), max(1.0, abs(along))
    return Slopes((sides[1] - sides[0]) / scale, max(0.0, sides[0] - along, along - sides[1]) / scale)
