"""Gradients against finite differences, in float64, by the reference engine: forward as written, backward as derived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, fault
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph, Node, Type
from nnspec.graph.loop import Loop
from nnspec.graph.types import size_names
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.engine import first_values
from nnspec.run.undefined import undefined

Array = np.ndarray[Any, np.dtype[Any]]
EPS, RTOL, ATOL = 1e-5, 1e-6, 1e-8
FULL_UP_TO, DIRECTIONS = 400, 8
EXAMPLES, LENGTH = 3, 4
STOPS = "stop_gradient"


@dataclass(frozen=True)
class Checked:
    """The largest error over the directions tried for one parameter, scaled by the largest derivative."""

    parameter: str
    directions: int
    error: float

    @property
    def passed(self) -> bool:
        return self.error <= RTOL


def gradcheck(spec: Compilation, seed: int = 0) -> list[Checked]:
    """Check the gradient of the loss for every parameter on a small random batch."""
    spec = replace(spec, dtype="float64").checked()
    random = np.random.default_rng(seed)
    feeds = example(spec, seed, random)
    gradients = reference.run(spec.gradients, feeds)
    return [compare(spec, feeds, n, gradients[f"grad:{n}"], random) for n in spec.model.parameters]


def undefined_in(spec: Compilation, seed: int = 0) -> Diagnostic | None:
    """Why the loss or a gradient is no number on that batch."""
    spec = replace(spec, dtype="float64").checked()
    feeds = example(spec, seed, np.random.default_rng(seed))
    found = undefined(spec.gradients, feeds, reference.sizes_of(spec.model.inputs | spec.model.targets, feeds))
    return found.diagnostic() if found else None


def example(spec: Compilation, seed: int, random: np.random.Generator) -> dict[str, Any]:
    """Weights, and a small random batch."""
    model = spec.model
    model.needs_loss("there are no gradients to check")
    weights = {n: _off_zero(v, random) if n in model.parameters else v for n, v in first_values(spec, seed).items()}
    feeds: dict[str, Any] = {n: random_values(t, random) for n, t in (model.inputs | model.targets).items()}
    return feeds | {SEED: seed, STEP: 1, **weights}


def _off_zero(values: Array, random: np.random.Generator) -> Array:
    """Behind a layer that starts with zeros every gradient is 0, and any formula for it would pass."""
    return values if values.any() else np.asarray(0.1 * random.standard_normal(values.shape))


def random_values(type: Type, random: np.random.Generator, examples: int = EXAMPLES) -> Array:
    """A batch that an input of this type could hold."""
    sizes = dict.fromkeys(size_names(type.shape), LENGTH) | {"batch": examples}
    shape = type.bound(sizes).numbers
    if type.dtype == "int64":
        return random.integers(0, type.classes or 2, shape)
    return random.random(shape) < 0.5 if type.dtype == "bool" else random.standard_normal(shape)


def compare(
    spec: Compilation, feeds: Mapping[str, Any], name: str, gradient: Array, random: np.random.Generator, outputs: Sequence[str] = ("loss",)
) -> Checked:
    """A gradient of the mean loss of a batch, or of the sum of such outputs, beside finite differences of it."""
    forward, feeds = _held(spec.training_model[0].graph, feeds)
    expected, found = list[float](), list[float]()
    for direction in _directions(gradient.shape, random):
        moved = ({**feeds, name: feeds[name] + s * EPS * direction} for s in (1, -1))
        losses = [float(sum(reference.run(forward, values, outputs).values())) for values in moved]
        expected.append((losses[0] - losses[1]) / (2 * EPS))
        found.append(float(np.sum(gradient * direction)))
    difference = np.abs(np.subtract(found, expected)).max()
    scale = max(np.abs(expected).max(), ATOL / RTOL)
    return Checked(name, len(found), float(difference / scale))


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
