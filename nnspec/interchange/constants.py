"""Values that no input has a part in, computed once: in their place stand weights of the exported file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from nnspec.graph import Graph, Node
from nnspec.graph.types import Size, Sized, count, size_names
from nnspec.graph.walk import walk
from nnspec.interchange.names import Names
from nnspec.ops import OPS

Array = np.ndarray[Any, np.dtype[Any]]
# A value with more elements than that is not computed in advance from fewer: a file keeps its size.
LARGEST_SPREAD = 1 << 16


class Constants(Collection[str]):
    """The values of a graph that are the same for every input, whatever is added to it meanwhile."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._known = graph, dict[str, bool]()

    def __contains__(self, name: object) -> bool:
        if name not in self._known:
            node = self.graph[str(name)]
            self._known[node.name] = _computable(node) and all(i in self for i in node.inputs) and not self._spreads(node)
        return self._known[str(name)]

    def __iter__(self) -> Iterator[str]:
        return (n for n in self.graph.nodes if n in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _spreads(self, node: Node) -> bool:
        size, made_of = (count(d for n in names for d in self.graph[n].type.shape) for names in ((node.name,), node.inputs))
        assert not isinstance(size, Size) and not isinstance(made_of, Size)
        return not node.op.is_source and size > max(LARGEST_SPREAD, made_of)


def _computable(node: Node) -> bool:
    """Whether it is known when all its inputs are."""
    sized = any(size_names(v) or isinstance(v, Sized) for v in (node.type.shape, *node.attributes.values()))
    return node.op.name != "input" and not sized


def folded(graph: Graph, weights: Mapping[str, Array]) -> tuple[Graph, dict[str, Array]]:
    """The graph with its constants as parameters, and the values of all."""
    constants = set(Constants(graph))
    read = {i for n in graph if n.name not in constants for i in n.inputs} | set(graph.outputs.values())
    made = [graph[n] for n in graph.nodes if n in constants & read and not _as_it_is(graph, graph[n], read)]
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
    computed = {names[n.name]: np.asarray(values[n.name], n.type.dtype) for n in made}
    return new.swept(), {**weights, **computed}


def scope_of(node: Node) -> str:
    """The layer that a node belongs to, by its path."""
    return node.name.rpartition("/")[0]


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
