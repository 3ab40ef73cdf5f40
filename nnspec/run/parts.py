"""A graph run by several threads, each on a part of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.ops.aside import shared
from nnspec.plan.layout import Layout, layout
from nnspec.plan.memory import VALUE, Arena, Schedule, crossing, schedule
from nnspec.plan.shard import ALL, FIRST, Cut, Round, value, whole_of
from nnspec.record import dataclass
from nnspec.run.program import Program, array_in
from nnspec.run.quiet import quietly
from nnspec.run.room import scratch
from nnspec.run.team import together

Memory = dict[str, Array]


def even_parts(batch: int, number: int) -> list[slice]:
    """As many stretches of a batch, of lengths that differ by one at most."""
    ends = [batch * i // number for i in range(number + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


@dataclass
class Worker:
    """One who runs pieces of a graph over memory of its own, with one arena for the values within a piece."""

    sizes: Mapping[str, int]
    memory: Memory
    layout: Layout
    pieces: list[tuple[Graph, dict[str, str]]] = field(default_factory=list)
    programs: Sequence[Piece] = field(default_factory=list)
    places: Mapping[str, Arena] = field(default_factory=dict)
    reserved: Array = field(default_factory=lambda: np.empty(0, np.uint8))

    def reserve(self, pieces: Sequence[Graph]) -> None:
        """Memory for what goes from one of these pieces to another, which is used again once nobody reads it."""
        self.places, size = crossing(pieces, self.sizes)
        self.reserved = scratch(size)

    def take(self, piece: Graph, given: Mapping[str, str]) -> None:
        """A piece to be run, and memory for the values of it that other pieces read."""
        places = dict(given)
        for public, node in piece.outputs.items():
            if public.startswith(VALUE):
                name = public.removeprefix(VALUE)
                self.memory[name] = self.memory[public] = self._array(name, piece[node].type)
                places[public] = public
        self.pieces.append((piece, places))

    def _array(self, name: str, type: Type) -> Array:
        """Memory for a value, laid out as the plan wants it."""
        bound = type.bound(self.sizes)
        place, memory = self.places.get(value(name)), self.reserved
        if place is None:
            memory = np.empty(bound.nbytes, np.uint8)
            place = Arena(0, memory.nbytes)
        return array_in(memory, place, bound, self.layout.order(name, type.rank))

    def schedules(self) -> list[Schedule]:
        return [schedule(piece, self.sizes, given, self.layout) for piece, given in self.pieces]


class Piece(Protocol):
    """A piece of a graph bound to memory."""

    calls: list[Call]

    def output(self, public: str) -> Array: ...


class PartedProgram:
    """A program whose threads run the parts of a batch, and wait for each other where shares of a sum are needed.

    `shares` has, for every part, the memory for those outputs that it leaves its share of, by the names in `given`.
    """

    def __init__(
        self,
        cut: Cut,
        sizes: Mapping[str, int],
        memory: Mapping[str, Array],
        given: Mapping[str, str],
        parts: Sequence[slice],
        shares: Sequence[Mapping[str, Array]],
        threads: int,
    ) -> None:
        self.cut, self.given, batch = cut, given, sizes[BATCH_NAME]
        self.batched = {n.name for n in cut.graph if n.op.is_source and n.type.has_batch}
        fewest = min(p.stop - p.start for p in parts)
        lain = self.layout({**sizes, BATCH_NAME: fewest})
        self.once = Worker({**sizes, ALL: batch, FIRST: 0}, dict(memory), lain)
        self.workers = [self._worker(p, memory, own, sizes, lain) for p, own in zip(parts, shares, strict=True)]
        self.split = {p: self._joined(p, parts) for p in cut.split if p not in given}
        self.shifts = [self.workers[part] for part in even_parts(len(parts), threads)]
        self.steps: list[Call] = []
        for worker in self.workers:
            worker.reserve([stage.parts for stage in cut.rounds])
        for stage in cut.rounds:
            self._plan(stage)
        self.once.take(cut.end, {p: target for p, target in given.items() if p in cut.end.outputs})
        for shift in ([self.once], *self.shifts):
            self.bind(shift)
        for number, stage in enumerate(cut.rounds):
            self._bind(number, stage)
        self.steps += self.once.programs[-1].calls
        self._run = quietly(self.steps, cut.graph)

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """How what crosses from piece to piece lies in memory."""
        return layout(self.cut.graph, sizes, {*self.given, *self.cut.split})

    def bind(self, shift: Sequence[Worker]) -> None:
        """Programs for all pieces of workers that work one after the other, and so can use the same arena."""
        plans = [worker.schedules() for worker in shift]
        arena = scratch(max(plan.arena_bytes for each in plans for plan in each))
        with shared():
            for worker, each in zip(shift, plans, strict=True):
                worker.programs = [Program(plan.graph, worker.sizes, worker.memory, plan=plan, arena=arena) for plan in each]

    def run(self) -> None:
        self._run()

    def output(self, public: str) -> Array:
        """The memory of an output that parts do not leave shares of, valid until the next run."""
        return self.split[public] if public in self.split else self.once.programs[-1].output(public)

    def _worker(
        self, part: slice, memory: Mapping[str, Array], shares: Mapping[str, Array], sizes: Mapping[str, int], lain: Layout
    ) -> Worker:
        own = {n: a[part] if n in self.batched else a for n, a in memory.items()}
        known = {**sizes, BATCH_NAME: part.stop - part.start, ALL: sizes[BATCH_NAME], FIRST: part.start}
        return Worker(known, {**own, **shares}, lain)

    def _joined(self, public: str, parts: Sequence[slice]) -> Array:
        """Memory for an output of all examples, of which each worker fills its part."""
        type = self.cut.graph[self.cut.graph.outputs[public]].type.bound(self.once.sizes)
        array = np.empty(type.numbers, type.dtype)
        for worker, part in zip(self.workers, parts, strict=True):
            worker.memory[public] = array[part]
        return array

    def _plan(self, stage: Round) -> None:
        self.once.take(stage.once, {})
        for worker in self.workers:
            for public in stage.once.outputs:
                name = public.removeprefix(VALUE)
                worker.memory[name] = self.once.memory[name]
            here = {p: self.given.get(p, p) for p in stage.parts.outputs if not p.startswith(VALUE)}
            worker.take(stage.parts, here)
        for name in stage.sums:
            total = np.empty_like(self.workers[0].memory[name])
            for worker in (self.once, *self.workers):
                worker.memory[whole_of(name)] = total

    def _bind(self, number: int, stage: Round) -> None:
        self.steps += self.once.programs[number].calls
        jobs = [[call for worker in shift for call in worker.programs[number].calls] for shift in self.shifts]
        if len(jobs) == 1:
            self.steps += jobs[0]
        elif any(jobs):
            self.steps.append(partial(together, [quietly(job, self.cut.graph) for job in jobs]))
        for name in stage.sums:
            total, (first, *others) = self.once.memory[whole_of(name)], [w.memory[name] for w in self.workers]
            self.steps.append(partial(np.copyto, total, first))
            self.steps += [partial(np.add, total, other, total) for other in others]
