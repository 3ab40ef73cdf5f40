"""Where each value lives: in memory that is given (parameters, batch, gradients), as a view of another, or in one arena that is reused."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from math import prod

from nnspec.graph import Graph, Node, Type
from nnspec.graph.types import ITEM_BYTES
from nnspec.ops.arrange import concat, cut

ALIGNMENT = 64


@dataclass(frozen=True)
class Arena:
    """`size` bytes of the arena from `offset`."""

    offset: int
    size: int


@dataclass(frozen=True)
class Given:
    """Memory that the caller brings under this name."""

    name: str


@dataclass(frozen=True)
class View:
    """The memory of another node."""

    of: str


@dataclass(frozen=True)
class Own:
    """Memory of its own, written once: a constant."""


Place = Arena | Given | View | Own


@dataclass
class Schedule:
    """A graph for fixed sizes: the order, the types, a place for every node, and what is copied at the end."""

    graph: Graph
    order: list[Node]
    types: dict[str, Type]
    places: dict[str, Place] = field(default_factory=dict)
    copies: list[tuple[str, str]] = field(default_factory=list)
    images: Set[str] = frozenset()
    arena_bytes: int = 0

    def root(self, name: str) -> str:
        """The node whose memory a value lies in."""
        while isinstance(place := self.places[name], View):
            name = place.of
        return name


def images(graph: Graph, given: Collection[str] = ()) -> set[str]:
    """The values [batch, channels, *size] whose channels come last in memory: made so, or elementwise of such; not the `given` outputs."""
    found: set[str] = set()
    elsewhere = {graph.outputs[public] for public in given}
    for node in graph:
        along = node.op.pointwise or node.op in (concat, cut)
        like = along and any(i in found and graph[i].type.rank == node.type.rank for i in node.inputs)
        if (node.op.images or like) and node.name not in elsewhere:
            found.add(node.name)
    return found


def schedule(graph: Graph, sizes: Mapping[str, int], given: Mapping[str, str], channels_last: Set[str] | None = None) -> Schedule:
    """Places for every node the outputs need.

    `given` says which outputs (by public name) go to memory of the caller, and to which: `{"grad:W": "grad:W", "param:W": "W"}`.
    Sources lie in memory given under their own name. Where an output would overwrite a source that is read later, it is copied at the
    end. `channels_last` are the `images` of a graph that this is a part of.
    """
    needed = graph.needed(graph.outputs.values())
    order = [n for n in graph if n.name in needed]
    last = images(graph, given) if channels_last is None else channels_last
    plan = Schedule(graph, order, {n.name: n.type.bound(sizes) for n in order}, images=last)
    return _Placing(plan, given).run()


class _Placing:
    def __init__(self, plan: Schedule, given: Mapping[str, str]) -> None:
        self.plan = plan
        self.last_use = _last_uses(plan.order)
        self.free = _FreeList()
        self.kept = set(plan.graph.outputs.values())
        self.wanted: dict[str, str] = {}
        for public, memory in given.items():
            self._want(plan.graph.outputs[public], memory)

    def _want(self, name: str, memory: str) -> None:
        """Compute straight into given memory where that is safe; else copy at the end."""
        node, position = self.plan.graph[name], self._position(name)
        taken = name in self.wanted or node.op.view or not node.inputs
        overwrites_early = memory in self.plan.types and self.last_use.get(memory, -1) > position
        reads_it = memory in node.inputs and not (node.op.pointwise and node.op.in_place)
        if taken or overwrites_early or reads_it or self._seen_through_views(memory):
            self.plan.copies.append((name, memory))
        else:
            self.wanted[name] = memory

    def _position(self, name: str) -> int:
        return next(i for i, n in enumerate(self.plan.order) if n.name == name)

    def _seen_through_views(self, memory: str) -> bool:
        return any(n.op.view and memory in n.inputs for n in self.plan.order)

    def run(self) -> Schedule:
        plan, ends = self.plan, self._ends()
        for position, node in enumerate(plan.order):
            plan.places[node.name] = self._place(node, position, ends)
            for root in {plan.root(i) for i in node.inputs} | {plan.root(node.name)}:
                place = plan.places[root]
                if isinstance(place, Arena) and ends[root] == position and not self._handed_over(root, node):
                    self.free.release(place)
        plan.arena_bytes = self.free.high
        return plan

    def _ends(self) -> dict[str, int]:
        """The last position at which each root is read, itself or through views."""
        roots: dict[str, str] = {}
        ends: dict[str, int] = {}
        for position, node in enumerate(self.plan.order):
            root = roots[node.inputs[0]] if node.op.view else node.name
            roots[node.name] = root
            end = len(self.plan.order) if node.name in self.kept else max(self.last_use.get(node.name, position), position)
            ends[root] = max(ends.get(root, 0), end)
        return ends

    def _place(self, node: Node, position: int, ends: dict[str, int]) -> Place:
        if node.op.is_source:
            return Given(node.name)
        if node.name in self.wanted:
            return Given(self.wanted[node.name])
        if not node.inputs:
            return Own()
        if node.op.view:
            return View(node.inputs[0])
        reused = self._reusable(node, position, ends)
        type = self.plan.types[node.name]
        return reused or self.free.take(max(1, prod(type.numbers)) * ITEM_BYTES[type.dtype])

    def _reusable(self, node: Node, position: int, ends: dict[str, int]) -> Arena | None:
        """The memory of an input that nobody reads after this op, for ops on single elements."""
        if not (node.op.pointwise and node.op.in_place):
            return None
        roots = [self.plan.root(i) for i in node.inputs]
        for name, root in zip(node.inputs, roots, strict=True):
            place = self.plan.places[root]
            same = (
                name == root
                and self.plan.types[name] == self.plan.types[node.name]
                and (name in self.plan.images) == (node.name in self.plan.images)
            )
            if same and isinstance(place, Arena) and ends[root] == position and roots.count(root) == node.inputs.count(name):
                return place
        return None

    def _handed_over(self, root: str, node: Node) -> bool:
        return root != node.name and self.plan.places[root] == self.plan.places[node.name]


def _last_uses(order: list[Node]) -> dict[str, int]:
    return {i: position for position, node in enumerate(order) for i in node.inputs}


class _FreeList:
    """Free stretches of an arena that grows as needed; the smallest that fits is taken."""

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = []
        self.high = 0

    def take(self, size: int) -> Arena:
        size = -(-size // ALIGNMENT) * ALIGNMENT
        fitting = [(length, offset) for offset, length in self.stretches if length >= size]
        if not fitting:
            self.high += size
            return Arena(self.high - size, size)
        length, offset = min(fitting)
        self.stretches.remove((offset, length))
        if length > size:
            insort(self.stretches, (offset + size, length - size))
        return Arena(offset, size)

    def release(self, place: Arena) -> None:
        insort(self.stretches, (place.offset, place.size))
        merged: list[tuple[int, int]] = []
        for offset, length in self.stretches:
            if merged and sum(merged[-1]) == offset:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((offset, length))
        self.stretches = merged
