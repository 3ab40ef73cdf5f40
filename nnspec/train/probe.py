"""A look into a network on a few examples: which units are dead or saturated, and what reaches the weights of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnspec.diagnostics import Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.report import Facts
from nnspec.graph import Graph, Node
from nnspec.graph.types import bind
from nnspec.lint.network import Wiring, name_of
from nnspec.run import reference
from nnspec.run.batches import Rows
from nnspec.run.engine import Engine
from nnspec.step import Phase, outputs_of
from nnspec.train.check import Fields, examples

Array = np.ndarray[Any, np.dtype[Any]]
MOST, LEAST, WORK, ENOUGH = 128, 8, 2e8, 64
"""Examples that are looked at: as many as take so many operations forward, between a least and a most. With ENOUGH a unit has its say."""
FLAT = {"sigmoid": (0.01, 0.99), "tanh": (-0.98, 0.98)}
"""Outside of these an activation has less than a twenty-fifth of its steepest slope."""


@dataclass(frozen=True)
class Layer:
    """A share of units, or the length of a gradient over that of its weights; where it was written."""

    name: str
    value: float
    span: Span | None


@dataclass(frozen=True)
class Look:
    """What one look has found: layers from the input on."""

    loss: float
    dead: tuple[Layer, ...] = ()
    saturated: tuple[Layer, ...] = ()
    gradients: tuple[Layer, ...] = ()

    def as_json(self) -> dict[str, Any]:
        groups = {"dead": self.dead, "saturated": self.saturated, "gradient_over_weight": self.gradients}
        return {"loss": self.loss, **{kind: {layer.name: layer.value for layer in found} for kind, found in groups.items()}}


@dataclass
class Probe:
    """The same examples, looked at again and again while a stage of training goes on."""

    engine: Engine
    stage: int
    fields: Fields
    whole: bool
    wiring: Wiring = field(init=False)

    def __post_init__(self) -> None:
        self.wiring = Wiring(self.engine.spec.stable)

    @classmethod
    def of(cls, engine: Engine, stage: int, data: Fields) -> Probe:
        """Some of the examples, drawn once."""
        first = Rows(data, np.arange(1))
        sizes = reference.sizes_of(engine.spec.model.inputs | engine.spec.model.targets, first)
        model = engine.spec.model
        flops = bind(Facts(model.graph, model.owned).flops(model.graph.outputs.values()), sizes)
        number = min(examples(data), MOST, max(LEAST, int(WORK / max(flops, 1))))
        rows = np.sort(np.random.default_rng(0).permutation(examples(data))[:number])
        return cls(engine, stage, {n: np.asarray(v) for n, v in Rows(data, rows).items()}, number == examples(data))

    def look(self) -> Look:
        spec = self.engine.spec
        feeds = {**self.engine.params, **self.engine.states, **self.fields, SEED: self.engine.seed, STEP: 0}
        seen = {node.name: node for node in self.wiring.graph if self._is_hidden(node)}
        values = reference.run(self._reading(seen), feeds)
        dead = [self._layer(n, _dead(values[name])) for name, n in seen.items() if n.op.name == "relu" and self._tells(values[name])]
        saturated = [self._layer(n, _share_outside(values[name], *FLAT[n.op.name])) for name, n in seen.items() if n.op.name in FLAT]
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
        if node.op.name not in ("relu", *FLAT) or node.role != "forward" or node.type.rank < 2:
            return False
        if all(r.op.name == "mul" and len(self.wiring.data_of(r)) > 1 for r in readers):
            return False
        later = self.wiring.graph.dependents([node.name]) - {node.name}
        return any(self._has_weights(self.wiring.graph[name]) for name in later)

    def _has_weights(self, node: Node) -> bool:
        return any(i not in self.wiring.data and self.wiring.parameter(i) for i in node.inputs)

    def _tells(self, out: Array) -> bool:
        """Whether a unit that is zero in all of these is zero in all there is, or as good as."""
        return self.whole or out.size // out.shape[_units(out)] >= ENOUGH

    def _layer(self, node: Node, value: float) -> Layer:
        """By the name of the weights nearest before it."""
        before = self.wiring.graph.needed(node.inputs)
        product = next((p for name, p in reversed(self.wiring.products.items()) if name in before), None)
        return Layer(name_of(product) if product else node.name.strip("/"), round(value, 6), node.span)

    def _gradients(self, phase: Phase, feeds: Mapping[str, Any]) -> list[Layer]:
        """For the weights of each layer that a phase trains, from the input on."""
        read = phase.forward.needed(phase.forward.outputs[f"loss:{name}"] for name in phase.losses)
        found = reference.run(phase.objective, feeds, outputs_of(phase.objective, "grad"))
        layers: dict[str, Layer] = {}
        for product in self.wiring.products.values():
            name, size = product.weight or "", _length(feeds[product.weight]) if product.weight else 0.0
            if f"grad:{name}" in found and name in read and size:
                layers.setdefault(name, Layer(name, _length(found[f"grad:{name}"]) / size, product.span))
        return list(layers.values())


def _length(values: Array) -> float:
    return float(np.sqrt(np.sum(np.square(values, dtype=np.float64))))


def _dead(out: Array) -> float:
    """The share of units, channels of an image, that are zero for every example and position."""
    others = tuple(axis for axis in range(out.ndim) if axis != _units(out))
    return float(np.mean((out <= 0).all(axis=others)))


def _units(out: Array) -> int:
    """The axis of the units: the channels of an image, the last of anything else."""
    return 1 if out.ndim > 3 else out.ndim - 1


def _share_outside(out: Array, low: float, high: float) -> float:
    return float(np.mean((out < low) | (out > high)))
