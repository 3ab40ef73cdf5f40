"""Values in pieces: where the steps of a loop cut a value side by side, they are given what each piece is made of.

To NumPy a piece is a view of the whole; onnxruntime copies it, at every step.
"""

from __future__ import annotations

from collections import Counter

from nnspec.graph import Graph, Node, Var
from nnspec.loops import of_step
from nnspec.ops.arrange import cut
from nnspec.ops.linear import matmul
from nnspec.ops.loop import scan
from nnspec.ops.pointwise import add
from nnspec.ops.source import input
from nnspec.rewrite.loops import Opened


def in_pieces(graph: Graph) -> Graph:
    """The same with loops that cut neither their items, nor their products with what they are given, nor sums of such."""
    readers = graph.readers()

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return _Cutting(Opened.of(new, node, inputs), readers).run(node).name if node.op is scan else new.copy_node(node, inputs)

    return graph.rebuilt(rule)


class _Cutting:
    """`readers` are those outside of the loop, and `whole` is what is read in it as a whole."""

    def __init__(self, opened: Opened, readers: Counter[str]) -> None:
        self.opened, self.readers, body = opened, readers, opened.body
        self.cuts = {n.name for n in body if n.op is cut and n.attributes["axis"] == n.type.rank - 1 > 0}
        self.whole = {*body.outputs.values()}
        for node in reversed(list(body)):
            if node.name not in self.cuts and (node.op is not add or node.name in self.whole):
                self.whole.update(node.inputs)

    def run(self, node: Node) -> Var:
        self.opened.body = self.opened.body.rebuilt(self._rule)
        return self.opened.closed(node)

    def _rule(self, new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.name in self.cuts and self._comes_in_pieces(new[inputs[0]], new):
            return self._inside(new.var(inputs[0]), node).name
        return new.copy_node(node, inputs)

    def _comes_in_pieces(self, node: Node, body: Graph) -> bool:
        if node.name in self.whole:
            return False
        if node.op is add:
            return all(self._comes_in_pieces(body[i], body) and body[i].type == node.type for i in node.inputs)
        return node.name in self.opened.items or (node.op is matmul and node.inputs[1] in self.opened.given)

    def _inside(self, value: Var, like: Node) -> Var:
        """The columns that a cut takes, of a value in the body."""
        node, body, opened = value.node, value.graph, self.opened
        if node.op is add:
            return add(*(self._inside(body.var(i), like) for i in node.inputs))
        source = node.inputs[1] if node.op is matmul else node.name
        kind = opened.given if node.op is matmul else opened.items
        name = body.fresh(f"{source}/piece")
        kind[name] = self._outside(kind[source], like)
        piece = body.source(input, name, kind[name].type if node.op is matmul else of_step(kind[name].type))
        return body.var(node.inputs[0]) @ piece if node.op is matmul else piece

    def _outside(self, value: Var, like: Node) -> Var:
        """The same outside: of what is computed for the loop only, number by number and by products, made of such columns."""
        node, inputs = value.node, [value.graph.var(i) for i in value.node.inputs]
        if self.readers[value.name] <= 1 and node.op is matmul:
            return inputs[0] @ self._outside(inputs[1], like)
        if self.readers[value.name] <= 1 and node.op.pointwise and inputs:
            width = value.type.shape[-1:]
            return node.op(*(self._outside(i, like) if i.type.shape[-1:] == width else i for i in inputs), **node.attributes)
        return cut(value, **{**like.attributes, "axis": value.type.rank - 1})
