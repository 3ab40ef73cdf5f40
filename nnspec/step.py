"""A training step as one graph: gradients after the loss, then the optimizer's formulas for every parameter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

from nnspec.autodiff import gradients
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import apply_optimizer, lookahead, optimizer_states
from nnspec.elaborate.values import Applied
from nnspec.graph import Graph, Node, Op, Type, Var
from nnspec.loops import keeping_products
from nnspec.ops import OPS
from nnspec.rewrite import AFTER_GRADIENTS, rewrite

LR, T = "optimizer:lr", "optimizer:t"
"""The inputs of a step that are rate and count: a model may have an `lr` or `t` of its own."""
Penalty = tuple[tuple[str, float], ...]


def outputs_of(graph: Graph, *kinds: str) -> dict[str, str]:
    """The outputs whose public names start with these kinds."""
    return {public: n for public, n in graph.outputs.items() if public.split(":")[0] in kinds}


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of a train block: the losses it minimises, the parameters it trains, and the graphs that do it.

    `forward` is the training graph after the stability rules; `states` are those that change in this phase.
    """

    forward: Graph
    definitions: Definitions
    training: Training
    losses: tuple[str, ...]
    parameters: Mapping[str, Type]
    states: Collection[str]

    @cached_property
    def objective(self) -> Graph:
        """The losses and their sum, the new states, and the gradient of sum and penalties for every trained parameter."""
        graph = _minimising(self.forward, self.losses, self.states)
        return rewrite(add_gradients(graph, self.parameters, self.training.penalty), *AFTER_GRADIENTS)

    @cached_property
    def step(self) -> Graph:
        """Forward, loss, backward and update in one graph."""
        return rewrite(add_update(self.objective, self.definitions, self.training, self.parameters), *AFTER_GRADIENTS)


def states_by_phase(forward: Graph, losses: Sequence[Sequence[str]]) -> list[list[str]]:
    """The states that change in each phase, which minimises these losses.

    A state changes where the losses compute all of the batch that it is made of; one for which none does, in the first phase.
    """
    states = {public.removeprefix("state:"): node for public, node in outputs_of(forward, "state").items()}
    found: list[list[str]] = []
    for names in losses:
        there = forward.needed([forward.outputs[f"loss:{n}"] for n in names])
        found.append([s for s, node in states.items() if not any(_reads_batch(forward, n) for n in forward.needed([node]) - there)])
    taken = {s for phase in found for s in phase}
    found[0] += [s for s in states if s not in taken]
    return found


def _reads_batch(graph: Graph, name: str) -> bool:
    return any(graph[n].type.has_batch for n in (name, *graph[name].inputs))


def _minimising(forward: Graph, losses: Sequence[str], states: Collection[str]) -> Graph:
    """The forward graph with these losses only, `loss` being their sum."""
    chosen = {f"loss:{n}": forward.outputs[f"loss:{n}"] for n in losses} | {f"state:{n}": forward.outputs[f"state:{n}"] for n in states}
    graph = forward.only(chosen)
    with graph.at(role="loss"):
        total = reduce(add, (graph.var(graph.outputs[f"loss:{n}"]) for n in losses))
    graph.outputs["loss"] = total.name
    return graph


def add_gradients(forward: Graph, parameters: Mapping[str, Type], penalty: Penalty) -> Graph:
    """Loss, new states, and `grad:NAME` for every parameter."""
    graph = keeping_products(forward.only(outputs_of(forward, "loss", "state")))
    for name, type in parameters.items():
        graph.source(OPS["param"], name, type)  # one that the loss does not use has a gradient too: zero
    objective = _with_penalty(graph, list(parameters), penalty)
    for name, gradient in zip(parameters, gradients(graph, objective.name, list(parameters)), strict=True):
        graph.outputs[f"grad:{name}"] = gradient.name
    return graph


def _with_penalty(graph: Graph, parameters: Sequence[str], penalty: Penalty) -> Var:
    """l2 adds lambda/2 times the squared weights, l1 lambda times their magnitudes; matrices and kernels only, no biases."""
    total = graph.var(graph.outputs["loss"])
    with graph.at(role="loss"):
        for kind, strength in penalty:
            for name in parameters:
                w = graph.var(name)
                if w.type.rank >= 2:
                    size = OPS["square"](w) * 0.5 if kind == "l2" else OPS["abs"](w)
                    total = total + strength * OPS["sum"](size, axes=tuple(range(w.type.rank)), keep=False)
    return total


