"""Values that no input has a part in, computed once: in their place stand weights of the exported file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnspec.array import Array
from nnspec.graph import Graph, Node
from nnspec.graph.types import count
from nnspec.graph.walk import walk
from nnspec.interchange.names import Names
from nnspec.ops import OPS
from nnspec.rewrite.passes import LARGEST_SPREAD, Constants, scope_of


def folded(graph: Graph, weights: Mapping[str, Array]) -> tuple[Graph, dict[str, Array]]:
    """The graph with its constants as parameters, and the values of all."""
    constants = set(Constants(graph))
    read = {i for n in graph if n.name not in constants for i in n.inputs} | set(graph.outputs.values())
    made = [graph[n] for n in graph.nodes if n in constants & read and not _as_it_is(graph, graph[n], read)]
    with np.errstate(all="ignore"):
        values = walk(graph, weights, {}, graph.needed(n.name for n in made))
    names = _names(graph, made, read)
    new, moved = Graph(graph.name, graph.dtype), dict[str, str]()
    for node in graph:
        with new.at(role=node.role, span=node.span, scope=scope_of(node)):
            if node.name in names:
                moved[node.name] = new.source(OPS["param"], names[node.name], node.type).name
            elif node.name in read or node.name not in constants:
                name = node.name if node.op.is_source else None  # others are numbered anew, as many have gone
                moved[node.name] = new.add(node.op, tuple(moved[i] for i in node.inputs), node.attributes, node.type, name)
    new.outputs = {public: moved[n] for public, n in graph.outputs.items()}
    computed = {moved[n.name]: np.asarray(values[n.name], n.type.dtype) for n in made}
    return new.swept(), {**weights, **computed}


def _as_it_is(graph: Graph, node: Node, read: set[str]) -> bool:
    """Whether a constant is not computed in advance: it is one already, or a large array of the file seen another way."""
    second = node.op.view and set(node.inputs) <= read and count(node.type.shape) > LARGEST_SPREAD  # type: ignore[operator]  # no sizes
    return second or node.op.is_source or node.op.name == "const"


def _names(graph: Graph, made: list[Node], read: set[str]) -> dict[str, str]:
    """What is a changed parameter keeps its name, where the parameter itself is not read any more; else that of its node."""
    free = {n.name for n in graph if n.op.name in ("param", "state") and n.name not in read}
    taken, found = Names(), dict[str, str]()
    for node in graph:
        if node.op.is_source:
            taken.give(node.name)
    for node in made:
        parameter = _first(graph, node, free) or _nearest(graph, node, free)
        free.discard(parameter)
        found[node.name] = parameter or taken.give(node.name.lstrip("/"))
    return found


def _first(graph: Graph, node: Node, free: set[str]) -> str:
    """The trained parameter of the same shape that all else was done to: what stands leftmost."""
    left = node
    while left.inputs:
        left = graph[left.inputs[0]]
    return left.name if left.op.name == "param" and left.name in free and left.type.shape == node.type.shape else ""


def _nearest(graph: Graph, node: Node, free: set[str]) -> str:
    """The free parameter of the same shape that the fewest operations lie between."""
    level = list(node.inputs)
    while level:
        for name in level:
            if name in free and graph[name].type.shape == node.type.shape:
                return name
        level = list(dict.fromkeys(i for name in level for i in graph[name].inputs))
    return ""
