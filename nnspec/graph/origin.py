"""Where a size comes from: followed back through the graph, and only when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Span
from nnspec.graph.graph import Graph
from nnspec.graph.node import Node
from nnspec.record import dataclass

WEIGHTS = {"conv": (1, 0), "conv_input_grad": (1, 1)}
"""Of ops over images, the axis of their result that is an axis of their weights."""


@dataclass(frozen=True)
class Origin:
    """The line that gave a value its size, and the very number or name that says it there, if one does."""

    span: Span
    written: Span | None = None


@dataclass(frozen=True)
class SizeOf:
    """The size of another node along an axis, counted from the end."""

    node: str
    axis: int


def origin(graph: Graph, name: str, axis: int) -> Origin | None:
    """What gave a node its size along an axis of it, which may count from the end."""
    node, at = graph[name], axis % graph[name].type.rank
    while before := _before(graph, node, at):
        node, at = before
    known = graph.written.get(node.name, ())
    from_end = at - node.type.rank
    found = known[from_end] if -from_end <= len(known) else None
    if isinstance(found, SizeOf):
        return origin(graph, found.node, found.axis)
    if found is None and node.op.name == "reshape":
        node = _source_of(graph, node)
    return found or (Origin(node.span) if node.span else None)


def _before(graph: Graph, node: Node, axis: int) -> tuple[Node, int] | None:
    """The input that has this size already, and along which axis of it."""
    if node.op.name in WEIGHTS and WEIGHTS[node.op.name][0] == axis:
        return graph[node.inputs[1]], WEIGHTS[node.op.name][1]
    if node.op.name == "matmul":
        side = graph[node.inputs[axis == node.type.rank - 1]]
        return side, side.type.rank + axis - node.type.rank
    return next(_same_size(graph, node, axis), None)


def _same_size(graph: Graph, node: Node, axis: int) -> Iterator[tuple[Node, int]]:
    """Inputs with the same size, first those that have it in the same place from the end; parameters follow what they meet."""
    size, from_end = node.type.shape[axis], axis - node.type.rank
    inputs = sorted((graph[i] for i in node.inputs), key=lambda n: n.op.name == "param")
    yield from ((n, n.type.rank + from_end) for n in inputs if n.type.rank >= -from_end and n.type.shape[from_end] == size)
    yield from ((n, n.type.shape.index(size)) for n in inputs if size in n.type.shape)


def _source_of(graph: Graph, node: Node) -> Node:
    """What a value that is only laid out otherwise was declared as; itself, if it was computed."""
    start = node
    while len(start.inputs) == 1 and start.op.name in ("reshape", "cast", "transpose"):
        start = graph[start.inputs[0]]
    return start if start.op.is_source else node