def add_update(graph: Graph, definitions: Definitions, training: Training, types: Mapping[str, Type]) -> Graph:
    """`param:NAME` and `opt:NAME.STATE` for every parameter, given lr and t; the loss and the new states stay outputs."""
    assert training.optimizer
    graph = _looked_ahead(graph, definitions, training.optimizer, types)
    ws = [graph.source(OPS["param"], n, t) for n, t in types.items()]
    gs = [graph.var(graph.outputs.pop(f"grad:{n}")) for n in types]
    with graph.at(role="update"):
        return _updated(graph, definitions, training, ws, gs)


def _looked_ahead(graph: Graph, definitions: Definitions, optimizer: Applied, types: Mapping[str, Type]) -> Graph:
    """The graph with these parameters where the optimizer looks ahead to, loss and gradients with them."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.name not in types:
            return new.copy_node(node, inputs)
        w = new.source(OPS["param"], node.name, node.type)
        ahead = lookahead(new, definitions, optimizer, w, _states(new, optimizer, w), _scalars(new))
        return ahead.name if ahead else w.name

    return graph.rebuilt(rule, name="step")


def flat_update(definitions: Definitions, training: Training, shapes: Sequence[tuple[str, Type]], dtype: str) -> Graph:
    """The same update on its own, gradients as inputs `grad:NAME`: what an engine runs over its flat buffers."""
    graph = Graph("update", dtype)
    ws = [graph.source(OPS["param"], n, t) for n, t in shapes]
    gs = [graph.source(OPS["input"], f"grad:{n}", t) for n, t in shapes]
    return _updated(graph, definitions, training, ws, gs)


def flat_lookahead(definitions: Definitions, training: Training, shapes: Sequence[tuple[str, Type]], dtype: str) -> Graph | None:
    """`ahead:NAME` for every parameter: where its gradient is taken; nothing for an optimizer that does not look ahead."""
    assert training.optimizer
    graph = Graph("lookahead", dtype)
    for name, type in shapes:
        w = graph.source(OPS["param"], name, type)
        ahead = lookahead(graph, definitions, training.optimizer, w, _states(graph, training.optimizer, w), _scalars(graph))
        if ahead is None:
            return None
        graph.outputs[f"ahead:{name}"] = ahead.name
    return graph


def _states(graph: Graph, optimizer: Applied, w: Var) -> dict[str, Var]:
    return {s: graph.source(OPS["state"], f"{w.name}.{s}", w.type) for s in optimizer_states(optimizer)}


def _scalars(graph: Graph) -> dict[str, Var]:
    return {n: graph.source(OPS["input"], port, Type(graph.dtype)) for n, port in (("lr", LR), ("t", T))}


def _updated(graph: Graph, definitions: Definitions, training: Training, ws: list[Var], gs: list[Var]) -> Graph:
    assert training.optimizer
    if training.clip:
        gs = _clipped(gs, *training.clip)
    for w, g in zip(ws, gs, strict=True):
        new = apply_optimizer(graph, definitions, training.optimizer, w, g, _states(graph, training.optimizer, w), _scalars(graph))
        graph.outputs[f"param:{w.name}"] = new.parameter.name
        graph.outputs |= {f"opt:{w.name}.{s}": v.name for s, v in new.states.items()}
    return graph


def _clipped(gs: list[Var], kind: str, limit: float) -> list[Var]:
    """By value each element; by norm all gradients together, scaled to the limit (Pascanu et al. 2013)."""
    if kind == "value":
        return [OPS["minimum"](OPS["maximum"](g, -limit), limit) for g in gs]
    total = gs[0].graph.constant(0.0)
    for g in gs:
        total = total + OPS["sum"](OPS["square"](g), axes=tuple(range(g.type.rank)), keep=False)
    factor = OPS["minimum"](limit / (OPS["sqrt"](total) + 1e-6), 1.0)
    return [g * factor for g in gs]


def is_pointwise(definitions: Definitions, training: Training, types: Iterable[Type]) -> bool:
    """Whether the optimizer treats every element of parameters of these types alike, so that all can be updated as one vector.

    It does where it is made of pointwise ops and is the same formula for every type. Clipping does not count: its norm is over all
    parameters together, in either form.
    """
    alone = replace(training, clip=None)
    formulas = {_formula(definitions, alone, t) for t in types}
    return len(formulas) == 1 and all(op.pointwise or op.is_source or op.name == "const" for op, _, _ in formulas.pop())


def _formula(
    definitions: Definitions, training: Training, type: Type
) -> tuple[tuple[Op, tuple[str, ...], tuple[tuple[str, Any], ...]], ...]:
    """What an optimizer does to a parameter of one type, but for the type."""
    parts = [f(definitions, training, [("w", type)], type.dtype) for f in (flat_lookahead, flat_update)]
    return tuple((n.op, n.inputs, n.attrs) for graph in parts if graph for n in graph)
