"""What is linear in a gradient, as the gradient times one slope: g a + g b c = g (a + b c).

The chain rule adds up the ways in which an activation hangs on its input, and carries the gradient along each of them. Taken out of the
sum, it meets one factor, made of values of the forward pass alone: that can be computed where those are, and be kept in their place.
What is left is a sum that may have a common factor in turn.

Where a choice leaves the gradient out, it stays left out: an infinite one times the 0 of a slope would be no number.
"""

from __future__ import annotations

from nnspec.graph import Graph, Node, Var
from nnspec.ops.pointwise import add, cast, div, gate, greater, mul, neg, sub, where

MOST = 64
"""Operations of a sum that are looked at."""
LINEAR = (add, sub, mul, neg, div, gate, where)


Side = tuple[str, bool]
"""Where a condition, by its name, does not hold, or holds."""
EVERYWHERE, NOWHERE = ("", True), ("", False)


def with_slopes(graph: Graph) -> Graph:
    """The graph with the common factors of each sum in its backward pass taken out."""
    while found := _sums(graph):
        graph = _taken_out(graph, found)
    return graph


def _taken_out(graph: Graph, found: dict[str, _Sum]) -> Graph:
    moved: dict[str, str] = {}

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        moved[node.name] = found[node.name].taken_out(new, moved).name if node.name in found else new.copy_node(node, inputs)
        return moved[node.name]

    return graph.rebuilt(rule)


def _sums(graph: Graph) -> dict[str, _Sum]:
    """The sums with a common factor, none of them a part of another."""
    readers: dict[str, list[str]] = {}
    position: dict[str, int] = {}
    for number, node in enumerate(graph):
        position[node.name] = number
        for i in node.inputs:
            readers.setdefault(i, []).append(node.name)
    for name in graph.outputs.values():
        readers.setdefault(name, []).append("")
    found: dict[str, _Sum] = {}
    parts: set[str] = set()
    for node in reversed(graph.nodes.values()):
        if node.op in (add, sub) and node.role == "backward" and node.type.has_batch and node.type.is_float and node.name not in parts:
            whole = _Sum(graph, node, readers, position)
            if whole.factor:
                found[node.name] = whole
                parts |= whole.parts
    return found


class _Sum:
    """A sum with the linear operations that only it reads."""

    def __init__(self, graph: Graph, root: Node, readers: dict[str, list[str]], position: dict[str, int]) -> None:
        self.graph, self.root = graph, root
        self.parts = self._parts(readers, position)
        self.known: dict[str, dict[str, Side]] = {}
        factors = {n for n, side in self._factors(root.name).items() if side == EVERYWHERE} - {root.name}
        common = {n for n in factors if graph[n].type == root.type}
        # The last of those outside is the gradient, which has least behind it.
        self.factor = max(common - self.parts or common, key=position.__getitem__, default="")

    def _parts(self, readers: dict[str, list[str]], position: dict[str, int]) -> set[str]:
        found, waiting = {self.root.name}, {*self.root.inputs}
        while waiting and len(found) < MOST:
            name = max(waiting, key=position.__getitem__)
            waiting.discard(name)
            node = self.graph[name]
            if node.op in LINEAR and node.type == self.root.type and found.issuperset(readers[name]):
                found.add(name)
                waiting.update(node.inputs)
        return found

    def _factors(self, name: str) -> dict[str, Side]:
        """What a value is a multiple of, element by element, and on which side of a choice."""
        if name not in self.known:
            self.known[name] = (self._of(self.graph[name]) if name in self.parts else {}) | {name: EVERYWHERE}
        return self.known[name]

    def _of(self, node: Node) -> dict[str, Side]:
        if node.op is mul:
            return self._factors(node.inputs[1]) | self._factors(node.inputs[0])
        if node.op in (neg, div, gate):
            return self._factors(node.inputs[0])
        first, second = (self._factors(i) for i in node.inputs[-2:])
        if node.op is where:
            for i, chosen, other in ((1, second, True), (2, first, False)):
                if self.graph[node.inputs[i]].constant == 0:
                    return {name: (node.inputs[0], other) for name, side in chosen.items() if side == EVERYWHERE}
            return {name: EVERYWHERE for name in first.keys() & second.keys() if first[name] == second[name] == EVERYWHERE}
        both = {name: _joined(first[name], second[name]) for name in first.keys() & second.keys()}
        return {name: side for name, side in both.items() if side != NOWHERE}

    def taken_out(self, new: Graph, moved: dict[str, str]) -> Var:
        """The factor times what is left of the sum, in a new graph where the values before it have these names."""
        self.new, self.moved, self.lefts = new, moved, dict[str, Var | float]()
        return new.var(moved[self.factor]) * self._left(self.root.name)

    def _left(self, name: str) -> Var | float:
        """What is left of a part without the factor."""
        if name not in self.lefts:
            node = self.graph[name]
            with self.new.at(span=node.span):
                self.lefts[name] = 1.0 if name == self.factor else self._left_of(node)
        return self.lefts[name]

    def _left_of(self, node: Node) -> Var | float:
        x, *others = node.inputs
        if node.op is where:
            sides = (0.0 if self.graph[i].constant == 0 else self._left(i) for i in others)
            return where(self._value(x), *sides)
        if node.op is mul:
            one, other = (x, others[0]) if self.factor in self._factors(x) else (others[0], x)
            return _times(self._left(one), self._value(other))
        left = self._left(x)
        if node.op is gate:
            return _times(left, cast(greater(self._value(others[0]), 0.0), dtype=node.type.dtype))
        if node.op is neg:
            return -left
        if node.op is div:
            return left / self._value(others[0])
        right = self._left(others[0])
        return left - right if node.op is sub else _sides(left, right) or left + right

    def _value(self, name: str) -> Var:
        return self.new.var(self.moved[name])


def _joined(x: Side, y: Side) -> Side:
    """Where a sum has a factor that its terms have there: a side and the other one are everywhere."""
    if EVERYWHERE in (x, y):
        return EVERYWHERE
    return NOWHERE if x[0] != y[0] else x if x == y else EVERYWHERE


def _times(x: Var | float, y: Var) -> Var:
    return y if isinstance(x, float) and x == 1.0 else x * y


def _sides(x: Var | float, y: Var | float) -> Var | None:
    """The sum of the two sides of one choice, as the choice."""
    if isinstance(x, Var) and isinstance(y, Var) and x.node.op is y.node.op is where and x.node.inputs[0] == y.node.inputs[0]:
        for one, other in ((x, y), (y, x)):
            condition, yes, none = (x.graph.var(i) for i in one.node.inputs)
            if none.node.constant == 0 and x.graph[other.node.inputs[1]].constant == 0:
                return where(condition, yes, x.graph.var(other.node.inputs[2]))
    return None
