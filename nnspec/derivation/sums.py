"""The sums over the examples that a derivative is made of: by what all examples have in common each has a share."""

from __future__ import annotations

from nnspec.graph import Graph, Node

REDUCTIONS = ("sum", "mean", "max", "min", "prod", "logsumexp")
LINEAR = ("neg", "gate", "sum", "expand", "reshape", "transpose", "cast", "cut", "pad")
"""Operations whose value is a sum where the first thing they read is one."""


def is_over_the_batch(graph: Graph, node: Node) -> bool:
    """Whether a value that all examples have in common is made of one that each has its own of."""
    return not node.type.has_batch and any(graph[i].type.has_batch for i in node.inputs)


def sums_of(graph: Graph, name: str) -> frozenset[str]:
    """The sums over the examples that a value is a sum of, each times what all have in common; none where it is no such sum."""
    node = graph[name]
    if is_over_the_batch(graph, node):
        return frozenset([name]) if node.op.name not in REDUCTIONS or node.op.name == "sum" else frozenset()
    found = [sums_of(graph, i) for i in node.inputs]
    match node.op.name:
        case "add" | "sub" | "concat":
            return frozenset().union(*found) if all(found) else frozenset()
        case "mul" | "matmul" | "div":
            pairs = [(found[0], node.inputs[1]), (found[1], node.inputs[0])][: 1 if node.op.name == "div" else 2]
            return next((sums for sums, other in pairs if sums and sums.isdisjoint(graph.needed([other]))), frozenset())
        case "where":
            branches = [sums for i, sums in zip(node.inputs[1:], found[1:], strict=True) if graph[i].constant != 0]
            return frozenset().union(*branches) if all(branches) else frozenset()
        case other if other in LINEAR:
            return found[0]
    return frozenset()
