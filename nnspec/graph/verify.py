"""What must hold of every graph, checked between passes in the tests and wherever a pass is in doubt."""

from __future__ import annotations

import networkx

from nnspec.graph.graph import Graph
from nnspec.graph.loop import Loop
from nnspec.graph.node import ROLES, Node


class InvalidGraph(Exception):
    """A graph that breaks a rule: a mistake of ours."""


def verify(graph: Graph) -> Graph:
    """The graph itself, or InvalidGraph: an acyclic mirror, inputs before uses, types that the ops give, known outputs."""
    seen: set[str] = set()
    for key, node in graph.nodes.items():
        _verify_node(graph, key, node, seen)
        seen.add(node.name)
    for public, name in graph.outputs.items():
        _require(name in seen, f"output {public} is {name}, which is not there")
    mirror = graph.nx
    _require(networkx.is_directed_acyclic_graph(mirror), "the graph has a cycle")
    _require(mirror.number_of_edges() == sum(len(n.inputs) for n in graph), "the mirror does not show every input")
    return graph


def _verify_node(graph: Graph, key: str, node: Node, seen: set[str]) -> None:
    _require(key == node.name, f"{node.name} is kept as {key}")
    _require(set(node.inputs) <= seen, f"{node.name} reads what comes after it")
    for _, value in node.attrs:
        if isinstance(value, Loop):
            verify(value.body)
    _require(node.role in ROLES, f"{node.name} has the role {node.role}")
    if not node.op.is_source:
        type = node.op.type(tuple(graph[i].type for i in node.inputs), node.attributes)
        _require((type.dtype, type.shape) == (node.type.dtype, node.type.shape), f"{node.name} is {node.type}, its op gives {type}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidGraph(message)
