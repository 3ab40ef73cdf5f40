"""Where gradients go, node by node."""

from __future__ import annotations

from collections.abc import Iterable

from nnspec.graph.graph import Graph
from nnspec.graph.node import Node


def receivers(graph: Graph, node: Node) -> list[str]:
    """The inputs of a node that get a share of its gradient."""
    if not node.op.grad and node.op.name not in ("scan", "part"):  # autodiff goes through loops itself
        return []
    names: Iterable[str] = node.inputs
    if node.op.choosing:
        declared = zip(node.inputs, node.op.declared(len(node.inputs)), strict=True)
        names = (name for name, parameter in declared if parameter.name not in node.op.choosing)
    return [name for name in names if graph[name].type.is_float]


def behind(graph: Graph, names: Iterable[str]) -> set[str]:
    """These nodes, and all to which a gradient at them goes."""
    found = set(names)
    waiting = list(found)
    while waiting:
        new = {*receivers(graph, graph[waiting.pop()])} - found
        found |= new
        waiting += new
    return found
