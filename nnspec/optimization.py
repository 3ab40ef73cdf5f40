"""What an optimizer does in a step, as graphs: to gradients computed before it, or on its own over an engine's flat buffers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from nnspec.elaborate.library import Definitions
from nnspec.elaborate.update import apply_optimizer, lookahead, optimizer_states
from nnspec.elaborate.values import Applied
from nnspec.graph import Graph, Node, Op, Type, Var
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.rewrite.scalars import scalars_in_double

LR, T = "optimizer:lr", "optimizer:t"
"""The inputs of a step that are its rate and its number from 1: a model may have an `lr` or `t` of its own."""
Shapes = Sequence[tuple[str, Type]]


def share_of(parameter: str, number: int) -> str:
    """The name of one share of a gradient."""
    return f"grad:{parameter}/{number}" if number else f"grad:{parameter}"


class Turn(NamedTuple):
    """How many updates of a parameter there are in a step, and how many of them come before this one."""

    of: int = 1
    before: int = 0

    def t(self, step: Var) -> Var:
        """How many updates there have been with this one, in a step counted from 1."""
        return step if self.of == 1 else float(self.of) * step - float(self.of - 1 - self.before)


@dataclass(frozen=True)
class Optimization:
    """An optimizer, how its gradients are clipped ("norm" or "value", limit), and the turn of each parameter with several in a step."""

    definitions: Definitions
    optimizer: Applied
    clip: tuple[str, float] | None = None
    turns: Mapping[str, Turn] = field(default_factory=dict)

    def added(self, graph: Graph, types: Mapping[str, Type], *, watched: bool = False) -> Graph:
        """`param:NAME` and `opt:NAME.STATE` for every parameter after its `grad:NAME`, which goes unless it is watched.

        The loss and the new states stay outputs.
        """
        graph = self._looked_ahead(graph, types)
        ws = [graph.source(OPS["param"], n, t) for n, t in types.items()]
        gs = [graph.var(graph.outputs[f"grad:{n}"]) for n in types]
        if not watched:
            graph.outputs = {n: node for n, node in graph.outputs.items() if not n.startswith("grad:")}
        with graph.at(role="update"):
            return scalars_in_double(self._updated(graph, ws, gs), (LR, T))

    def update(self, shapes: Shapes, dtype: str, shares: int = 1) -> Graph:
        """The same on its own; gradients are inputs, each the sum of so many shares (see `share_of`)."""
        graph = Graph("update", dtype)
        ws = [graph.source(OPS["param"], n, t) for n, t in shapes]
        gs = [reduce(add, (graph.source(OPS["input"], share_of(n, i), t) for i in range(shares))) for n, t in shapes]
        return scalars_in_double(self._updated(graph, ws, gs), (LR, T))

    def ahead(self, shapes: Shapes, dtype: str) -> Graph | None:
        """`ahead:NAME` for every parameter: where its gradient is taken; nothing for an optimizer that does not look ahead."""
        graph = Graph("lookahead", dtype)
        for name, type in shapes:
            ahead = self._ahead(graph.source(OPS["param"], name, type))
            if ahead is None:
                return None
            graph.outputs[f"ahead:{name}"] = ahead.name
        return scalars_in_double(graph, (LR, T))

    @property
    def joins(self) -> bool:
        """Whether what one parameter becomes depends on the gradients of the others: clipping is by the norm of all of them."""
        return self.clip is not None and self.clip[0] == "norm"

    def is_pointwise(self, types: Iterable[Type]) -> bool:
        """Whether every element of parameters of these types is treated alike, so that all can be updated as one vector.

        It is where the optimizer is made of pointwise ops and is the same formula for every type. Clipping does not count: its norm is
        over all parameters together, in either form.
        """
        alone = replace(self, clip=None)
        formulas = {alone._formula(t) for t in types}
        return len(formulas) == 1 and all(op.pointwise or op.is_source or op.name == "const" for op, _, _ in formulas.pop())

    def _formula(self, type: Type) -> tuple[tuple[Op, tuple[str, ...], tuple[tuple[str, Any], ...]], ...]:
        """What is done to a parameter of one type, but for the type."""
        parts = [f([("w", type)], type.dtype) for f in (self.ahead, self.update)]
        return tuple((n.op, n.inputs, n.attrs) for graph in parts if graph for n in graph)

    def _looked_ahead(self, graph: Graph, types: Mapping[str, Type]) -> Graph:
        """The graph with these parameters where the optimizer looks ahead to, loss and gradients with them."""

        def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
            if node.name not in types:
                return new.copy_node(node, inputs)
            w = new.source(OPS["param"], node.name, node.type)
            return (self._ahead(w) or w).name

        return graph.rebuilt(rule, name="step")

    def _ahead(self, w: Var) -> Var | None:
        return lookahead(w.graph, self.definitions, self.optimizer, w, self._states(w), self._scalars(w))

    def _states(self, w: Var) -> dict[str, Var]:
        return {s: w.graph.source(OPS["state"], f"{w.name}.{s}", w.type) for s in optimizer_states(self.optimizer)}

    def _scalars(self, w: Var) -> dict[str, Var]:
        lr, step = (w.graph.source(OPS["input"], port, Type(w.graph.dtype)) for port in (LR, T))
        return {"lr": lr, "t": self.turns.get(w.name, Turn()).t(step)}

    def _updated(self, graph: Graph, ws: list[Var], gs: list[Var]) -> Graph:
        if self.clip:
            gs = _clipped(gs, *self.clip)
        for w, g in zip(ws, gs, strict=True):
            new = apply_optimizer(graph, self.definitions, self.optimizer, w, g, self._states(w), self._scalars(w))
            graph.outputs[f"param:{w.name}"] = new.parameter.name
            graph.outputs |= {f"opt:{w.name}.{s}": v.name for s, v in new.states.items()}
        return graph


def _clipped(gs: list[Var], kind: str, limit: float) -> list[Var]:
    """By value each element; by norm all gradients together, scaled to the limit (Pascanu et al. 2013)."""
    if kind == "value" or not gs:
        return [OPS["minimum"](OPS["maximum"](g, -limit), limit) for g in gs]
    total = reduce(add, (OPS["sum"](OPS["square"](g), axes=tuple(range(g.type.rank)), keep=False) for g in gs))
    factor = OPS["minimum"](limit / (OPS["sqrt"](total) + 1e-6), 1.0)
    return [g * factor for g in gs]
