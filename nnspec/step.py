"""A training step as one graph: gradients after the loss, then the optimizer's formulas for every parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nnspec.autodiff import gradients
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import apply_optimizer, optimizer_states
from nnspec.graph import Graph, Op, Type, Var
from nnspec.ops import OPS

Penalty = tuple[tuple[str, float], ...]


def outputs_of(graph: Graph, *kinds: str) -> dict[str, str]:
    """The outputs whose public names start with these kinds."""
    return {public: n for public, n in graph.outputs.items() if public.split(":")[0] in kinds}


def add_gradients(forward: Graph, parameters: Mapping[str, Type], penalty: Penalty) -> Graph:
    """Loss, new states, and `grad:NAME` for every parameter."""
    graph = forward.only(outputs_of(forward, "loss", "state"))
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


def add_update(graph: Graph, definitions: Definitions, training: Training, parameters: Sequence[str]) -> Graph:
    """`param:NAME` and `opt:NAME.STATE` for every parameter, given lr and t; the loss and the new states stay outputs."""
    assert training.optimizer
    graph = graph.only(graph.outputs, "step")
    ws = [graph.var(n) for n in parameters]
    gs = [graph.var(graph.outputs.pop(f"grad:{n}")) for n in parameters]
    with graph.at(role="update"):
        return _updated(graph, definitions, training, ws, gs)


def flat_update(definitions: Definitions, training: Training, shapes: Sequence[tuple[str, Type]], dtype: str) -> Graph:
    """The same update on its own, gradients as inputs `grad:NAME`: what an engine runs over its flat buffers."""
    graph = Graph("update", dtype)
    ws = [graph.source(OPS["param"], n, t) for n, t in shapes]
    gs = [graph.source(OPS["input"], f"grad:{n}", t) for n, t in shapes]
    return _updated(graph, definitions, training, ws, gs)


def _updated(graph: Graph, definitions: Definitions, training: Training, ws: list[Var], gs: list[Var]) -> Graph:
    assert training.optimizer
    scalars = {n: graph.source(OPS["input"], n, Type(graph.dtype)) for n in ("lr", "t")}
    if training.clip:
        gs = _clipped(gs, *training.clip)
    for w, g in zip(ws, gs, strict=True):
        states = {s: graph.source(OPS["state"], f"{w.name}.{s}", w.type) for s in optimizer_states(training.optimizer)}
        new = apply_optimizer(graph, definitions, training.optimizer, w, g, states, scalars)
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
    formulas = {_formula(flat_update(definitions, alone, [("w", t)], t.dtype)) for t in types}
    return len(formulas) == 1 and all(op.pointwise or op.is_source or op.name == "const" for op, _, _ in formulas.pop())


def _formula(graph: Graph) -> tuple[tuple[Op, tuple[str, ...], tuple[tuple[str, Any], ...]], ...]:
    """A graph but for its types."""
    return tuple((n.op, n.inputs, n.attrs) for n in graph)
