"""Gradients, graph to graph: every partial derivative is built once, shared, and can be differentiated again."""

from __future__ import annotations

from collections.abc import Sequence

from nnspec.graph import Graph, Node, Type, Var
from nnspec.ops.arrange import expand, reshape
from nnspec.ops.reduce import sum as sum_over


def gradients(graph: Graph, of: str, wrt: Sequence[str]) -> list[Var]:
    """The gradient of the sum of node `of` with respect to each node of `wrt`, as nodes of role backward."""
    dependent = _dependent(graph, wrt)
    on_path = [n for n in _needed_nodes(graph, of) if n.name in dependent]
    one = graph.constant(1.0, graph[of].type.dtype)
    with graph.at(role="backward"):
        parts: dict[str, list[Var]] = {of: [expand(one, shape=graph[of].type.shape)]}
        for node in reversed(on_path):
            if node.inputs and node.name in parts:
                _differentiate(graph, node, parts, dependent)
        return [_total(parts[name]) if name in parts else _zero(graph, graph[name].type) for name in wrt]


def _dependent(graph: Graph, wrt: Sequence[str]) -> set[str]:
    found = set(wrt)
    for node in graph:
        if not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


def _needed_nodes(graph: Graph, of: str) -> list[Node]:
    needed = graph.needed([of])
    return [node for node in graph if node.name in needed]


def _differentiate(graph: Graph, node: Node, parts: dict[str, list[Var]], dependent: set[str]) -> None:
    """Send the gradient of a node on to those of its inputs that matter."""
    total = _total(parts[node.name])
    parts[node.name] = [total]
    if node.op.grad is None:
        return
    with graph.at(span=node.span):
        inputs = [graph.var(i) for i in node.inputs]
        shares = node.op.grad(total, graph.var(node.name), *inputs, **node.attributes)
        for source, share in zip(inputs, shares, strict=True):
            if share is not None and source.name in dependent and source.type.is_float:
                parts.setdefault(source.name, []).append(unbroadcast(share, source.type))


def _total(parts: list[Var]) -> Var:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _zero(graph: Graph, type: Type) -> Var:
    return expand(graph.constant(0.0, type.dtype), shape=type.shape)


def unbroadcast(g: Var, type: Type) -> Var:
    """A gradient summed over the axes along which its value was broadcast."""
    shape, extra = g.type.shape, g.type.rank - type.rank
    if shape == type.shape:
        return g
    axes = tuple(i for i in range(len(shape)) if i < extra or (type.shape[i - extra] == 1 and shape[i] != 1))
    summed = sum_over(g, axes=axes, keep=False) if axes else g
    return summed if summed.type.shape == type.shape else reshape(summed, shape=type.shape)
