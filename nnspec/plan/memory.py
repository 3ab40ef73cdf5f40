"""Where each value lives: in memory that is given (parameters, batch, gradients), as a view of another, or in one arena that is reused."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import field
from math import prod

from nnspec.graph import Graph, Node, Type
from nnspec.ops.arrange import concat
from nnspec.plan.blocks import Region, in_regions
from nnspec.plan.layout import Layout
from nnspec.plan.layout import layout as layout_of
from nnspec.record import dataclass

ALIGNMENT = 64
LARGEST_KEPT = 1 << 12  # numbers of a value that is computed once, of constants
VALUE = "value:"
"""How the outputs of a piece of a graph begin that other pieces read (see `plan.shard`)."""


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
    """Memory of its own, written once: a constant, or what is made of some."""


@dataclass(frozen=True)
class Passing:
    """Memory for one block of it, where a region is computed block by block and nobody else reads it."""


@dataclass(frozen=True)
class Inside:
    """A stretch of the memory of a node that joins this one to others, from `start` along its axis."""

    of: str
    start: int


Place = Arena | Given | View | Own | Inside | Passing


@dataclass
class Schedule:
    """A graph for fixed sizes: the order, the types, a place for every node, and what is copied at the end."""

    graph: Graph
    order: list[Node]
    types: dict[str, Type]
    layout: Layout
    places: dict[str, Place] = field(default_factory=dict)
    copies: list[tuple[str, str]] = field(default_factory=list)
    arena_bytes: int = 0
    regions: Mapping[str, Region] = field(default_factory=dict)
    """What is computed block by block, by the names of its members."""

    def root(self, name: str) -> str:
        """The node whose memory a value lies in."""
        while isinstance(place := self.places[name], View | Inside):
            name = place.of
        return name


def schedule(graph: Graph, sizes: Mapping[str, int], given: Mapping[str, str], layout: Layout | None = None) -> Schedule:
    """Places for every node the outputs need.

    `given` says which outputs (by public name) go to memory of the caller, and to which: `{"grad:W": "grad:W", "param:W": "W"}`.
    Sources lie in memory given under their own name. Where an output would overwrite a source that is read later, it is copied at the
    end. `layout` is that of a graph that this is a part of.
    """
    needed = graph.needed(graph.outputs.values())
    order = [n for n in graph if n.name in needed]
    types, lain = {n.name: n.type.bound(sizes) for n in order}, layout or layout_of(graph, sizes, given)
    order, regions = in_regions(graph, order, types, lain)
    plan = Schedule(graph, order, types, lain, regions={m.name: region for region in regions for m in region.members})
    return _Placing(plan, given).run()


class _Placing:
    def __init__(self, plan: Schedule, given: Mapping[str, str]) -> None:
        self.plan = plan
        self.last_use = _last_uses(plan.order)
        self.position = {node.name: position for position, node in enumerate(plan.order)}
        self.last_read = self._last_reads()
        self.free = _FreeList()
        self.kept = set(plan.graph.outputs.values())
        self.wanted: dict[str, str] = {}
        for public, memory in given.items():
            self._want(plan.graph.outputs[public], memory)
        self.inside = self._parts_of_joined()

    def _parts_of_joined(self) -> dict[str, Inside]:
        """Values that are computed straight into the value that joins them, each at one place."""
        found: dict[str, Inside] = {}
        for node in (n for n in self.plan.order if n.op is concat and self.wanted.get(n.name) not in self.plan.types):
            start = 0
            for name in node.inputs:
                part = self.plan.graph[name]
                once = node.inputs.count(name) == 1 and name not in found and name not in self.kept
                if once and part.op.pointwise and part.inputs:
                    found[name] = Inside(node.name, start)
                start += self.plan.types[name].numbers[node.attributes["axis"]]
        return found

    def _want(self, name: str, memory: str) -> None:
        """Compute straight into given memory where that is safe; else copy at the end."""
        node, position = self.plan.graph[name], self.position[name]
        taken = name in self.wanted or node.op.view or not node.inputs
        overwrites_early = memory in self.plan.types and self.last_read.get(memory, -1) > position
        reads_it = any(i == memory and not node.op.may_overwrite(position) for position, i in enumerate(node.inputs))
        if taken or overwrites_early or reads_it:
            self.plan.copies.append((name, memory))
        else:
            self.wanted[name] = memory

    def _last_reads(self) -> dict[str, int]:
        """The last position at which each source is read, itself or through views."""
        roots: dict[str, str] = {}
        reads: dict[str, int] = {}
        for position, node in enumerate(self.plan.order):
            if node.op.view:
                roots[node.name] = roots.get(node.inputs[0], node.inputs[0])
            reads |= {roots.get(i, i): position for i in node.inputs}
        kept = self.plan.graph.outputs.values()
        return reads | {roots[n]: len(self.plan.order) for n in kept if n in roots}

    def run(self) -> Schedule:
        plan, ends = self.plan, self._ends()
        ended: list[Arena] = []
        for position, node in enumerate(plan.order):
            plan.places[node.name] = self._place(node, position, ends)
            for root in {plan.root(i) for i in node.inputs} | {plan.root(node.name)}:
                place = plan.places[root]
                if isinstance(place, Arena) and ends[root] == position and not self._handed_over(root, node):
                    ended.append(place)
            if node.name not in plan.regions or node is plan.regions[node.name].members[-1]:  # each block reads what the next does
                while ended:
                    self.free.release(ended.pop())
        plan.arena_bytes = self.free.high
        return plan

    def _ends(self) -> dict[str, int]:
        """The last position at which each root is read, itself or through views."""
        roots: dict[str, str] = {}
        ends: dict[str, int] = {}
        for position, node in enumerate(self.plan.order):
            root = roots[node.inputs[0]] if node.op.view else self.inside[node.name].of if node.name in self.inside else node.name
            roots[node.name] = root
            end = len(self.plan.order) if node.name in self.kept else max(self.last_use.get(node.name, position), position)
            ends[root] = max(ends.get(root, 0), end)
        return ends

    def _place(self, node: Node, position: int, ends: dict[str, int]) -> Place:
        if node.op.is_source:
            return Given(node.name)
        if node.name in self.inside:
            self._begin(self.inside[node.name].of)
            return self.inside[node.name]
        if node.name in self.plan.places:
            return self.plan.places[node.name]
        if node.name in self.plan.regions and node.name in self.plan.regions[node.name].passing:
            return Passing()
        if node.name in self.wanted:
            return Given(self.wanted[node.name])
        if not node.inputs or self._is_constant(node):
            return Own()
        if node.op.view:
            return View(node.inputs[0])
        return self._reusable(node, position, ends) or self._take(node)

    def _is_constant(self, node: Node) -> bool:
        """Whether it is the same at every run, and too small to be laid out anew each time."""
        made_of = {type(self.plan.places[self.plan.root(i)]) for i in node.inputs}
        return node.op.pointwise and made_of == {Own} and prod(self.plan.types[node.name].numbers) <= LARGEST_KEPT

    def _begin(self, joined: str) -> None:
        """A place for a value that others are computed into before it is whole."""
        if joined not in self.plan.places:
            wanted = self.wanted.get(joined)
            self.plan.places[joined] = Given(wanted) if wanted else self._take(self.plan.graph[joined])

    def _take(self, node: Node) -> Arena:
        return self.free.take(self.plan.types[node.name])

    def _reusable(self, node: Node, position: int, ends: dict[str, int]) -> Arena | None:
        """The memory of an input that nobody reads after this op, for ops on single elements."""
        if not (node.op.pointwise and node.op.in_place):
            return None
        roots = [self.plan.root(i) for i in node.inputs]
        for name, root in zip(node.inputs, roots, strict=True):
            place = self.plan.places[root]
            same = name == root and self.plan.types[name] == self.plan.types[node.name]
            same = same and all((name in lain) == (node.name in lain) for lain in (self.plan.layout.columns, self.plan.layout.images))
            if same and isinstance(place, Arena) and ends[root] == position and roots.count(root) == node.inputs.count(name):
                return place
        return None

    def _handed_over(self, root: str, node: Node) -> bool:
        return root != node.name and self.plan.places[root] == self.plan.places[node.name]


def crossing(pieces: Sequence[Graph], sizes: Mapping[str, int]) -> tuple[dict[str, Arena], int]:
    """Where the values lie that go from one of these pieces to a later one, by the names of their outputs, in memory that is reused once
    nobody reads them any more; and how much of it there is.
    """
    last = {node.name: number for number, piece in enumerate(pieces) for node in piece if node.op.is_source}
    free, places, living = _FreeList(), dict[str, Arena](), dict[str, int]()
    for number, piece in enumerate(pieces):
        for public in [p for p, end in living.items() if end < number]:
            free.release(places[public])
            del living[public]
        for public, node in piece.outputs.items():
            if public.startswith(VALUE):
                places[public] = free.take(piece[node].type.bound(sizes))
                living[public] = max(number, last.get(public.removeprefix(VALUE), 0))
    return places, free.high


def _last_uses(order: list[Node]) -> dict[str, int]:
    return {i: position for position, node in enumerate(order) for i in node.inputs}


class _FreeList:
    """Free stretches of an arena that grows as needed; the smallest that fits is taken."""

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = []
        self.high = 0

    def take(self, type: Type) -> Arena:
        size = -(-max(1, type.nbytes) // ALIGNMENT) * ALIGNMENT
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
