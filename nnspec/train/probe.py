"""A look into a network on a few examples: which units are dead or saturated, and what reaches the weights of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph, Node, outputs_of
from nnspec.graph.types import bind
from nnspec.lint.network import Product, Wiring, name_of
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.batches import Rows
from nnspec.run.engine import Engine
from nnspec.step import Phase
from nnspec.train.check import Fields, examples

MOST, LEAST, WORK, ROOM, ENOUGH = 128, 8, 2e8, 1e8, 64
"""Examples that are looked at: as many as take so many operations forward, between a least and a most, and so many bytes for their values.
With ENOUGH, positions of an image counted, a unit has had its say."""
FLAT = {"sigmoid": (0.01, 0.99), "tanh": (-0.98, 0.98)}
"""Outside of these an activation has less than a twenty-fifth of its steepest slope."""


@dataclass(frozen=True)
class Layer:
    """A share of units, or the length of a gradient over that of its weights, which is `size`; where it was written."""

    name: str
    value: float
    span: Span | None
    size: float = 1.0


@dataclass(frozen=True)
class Look:
    """What one look has found: layers from the input on."""

    loss: float
    dead: tuple[Layer, ...] = ()
    saturated: tuple[Layer, ...] = ()
    gradients: tuple[Layer, ...] = ()

    def as_json(self) -> dict[str, Any]:
        groups = {"dead": self.dead, "saturated": self.saturated, "gradient_over_weight": self.gradients}
        return {
            "loss": _or_none(self.loss),
            **{kind: {layer.name: _or_none(layer.value) for layer in found} for kind, found in groups.items()},
        }


@dataclass
class Probe:
    """The same examples, looked at again and again while a stage of training goes on."""

    engine: Engine
    stage: int
    fields: Fields
    whole: bool

    @cached_property
    def wiring(self) -> Wiring:
        return Wiring(self.engine.spec.stable)

    @classmethod
    def of(cls, engine: Engine, stage: int, data: Fields) -> Probe:
        """Some of the examples, drawn once."""
        first = Rows(data, np.arange(1))
        sizes = reference.sizes_of(engine.spec.model.ports, first)
        graph, facts = engine.spec.model.graph, engine.spec.model.facts
        flops, size = (max(1, bind(figure(graph.outputs.values()), sizes)) for figure in (facts.flops, facts.memory))
        number = min(examples(data), MOST, max(LEAST, int(WORK / flops)), max(1, int(ROOM / size)))
        rows = np.sort(np.random.default_rng(0).permutation(examples(data))[:number])
        return cls(engine, stage, {n: np.asarray(v) for n, v in Rows(data, rows).items()}, number == examples(data))

    def look(self) -> Look:
        spec = self.engine.spec
        feeds = {**self.engine.params, **self.engine.states, **self.fields, SEED: self.engine.seed, STEP: 0}
        seen = {node.name: node for node in self.wiring.graph if self._is_hidden(node)}
        values = reference.run(self._reading(seen), feeds)
        dead = [layer for name, n in seen.items() if self.wiring.activation(n) == "relu" and (layer := self._dead(n, values[name]))]
        saturated = [self._saturated(n, values[name]) for name, n in seen.items() if n.op.name in FLAT]
        gradients = [layer for phase in spec.stages[self.stage] for layer in self._gradients(phase, feeds)]
        return Look(sum(float(values[name]) for name in self._losses()), tuple(dead), tuple(saturated), tuple(gradients))

    def _reading(self, nodes: Mapping[str, Node]) -> Graph:
        graph = self.wiring.graph
        return graph.only({**{name: graph.outputs[name] for name in self._losses()}, **{name: name for name in nodes}})

    def _losses(self) -> list[str]:
        """The outputs that are minimised now."""
        return [f"loss:{name}" for phase in self.engine.spec.stages[self.stage] for name in phase.losses]

    def _is_hidden(self, node: Node) -> bool:
        """Whether it is an activation that weights come after, and no gate, which is multiplied with another value."""
        readers = self.wiring.readers[node.name]
        if self.wiring.activation(node) not in ("relu", *FLAT) or node.role != "forward" or node.type.rank < 2:
            return False
        if all(r.op.name == "mul" and len(self.wiring.data_of(r)) > 1 for r in readers):
            return False
        later = self.wiring.graph.dependents([node.name]) - {node.name}
        return any(self._has_weights(self.wiring.graph[name]) for name in later)

    def _has_weights(self, node: Node) -> bool:
        return any(i not in self.wiring.data and self.wiring.parameter(i) for i in node.inputs)

    def _dead(self, node: Node, out: Array) -> Layer | None:
        """The share of units, channels of an image, that are zero for every example and position; None where too few of these were seen."""
        product = self._before(node)
        units = 1 if product and product.node.op.name != "matmul" else out.ndim - 1
        silent = (out <= 0).all(axis=tuple(axis for axis in range(out.ndim) if axis != units))
        return _layer(product, node, float(np.mean(silent))) if self.whole or out.size >= ENOUGH * silent.size else None

    def _saturated(self, node: Node, out: Array) -> Layer:
        """The share of values where the slope is small."""
        low, high = FLAT[node.op.name]
        return _layer(self._before(node), node, float(np.mean((out < low) | (out > high))))

    def _before(self, node: Node) -> Product | None:
        """The product with weights that is nearest before a value."""
        before = self.wiring.graph.needed(node.inputs)
        return next((p for name, p in reversed(self.wiring.products.items()) if name in before), None)

    def _gradients(self, phase: Phase, feeds: Mapping[str, Any]) -> list[Layer]:
        """For the weights of each layer that a phase trains, from the input on."""
        read = phase.forward.needed(phase.forward.outputs[f"loss:{name}"] for name in phase.losses)
        found = reference.run(phase.objective, feeds, outputs_of(phase.objective, "grad"))
        layers: dict[str, Layer] = {}
        for product in self.wiring.products.values():
            name, size = product.weight or "", _length(feeds[product.weight]) if product.weight else 0.0
            if f"grad:{name}" in found and name in read and size:
                layers.setdefault(name, Layer(name, _length(found[f"grad:{name}"]) / size, product.span, size))
        return list(layers.values())


def _length(values: Array) -> float:
    return float(np.sqrt(np.sum(np.square(values, dtype=np.float64))))


def _layer(product: Product | None, node: Node, value: float) -> Layer:
    return Layer(name_of(product) if product else node.name.strip("/"), round(value, 6), node.span)


def _or_none(value: float) -> float | None:
    """What JSON has for a number that is none."""
    return value if isfinite(value) else None
