"""Formulas over graphs, in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnspec.graph.node import Node
from nnspec.graph.op import OPS
from nnspec.graph.types import Type
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.graph.graph import Graph


@dataclass(frozen=True)
class Var:
    """A node seen as a value: operators on it add nodes to its graph."""

    graph: Graph
    name: str

    @property
    def node(self) -> Node:
        return self.graph.nodes[self.name]

    @property
    def type(self) -> Type:
        return self.graph.nodes[self.name].type

    def _op(self, name: str, *inputs: Any, **attrs: Any) -> Var:
        return self.graph.call(OPS[name], *inputs, **attrs)

    def __add__(self, other: Var | float) -> Var:
        return self._op("add", self, other)

    def __radd__(self, other: float) -> Var:
        return self._op("add", other, self)

    def __sub__(self, other: Var | float) -> Var:
        return self._op("sub", self, other)

    def __rsub__(self, other: float) -> Var:
        return self._op("sub", other, self)

    def __mul__(self, other: Var | float) -> Var:
        return self._op("mul", self, other)

    def __rmul__(self, other: float) -> Var:
        return self._op("mul", other, self)

    def __truediv__(self, other: Var | float) -> Var:
        return self._op("div", self, other)

    def __rtruediv__(self, other: float) -> Var:
        return self._op("div", other, self)

    def __pow__(self, other: Var | float) -> Var:
        return self._op("pow", self, other)

    def __neg__(self) -> Var:
        return self._op("neg", self)

    def __matmul__(self, other: Var) -> Var:
        return self._op("matmul", self, other)

    @property
    def mT(self) -> Var:
        """The last two axes exchanged."""
        rank = self.type.rank
        return self._op("transpose", self, axes=(*range(rank - 2), rank - 1, rank - 2))
