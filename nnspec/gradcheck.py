"""Gradients against finite differences, in float64, by the reference engine: forward as written, backward as derived.

What is written may overflow or round away where what is computed, the same in a stable form, does not; there that is what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, fault
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.finite_differences import slope
from nnspec.graph import Graph, Node, Type
from nnspec.graph.loop import Loop
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.engine import first_values
from nnspec.run.lengths import fitting
from nnspec.run.undefined import undefined

EPS, RTOL, ATOL = 1e-5, 1e-6, 1e-8
FULL_UP_TO, DIRECTIONS = 400, 8
BATCHES, NUDGE = 3, 0.1
SURE, MOST_UNSURE = 10.0, 1e-3
"""What an error may be, in times that by which differences differ; and where they differ too much to say anything."""
LEAST_BEND = 10.0
"""An error that a bend may explain, in times the jump of the slope there."""
EXAMPLES, LENGTH = 3, 4
SAME = 1e-12
"""How far apart two forms of a loss are that say the same, in times the loss."""
STOPS = "stop_gradient"


@dataclass(frozen=True)
class Checked:
    """The largest error over the directions tried for one parameter, scaled by the largest derivative.

    Below the `uncertainty` rounding hides what differs. Where the loss `bends`, as at a tie of `min`, no slope is the right one;
    `beside` says that it was checked next to such a place. Where numbers overflow or round away in the loss as written, which is then
    `as_written`, the differences are those of its stable form, the one that is computed.
    """

    parameter: str
    directions: int
    error: float
    uncertainty: float = 0.0
    bends: bool = False
    beside: bool = False
    as_written: float | None = None

    @property
    def passed(self) -> bool:
        return not self.bends and self.error <= max(RTOL, min(self.uncertainty, MOST_UNSURE))

    @property
    def verdict(self) -> str:
        if self.bends:
            return "unclear: the loss bends here, as at a tie of `min`, and so has two slopes"
        if np.isnan(self.error):
            return "unclear: a value on the way overflows or is undefined here, and so the gradient is no number"
        if self.error > max(RTOL, self.uncertainty):
            return f"WRONG (at most {RTOL:g} is right)"
        rounded = f"rounding hides what differs by less than {self.uncertainty:.0e}" if self.error > RTOL else ""
        beside = "beside the first values, at which the loss bends" if self.beside else ""
        form = "of the stable form that is computed; as written, overflow or rounding makes the loss"
        stable = "" if self.as_written is None else f"{form} {self.as_written:.6g}"
        said = "; ".join(filter(None, (rounded, beside, stable)))
        return ("ok" if self.passed else "unclear") + (f" ({said})" if said else "")


def gradcheck(spec: Compilation, seed: int = 0) -> list[Checked]:
    """Check the gradient of the loss for every parameter on a small random batch; where the loss bends there, on others beside it."""
    spec = replace(spec, dtype="float64").checked()
    found = {c.parameter: c for c in _checked_at(spec, seed, spec.model.parameters)}
    for other in range(seed + 1, seed + BATCHES):
        found |= {c.parameter: c for c in _checked_at(spec, other, [n for n, c in found.items() if c.bends], beside=True)}
    return [*found.values()]


def _checked_at(spec: Compilation, seed: int, parameters: Collection[str], *, beside: bool = False) -> list[Checked]:
    if not parameters:
        return []
    random = np.random.default_rng(seed)
    feeds = example(spec, seed, random, beside=beside)
    gradients = reference.run(spec.gradients, feeds)
    found = (compare(spec, feeds, n, gradients[f"grad:{n}"], random) for n in parameters)
    return [replace(c, beside=beside) for c in found]


def undefined_in(spec: Compilation) -> Diagnostic | None:
    """Why the loss or a gradient is no number on the batch of seed 0."""
    spec = replace(spec, dtype="float64").checked()
    feeds = example(spec, 0, np.random.default_rng(0))
    found = undefined(spec.gradients, feeds, reference.sizes_of(spec.model.ports, feeds))
    return found.diagnostic() if found else None


def example(spec: Compilation, seed: int, random: np.random.Generator, *, beside: bool = False) -> dict[str, Any]:
    """Weights, as they start or `beside` that, and a small random batch."""
    model = spec.model
    model.needs_loss("there are no gradients to check")
    weights = {n: _off_zero(v, random) if n in model.parameters else v for n, v in first_values(spec, seed).items()}
    if beside:
        weights |= {n: weights[n] * (1 + NUDGE * random.standard_normal(weights[n].shape)) for n in model.parameters}
    ports = model.ports
    sizes = next(fitting([spec.gradients], ports, (LENGTH,)))
    feeds: dict[str, Any] = {n: random_values(t.bound({"batch": EXAMPLES, **sizes}), random) for n, t in ports.items()}
    return feeds | {SEED: seed, STEP: 1, **weights}


def _off_zero(values: Array, random: np.random.Generator) -> Array:
    """Behind a layer that starts with zeros every gradient is 0, and any formula for it would pass."""
    return values if values.any() else np.asarray(0.1 * random.standard_normal(values.shape))


def random_values(type: Type, random: np.random.Generator) -> Array:
    """What an input of this type, of which every size is known, could hold."""
    shape = type.numbers
    if type.dtype == "int64":
        return random.integers(0, type.classes or 2, shape)
    return random.random(shape) < 0.5 if type.dtype == "bool" else random.standard_normal(shape)


def compare(
    spec: Compilation, feeds: Mapping[str, Any], name: str, gradient: Array, random: np.random.Generator, outputs: Sequence[str] = ("loss",)
) -> Checked:
    """A gradient of the mean loss of a batch, or of the sum of such outputs, beside finite differences of it."""
    directions = [*_directions(gradient.shape, random)]

    def along(graph: Graph) -> tuple[Checked, float]:
        forward, held = _held(graph, feeds)

        def loss(direction: Array, step: float) -> float:
            return float(sum(reference.run(forward, {**held, name: held[name] + step * direction}, outputs).values()))

        return _compared(name, gradient, directions, loss), loss(directions[0], 0)

    found, written = along(spec.training_model[0].graph)
    if found.passed:
        return found
    stable, computed = along(spec.stable)
    return found if np.isclose(written, computed, rtol=SAME, atol=0) else replace(stable, as_written=written)


def _compared(name: str, gradient: Array, directions: list[Array], loss: Callable[[Array, float], float]) -> Checked:
    """A gradient beside the differences of a loss that is so many steps away in a direction."""
    found = np.array([np.sum(gradient * direction) for direction in directions])
    expected = np.array([(loss(direction, EPS) - loss(direction, -EPS)) / (2 * EPS) for direction in directions])
    scale = max(np.abs(expected).max(), ATOL / RTOL)
    doubtful = {int(i): slope(partial(loss, directions[i])) for i in np.flatnonzero(np.abs(found - expected) > RTOL * scale)}
    bends = any(s.jump and LEAST_BEND * abs(s.jump) >= abs(found[i] - s.value) for i, s in doubtful.items())
    for i, better in doubtful.items():
        expected[i] = better.value
    unsure = SURE * max((s.uncertainty for s in doubtful.values()), default=0.0)
    return Checked(name, len(found), float(np.abs(found - expected).max() / scale), float(unsure / scale), bends)


def _held(graph: Graph, feeds: Mapping[str, Any]) -> tuple[Graph, Mapping[str, Any]]:
    """The graph with what `stop_gradient` gives as an input, fed with what it is here: it stays while a parameter moves."""
    stopped = {n.name: n.name for n in graph if n.op.name == STOPS}
    _refuse_in_loops(graph)
    if not stopped:
        return graph, feeds

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return new.source(OPS["input"], node.name, node.type).name if node.name in stopped else new.copy_node(node, inputs)

    return graph.rebuilt(rule), {**feeds, **reference.run(graph.only(stopped), feeds)}


def _refuse_in_loops(graph: Graph) -> None:
    for body in (v.body for n in graph for _, v in n.attrs if isinstance(v, Loop)):
        if inside := next((n for n in body if n.op.name == STOPS), None):
            message = f"`{STOPS}` of what a `scan` carries has a value in every step, which finite differences do not hold"
            raise fault("E108", message, inside.span, help="the gradients of other models, and of this one without it, can be checked")
        _refuse_in_loops(body)


def _directions(shape: tuple[int, ...], random: np.random.Generator) -> Iterator[Array]:
    """Every unit direction of a small parameter, a few random ones of a large."""
    size = int(np.prod(shape, dtype=int))
    if size <= FULL_UP_TO:
        yield from np.eye(size).reshape(size, *shape)
    else:
        yield from random.standard_normal((DIRECTIONS, *shape)) / np.sqrt(size)
