"""Shapes and axes of a graph as they are for one example."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property

from nnspec.derivation.sums import REDUCTIONS
from nnspec.graph import BATCH, Dim, Graph, Node, Shape
from nnspec.graph.types import BATCH_NAME, Size, count
from nnspec.record import dataclass


@dataclass(frozen=True)
class Axes:
    """Those of the nodes of a graph; what is in `names` is written as a name, whatever it is made of."""

    graph: Graph
    names: Container[str]

    def shape(self, name: str) -> Shape:
        """The shape of a node as it is for one example."""
        shape = self.graph[name].type.shape
        example = shape[1:] if shape[:1] == (BATCH,) or name in self.of_all else shape
        return tuple(d.replaced(BATCH_NAME, 1) if isinstance(d, Size) else d for d in example)

    @cached_property
    def of_all(self) -> frozenset[str]:
        """Values with an axis of length 1 that goes along the examples."""
        readers = [n for n in self.graph if n.type.leads_with_batch and (n.op.pointwise or n.op.name == "expand")]
        types = {i: n.type for n in readers for i in n.inputs if self.graph[i].type.rank == n.type.rank}
        return frozenset(i for i in types if self.graph[i].type.shape[:1] == (1,))

    def keeps(self, node: Node) -> Node | None:
        """The reduction of which a node has the axes as axes of length 1: itself, or what it reshapes."""
        if node.op.name in REDUCTIONS:
            return node if node.attributes["keep"] else None
        inner = self.graph[node.inputs[0]] if node.op.name == "reshape" and node.inputs[0] not in self.names else node
        if inner.op.name not in REDUCTIONS or not (axes := self.over(inner)):
            return None
        shape = self.shape(self.operand(inner)[0])
        return inner if self.shape(node.name) == tuple(1 if a in axes else d for a, d in enumerate(shape)) else None

    def over(self, node: Node) -> list[int]:
        """The axes of one example that a reduction goes over."""
        name, axes = self.operand(node)
        shape = self.graph[name].type.shape
        return [a - (shape[:1] == (BATCH,)) for a in axes if shape[a] != BATCH]

    def operand(self, node: Node) -> tuple[str, list[int]]:
        """What a reduction reads and its axes, before its examples were laid one after the other."""
        x, axes = self.graph[node.inputs[0]], node.attributes["axes"]
        if x.op.name != "reshape" or x.name in self.names or not self.merges(x):
            return x.name, [*axes]
        more = self.graph[x.inputs[0]].type.rank - x.type.rank
        return x.inputs[0], [*(range(more + 1) if 0 in axes else ()), *(a + more for a in axes if a)]

    def merges(self, node: Node) -> bool:
        """Whether a reshape lays the examples of a batch one after the other."""
        before, after = self.graph[node.inputs[0]].type.shape, node.type.shape
        merged = len(before) - len(after) + 1
        return merged > 1 and before[0] == BATCH and before[merged:] == after[1:] and count(before[:merged]) == after[0]

    def is_transposed(self, node: Node) -> bool:
        """Whether a value is written as another one with ᵀ."""
        axes = node.attributes.get("axes", ()) if node.op.name == "transpose" and node.name not in self.names else ()
        return len(axes) > 1 and axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)

    def stacks(self, node: Node) -> bool:
        """Whether what is laid one after another has got the axis for that."""
        axis = node.attributes["axis"] - (BATCH in node.type.shape[:1])
        return all(self.has_got(self.graph[i], axis) for i in node.inputs)

    def has_got(self, x: Node, axis: int) -> bool:
        x = self.graph[x.inputs[0]] if x.op.name == "expand" else x
        shape = self.shape(x.name)
        return x.op.name == "reshape" and x.name not in self.names and self.shape(x.inputs[0]) == shape[:axis] + shape[axis + 1 :]

    def slice(self, node: Node) -> str:
        """The range that a cut takes of an example."""
        start, stop = node.attributes["start"], node.attributes["stop"]
        at_end = stop == self.graph[node.inputs[0]].type.shape[node.attributes["axis"]]
        return self.along_axis(node, f"{'' if start == 0 else start}:{'' if at_end else stop}")

    def place(self, node: Node) -> str:
        """The place of the one element that a cut takes: -1 at the end, unless its number is written."""
        start, stop = node.attributes["start"], node.attributes["stop"]
        at_end = stop == self.graph[node.inputs[0]].type.shape[node.attributes["axis"]]
        return self.along_axis(node, str(-1 if at_end and start != 0 and not _is_written(start, node) else start))

    def along_axis(self, node: Node, part: str) -> str:
        return ", ".join([*[":"] * (node.attributes["axis"] - self.graph[node.inputs[0]].type.has_batch), part])


def from_first(shape: Shape) -> Shape:
    """A shape without the axes of length 1 in front."""
    return shape[next((i for i, d in enumerate(shape) if d != 1), len(shape)) :]


def _is_written(place: Dim, node: Node) -> bool:
    """Whether the indices that a node was made of have it so."""
    indices = node.span.text.rpartition("[")[2] if node.span else ""
    return str(place) in indices.rstrip("] ").replace(" ", "").split(",")
