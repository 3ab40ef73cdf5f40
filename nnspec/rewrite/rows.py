"""Values seen as rows, `[steps, batch, n]` as `[steps * batch, n]`: what is seen so as a whole need not be seen so again in pieces."""

from __future__ import annotations

from nnspec.graph import Dim, Graph, Node, Var
from nnspec.ops.arrange import concat, cut, reshape


def rows_first(graph: Graph) -> Graph:
    """The same with pieces cut from rows, and rows joined, instead of rows made of what was cut or joined along the last axis."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op is not reshape or node.type.rank != 2 or new[inputs[0]].type.shape[2:] != node.type.shape[1:]:
            return new.copy_node(node, inputs)
        return _rows(new.var(inputs[0]), node.type.shape[0]).name

    return graph.rebuilt(rule)


def _rows(value: Var, number: Dim) -> Var:
    """A value [a, b, n] as [a * b, n]."""
    node, graph = value.node, value.graph
    if node.op in (cut, concat) and node.attributes["axis"] == 2:
        pieces = [_rows(graph.var(i), number) for i in node.inputs]
        return graph.call(node.op, *pieces, **{**node.attributes, "axis": 1})
    found: Var = reshape(value, shape=(number, value.type.shape[2]))
    return found
