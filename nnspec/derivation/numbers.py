"""The numbers of a derivation: every value and every derivative, computed by the formulas that are shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.derivation.recurrence import Recurrence
from nnspec.derivation.step import GRADIENT, LOSS, Step
from nnspec.derivation.values import Values, values_of
from nnspec.gradcheck import BATCHES, Checked, compare, example
from nnspec.run import reference


def forward(values: Values, feeds: Mapping[str, Any]) -> dict[str, Array]:
    """All values by name, from those of the sources; what has another value at every step has the steps as its second axis."""
    sizes = reference.sizes_of(values.model.ports, feeds)
    known = {n: np.asarray(v) for n, v in feeds.items()}
    for step in values.steps:
        known |= _unrolled(step, known, sizes) if isinstance(step, Recurrence) else {step.name: _value(step, known, sizes)}
    return known


def _value(step: Step, known: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
    return reference.run(step.graph, known, sizes=sizes)["value"]


def _unrolled(loop: Recurrence, known: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array]:
    """One step of a loop after the other."""
    starts, rows = {c.start.name: _value(c.start, known, sizes) for c in loop.carried}, list[dict[str, Array]]()
    for t in range(known[loop.walked].shape[1]):
        row = {c.before: rows[-1][c.now] if rows else starts[c.start.name] for c in loop.carried}
        row[loop.item] = known[loop.walked][:, t]
        for step in loop.steps:
            row[step.name] = _value(step, {**known, **row}, sizes)
        rows.append(row)
    stacked = {n: np.stack([row[n] for row in rows], axis=1) for n in loop.own}
    return {**starts, **stacked, loop.name: stacked[loop.gives]}


def backward(values: Values, known: Mapping[str, Array]) -> dict[str, Array]:
    """The derivative of the loss, added over the batch, by every value."""
    sizes = reference.sizes_of(values.model.ports, known)
    found = {LOSS: np.ones_like(known[LOSS])}
    for step in reversed(values.steps):
        if step.name in found and isinstance(step, Recurrence):
            _collect(found, _through_time(step, known, found[step.name], sizes))
        elif step.name in found and isinstance(step, Step):
            _collect(found, _shares(step, known, found[step.name], sizes))
    return found


def _shares(step: Step, known: Mapping[str, Array], gradient: Array, sizes: Mapping[str, int]) -> dict[str, Array]:
    """What a gradient of a value comes to at what it is computed from."""
    shares = reference.run(step.backward, {**known, "gradient": gradient}, sizes=sizes)
    return {n: shares[GRADIENT + n] for n in step.reads if GRADIENT + n in shares}


def _collect(found: dict[str, Array], shares: Mapping[str, Array]) -> None:
    for name, share in shares.items():
        found[name] = found[name] + share if name in found else share


def _through_time(loop: Recurrence, known: Mapping[str, Array], gradient: Array, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Backpropagation through time: from the last step to the first, with what comes back from the step after."""
    found, rows, later = dict[str, Array](), list[dict[str, Array]](), dict[str, Array]()
    for t in reversed(range(gradient.shape[1])):
        row, here = {loop.gives: gradient[:, t]}, {n: known[n][:, t] for n in loop.own}
        _collect(row, later)
        for step in reversed(loop.steps):
            if step.name in row:
                _collect(row, _shares(step, {**known, **here}, row[step.name], sizes))
        later = {c.now: row.pop(c.before) for c in loop.carried if c.before in row}
        _collect(found, {n: g for n, g in row.items() if n not in loop.own})
        rows.insert(0, {n: g for n, g in row.items() if n in loop.own})
    reached = [n for n in loop.own if any(n in row for row in rows)]
    found |= {n: np.stack([row.get(n, np.zeros_like(known[n][:, 0])) for row in rows], axis=1) for n in reached}
    for c in loop.carried:
        if c.now in later:
            _collect(found, _shares(c.start, known, later[c.now], sizes))
    if loop.item in found:
        _collect(found, {loop.walked: found[loop.item]})
    return found


def check(spec: Compilation, parameter: str, losses: Collection[str] = ()) -> Checked:
    """The derivative of all losses, or of some, by one parameter beside finite differences, in float64 on a small random batch.

    A batch may lie where some relu bends, and finite differences mean nothing there; then others are tried, beside it.
    """
    spec = replace(spec, dtype="float64").checked()
    tried = [_check(spec, parameter, losses, 0)]
    while not tried[-1].passed and len(tried) < BATCHES:
        tried.append(_check(spec, parameter, losses, len(tried)))
    return tried[-1]


def _check(spec: Compilation, parameter: str, losses: Collection[str], seed: int) -> Checked:
    random = np.random.default_rng(seed)
    values, feeds = values_of(spec, losses), example(spec, seed, random, beside=seed > 0)
    known = forward(values, feeds)
    gradient = backward(values, known)[parameter] / max(known[LOSS].size, 1)
    found = compare(spec, feeds, parameter, gradient, random, [f"loss:{name}" for name in losses or spec.model.losses])
    return replace(found, beside=seed > 0)
