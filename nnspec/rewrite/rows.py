"""Values seen as rows, `[steps, batch, n]` as `[steps * batch, n]`: what is seen so as a whole need not be seen so again in pieces."""

from __future__ import annotations

from nnspec.graph import Graph, Node
from nnspec.ops.arrange import concat, cut, reshape


def rows_first(graph: Graph) -> Graph:
    """The same with pieces cut from rows, and rows joined, instead of rows made of what was cut or joined along the last axis."""
    return graph.rebuilt(_rule)


def _rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
    if node.op is not reshape or node.type.rank != 2:
        return new.copy_node(node, inputs)
    inner = new[inputs[0]]
    last = inner.type.rank - 1
    if inner.op not in (cut, concat) or inner.attributes["axis"] != last or last < 2 or inner.type.shape[last] != node.type.shape[1]:
        return new.copy_node(node, inputs)
    pieces = [new.var(i) for i in inner.inputs]
    rows = [reshape(p, shape=(node.type.shape[0], p.type.shape[last])) for p in pieces]
    return new.call(inner.op, *rows, **{**inner.attributes, "axis": 1}).name
