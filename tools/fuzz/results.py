"""What a network gives for a batch, and how far that is from what it should give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import nnspec
from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.gradcheck import EXAMPLES, LENGTH, random_values
from nnspec.graph.types import BATCH_NAME, size_names

Fields = dict[str, Array]
STEPS, LR = 3, 0.01
SMALLEST = 1e-2
"""What is smaller than this is held against it."""


@dataclass(frozen=True)
class Results:
    """Outputs, loss and gradients for a batch, and every array of the network after some steps."""

    outputs: Fields
    loss: float
    gradients: Fields
    after: Fields


@dataclass(frozen=True)
class Distances:
    """By what they are of: the largest differences over the largest number expected."""

    forward: Mapping[str, float]
    backward: Mapping[str, float]


def random_batch(spec: Compilation, seed: int, examples: int = EXAMPLES) -> Fields:
    rng, ports = np.random.default_rng(seed), spec.model.ports
    sizes = dict.fromkeys(size_names(tuple(port.shape for port in ports.values())), LENGTH) | {BATCH_NAME: examples}
    return {name: random_values(port.bound(sizes), rng) for name, port in ports.items()}


def inputs_of(net: nnspec.Net, batch: Fields) -> Fields:
    return {n: batch[n] for n in net.inputs}


def from_the_start(net: nnspec.Net) -> nnspec.Net:
    """Off the corners: a bias of 0 behind a relu may be on one; from 0 the first step of some optimizers is the sign of a rounding."""
    net.init(seed=1)
    rng = np.random.default_rng(1)
    for name, array in net.engine.all_arrays().items():
        if name.startswith("optimizer/"):
            array[...] = 0.01
        elif name in net.params:
            array[...] += 0.1 * rng.normal(size=array.shape)
    return net


def results(net: nnspec.Net, batch: Fields) -> Results:
    """Those of a network from its start, to which it returns."""
    outputs = net(**inputs_of(net, batch))
    loss, gradients = net.gradients(**batch)
    for _ in range(STEPS):
        net.step(lr=LR, **batch)
    after = {n: v.copy() for n, v in net.engine.all_arrays().items()}
    from_the_start(net)
    return Results(outputs, loss, gradients, after)


def distance(value: Any, expected: Any) -> float:
    """The largest difference over the largest number expected; infinite where one of them is not finite."""
    value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    if value.shape != expected.shape or not (np.isfinite(value).all() and np.isfinite(expected).all()):
        return np.inf
    return float(np.abs(value - expected).max(initial=0) / max(np.abs(expected).max(initial=0), SMALLEST))


def of_gradients(found: Fields, expected: Fields) -> dict[str, float]:
    """Over the largest of all: a gradient that is 0 but for rounding has nothing of its own to be held against."""
    scale = max([SMALLEST, *(np.abs(g).max(initial=0) for g in expected.values())])
    return {f"gradient of {n}": float(np.abs(g - expected[n]).max(initial=0) / scale) for n, g in found.items()}


def distances(found: Results, expected: Results) -> Distances:
    outputs = {f"output {n}": distance(v, expected.outputs[n]) for n, v in found.outputs.items()}
    after = {f"{n} after {STEPS} steps": distance(v, expected.after[n]) for n, v in found.after.items()}
    loss = {"loss": distance(found.loss, expected.loss)}
    return Distances({**outputs, **loss}, {**of_gradients(found.gradients, expected.gradients), **after})
