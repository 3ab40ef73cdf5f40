"""The numbers of a derivation: every value and every derivative, computed by the formulas that are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.compile import Compilation
from nnspec.derivation.values import GRADIENT, LOSS, Values, values_of
from nnspec.gradcheck import Checked, compare, example
from nnspec.run import reference

Array = np.ndarray[Any, np.dtype[Any]]
BATCHES = 3


def forward(values: Values, feeds: Mapping[str, Any]) -> dict[str, Array]:
    """All values by name, from those of the sources."""
    sizes = reference.sizes_of({**values.model.inputs, **values.model.targets}, feeds)
    known = {n: np.asarray(v) for n, v in feeds.items()}
    for step in values.steps:
        known[step.name] = reference.run(step.graph, known, sizes=sizes)["value"]
    return known


def backward(values: Values, known: Mapping[str, Array]) -> dict[str, Array]:
    """The derivative of the loss, added over the batch, by every value."""
    sizes = reference.sizes_of({**values.model.inputs, **values.model.targets}, known)
    found = {LOSS: np.ones_like(known[LOSS])}
    for step in reversed(values.steps):
        if step.name not in found:
            continue
        shares = reference.run(step.backward, {**known, "gradient": found[step.name]}, sizes=sizes)
        for name in step.reads:
            if (share := shares.get(GRADIENT + name)) is not None:
                found[name] = found[name] + share if name in found else share
    return found


def check(spec: Compilation, parameter: str) -> Checked:
    """The derivative by one parameter beside finite differences, in float64 on a small random batch.

    A batch may lie where some relu bends, and finite differences mean nothing there; then others are tried.
    """
    spec = replace(spec, dtype="float64").checked()
    tried = [_check(spec, parameter, 0)]
    while not tried[-1].passed and len(tried) < BATCHES:
        tried.append(_check(spec, parameter, len(tried)))
    return tried[-1]


def _check(spec: Compilation, parameter: str, seed: int) -> Checked:
    random = np.random.default_rng(seed)
    values, feeds = values_of(spec), example(spec, seed, random)
    known = forward(values, feeds)
    gradient = backward(values, known)[parameter] / max(known[LOSS].size, 1)
    return compare(spec, feeds, parameter, gradient, random)
