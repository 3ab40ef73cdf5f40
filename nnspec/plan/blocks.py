"""Which formulas of single elements are computed block by block, so that what goes from one of their operations to the next stays in the
cache: a chain of them over large values then takes the time of reading what goes in and writing what comes out.

A region is brought together from where its first operation stands. What the backward pass computes of values of the forward pass alone, the
slope of an activation, belongs to it where less has to be kept for it then than without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import prod

from nnspec.graph import Graph, Node, Type
from nnspec.ops.arrange import expand, reshape
from nnspec.ops.pointwise import descend
from nnspec.plan.layout import Layout
from nnspec.record import dataclass

LARGE = 1 << 19
"""Elements from which on a value is larger than what stays in the second-level cache beside others."""


@dataclass(frozen=True)
class Region:
    """Operations on single elements of values of one shape, in order, and those of their values that nobody else reads."""

    members: tuple[Node, ...]
    passing: frozenset[str]


def in_regions(graph: Graph, order: list[Node], types: Mapping[str, Type], layout: Layout) -> tuple[list[Node], list[Region]]:
    """An order for these nodes of a graph in which the members of each region follow one another, and the regions."""
    gathering = _Gathering(graph, order, types, layout)
    return gathering.run() if gathering.is_worth_it else (order, [])


class _Gathering:
    def __init__(self, graph: Graph, order: Sequence[Node], types: Mapping[str, Type], layout: Layout) -> None:
        self.graph, self.order, self.types, self.layout = graph, order, types, layout
        self.position = {node.name: i for i, node in enumerate(order)}
        self.kept = {self._root(name) for name in graph.outputs.values()}
        self.readers = self._readers()
        self.done: set[str] = set()
        self.result: list[Node] = []

    @property
    def is_worth_it(self) -> bool:
        """Whether there are several operations that could go together."""
        return len([*islice(filter(self._is_member, self.order), 2)]) > 1

    def _root(self, name: str) -> str:
        """The value that is seen in this one."""
        while self.graph[name].op.view:
            name = self.graph[name].inputs[0]
        return name

    def _readers(self) -> dict[str, list[Node]]:
        """The nodes that compute with a value, or with what is seen in it."""
        readers: dict[str, list[Node]] = {node.name: [] for node in self.order}
        for node in self.order:
            for root in dict.fromkeys(map(self._root, () if node.op.view else node.inputs)):
                readers[root].append(node)
        return readers

    def run(self) -> tuple[list[Node], list[Region]]:
        regions: list[Region] = []
        self._take(self._constants())
        for node in self.order:
            if node.name not in self.done:
                members = self._region(node) if self._is_member(node) else [node]
                self._take(self._views_for(members))
                if len(members) > 1:
                    regions.append(Region(tuple(members), frozenset(self._passing(members))))
                self._take(members)
        return self.result, regions

    def _constants(self) -> list[Node]:
        """What may be there from the beginning: what comes from outside, and what is made of numbers alone."""
        found: dict[str, Node] = {}
        for node in self.order:
            light = node.op.view or (node.op.pointwise and node.type.rank == 0)
            if not node.inputs or (light and all(i in found and not self.graph[i].op.is_source for i in node.inputs)):
                found[node.name] = node
        return [*found.values()]

    def _take(self, nodes: Iterable[Node]) -> None:
        """Have these come next."""
        for node in nodes:
            self.result.append(node)
            self.done.add(node.name)

    def _is_member(self, node: Node) -> bool:
        """Whether a node may be part of a region: what it reads has its elements in the order that they have in memory."""
        if not (node.op.pointwise and node.inputs) or node.op is descend or prod(self.types[node.name].numbers) < LARGE:
            return False
        return all(map(self._is_in_order, node.inputs))

    def _is_in_order(self, name: str) -> bool:
        while (node := self.graph[name]).op.view:
            if node.op not in (reshape, expand):
                return False
            name = node.inputs[0]
        return True

    def _likeness(self, node: Node) -> object:
        """What values of a region have in common."""
        return self.types[node.name].numbers, node.name in self.layout.images, node.name in self.layout.columns

    def _region(self, first: Node) -> list[Node]:
        """The operations that go with this one."""
        reach = self._reach(first)
        near = self._near(reach)
        if len(near) == len(reach):
            return reach
        everything = self._peeled(reach, {n.name for n in near})
        return min((near, everything), key=lambda members: self._left_over(members, reach))

    def _reach(self, first: Node) -> list[Node]:
        """All that can be computed with it, of what is there and of each other."""
        found, waiting = {first.name: first}, [first]
        while waiting:
            for reader in self.readers[waiting.pop().name]:
                if reader.name not in found and self._goes_with(reader, first, found):
                    found[reader.name] = reader
                    waiting.append(reader)
        return sorted(found.values(), key=lambda n: self.position[n.name])

    def _goes_with(self, node: Node, first: Node, found: Collection[str]) -> bool:
        alike = self._is_member(node) and self._likeness(node) == self._likeness(first)
        return alike and all(self._is_there(i, found) for i in node.inputs)

    def _is_there(self, name: str, found: Collection[str]) -> bool:
        """Whether a value is computed, or seen in one that is."""
        while name not in self.done and name not in found:
            node = self.graph[name]
            if not node.op.view:
                return False
            name = node.inputs[0]
            if name in found:
                return False
        return True

    def _near(self, reach: Sequence[Node]) -> list[Node]:
        """Those of them that stand before the first of others that reads one."""
        names = {n.name for n in reach}
        others = (self.position[r.name] for n in reach for r in self.readers[n.name] if r.name not in names)
        end = min(others, default=len(self.order))
        return [n for n in reach if self.position[n.name] < end]

    def _peeled(self, reach: list[Node], near: Collection[str]) -> list[Node]:
        """Without those farther on of whose inputs no more is kept than of themselves."""
        members = {n.name for n in reach}
        for node in reversed(reach):
            if node.name not in near and not any(r.name in members for r in self.readers[node.name]):
                without = members - {node.name}
                inputs = set(map(self._root, node.inputs))
                more = sum(self._bytes(i) for i in inputs if self._lives_on(i, without) and not self._lives_on(i, members))
                if more <= self._bytes(node.name):
                    members = without
        return [n for n in reach if n.name in members]

    def _left_over(self, members: Sequence[Node], reach: Sequence[Node]) -> int:
        """The bytes that are still to be read, of what goes into these operations and of what comes out, once some of them are done."""
        names = {m.name for m in members}
        return sum(self._bytes(i) for i in {self._root(i) for n in reach for i in n.inputs} | names if self._lives_on(i, names))

    def _lives_on(self, name: str, members: Collection[str]) -> bool:
        """Whether a value that is there with these members is read, or kept, after them."""
        there = name in members or name in self.done
        return there and (name in self.kept or any(r.name not in members and r.name not in self.done for r in self.readers[name]))

    def _bytes(self, name: str) -> int:
        return self.types[name].nbytes if self.graph[name].inputs else 0

    def _passing(self, members: Sequence[Node]) -> Iterator[str]:
        names = {m.name for m in members}
        return (n for n in names if not self._lives_on(n, names))

    def _views_for(self, members: Sequence[Node]) -> Iterator[Node]:
        """What is seen otherwise of values that are there, before it is read."""
        names, found = {m.name for m in members}, dict[str, Node]()
        waiting = [i for m in members for i in m.inputs]
        while waiting:
            name = waiting.pop()
            if name not in self.done and name not in names:
                found[name] = self.graph[name]
                waiting += found[name].inputs
        return iter(sorted(found.values(), key=lambda n: self.position[n.name]))
