"""Numbers that hang on nothing but other numbers, such as a bias correction on the step: in float64, and rounded once at their end.

In float32, 1 - 0.999^t has three digits left where t is small.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nnspec.graph import Graph, Node, Var
from nnspec.ops.pointwise import cast
from nnspec.ops.source import const

DOUBLE = "float64"


def scalars_in_double(graph: Graph, inputs: Collection[str]) -> Graph:
    """The graph with every number that is made of one of these inputs, and of no array, computed in double precision."""
    return graph if graph.dtype == DOUBLE else _Doubling(graph, inputs).run()


class _Doubling:
    """`exact` has the numbers of the new graph in double precision, None for what is no such number; `made` are those of the inputs."""

    def __init__(self, graph: Graph, inputs: Collection[str]) -> None:
        self.graph, self.inputs, self.made = graph, inputs, set(inputs)
        self.exact: dict[str, Var | None] = {}

    def run(self) -> Graph:
        return self.graph.rebuilt(self._rule)

    def _rule(self, new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        exact = None if self.made.isdisjoint(inputs) else self._computed(node, [new.var(i) for i in inputs])
        if exact is None:
            return new.copy_node(node, inputs)
        value = _as(node.type.dtype, exact)
        self.exact[value.name] = exact
        self.made.add(value.name)
        return value.name

    def _computed(self, node: Node, inputs: Sequence[Var]) -> Var | None:
        """What an operation on single numbers gives in double precision."""
        numbers = [*filter(None, map(self._double, inputs))] if node.op.pointwise and not node.type.shape else []
        if not numbers or len(numbers) < len(inputs):
            return None
        attributes = node.attributes | ({"dtype": DOUBLE} if node.op is cast and node.type.is_float else {})
        return numbers[0].graph.call(node.op, *numbers, **attributes)

    def _double(self, value: Var) -> Var | None:
        if value.name not in self.exact:
            self.exact[value.name] = self._doubled(value)
        return self.exact[value.name]

    def _doubled(self, value: Var) -> Var | None:
        node, graph = value.node, value.graph
        if node.type.shape or not (node.op is const or node.op.pointwise or node.name in self.inputs):
            return None
        if node.op is const:
            return graph.constant(node.attributes["value"], DOUBLE) if node.type.is_float else value
        return _as(DOUBLE, value) if node.op.is_source else self._computed(node, [graph.var(i) for i in node.inputs])


def _as(dtype: str, value: Var) -> Var:
    """A fraction of that many bits; anything else as it is."""
    return value if value.type.dtype == dtype or not value.type.is_float else cast(value, dtype=dtype)
