"""The plan of a training step, as text and numbers: what is computed in which order, where it lies, and how long it should take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property

from nnspec.compile import Compilation
from nnspec.diagnostics import fault
from nnspec.elaborate.update import optimizer_states
from nnspec.graph import Graph
from nnspec.graph.types import BATCH_NAME
from nnspec.plan.estimate import cost, estimate
from nnspec.plan.layout import layout
from nnspec.plan.memory import VALUE, Arena, Given, Inside, Own, Passing, Place, Schedule, View, crossing, schedule
from nnspec.plan.shard import ALL, FIRST, Cut
from nnspec.record import dataclass
from nnspec.rewrite.planes import with_planes
from nnspec.run.lengths import names_of
from nnspec.run.planned import parts_of
from nnspec.run.team import cores

HEADINGS = ("value", "operation", "type", "memory", "bytes", "us")
LONGEST_NAME = 44


def sizes_of(spec: Compilation, batch: int | None, given: Mapping[str, int]) -> dict[str, int]:
    """A number for every size of the inputs and targets that is known only at run time; without one for the batch, that of training."""
    names = {*names_of(spec.model.ports)}
    for name in sorted(names ^ given.keys()):
        if name in names:
            raise fault("E103", f"`{name}` has no value", spec.model.span, help=f"it is a size known only at run time: --size {name}=64")
        raise fault("E101", f"no input or target has a size `{name}`", spec.model.span)
    return {**given, BATCH_NAME: batch or spec.trainings[0].batch}


@dataclass(frozen=True)
class Piece:
    """A part of the graph that runs without waiting, and how many workers run it."""

    title: str
    schedule: Schedule
    sizes: Mapping[str, int]
    workers: int = 1


@dataclass(frozen=True)
class Row:
    """A value of a piece: where it lies, its own bytes, and the seconds it takes; neither for what is only seen otherwise."""

    value: str
    operation: str
    type: str
    memory: str
    bytes: int | None
    seconds: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        name = self.value if len(self.value) <= LONGEST_NAME else f"...{self.value[3 - LONGEST_NAME :]}"
        size, time = "" if self.bytes is None else f"{self.bytes:,}", "" if self.seconds is None else f"{1e6 * self.seconds:,.1f}"
        return name, self.operation, self.type, self.memory, size, time


@dataclass(frozen=True)
class StepPlan:
    """The gradients of the first phase of a training step, for fixed sizes; the update runs over flat buffers."""

    spec: Compilation
    graph: Graph
    sizes: Mapping[str, int]

    @cached_property
    def divided(self) -> tuple[list[slice], Cut | None]:
        """The parts of a batch, one a thread, and how the graph is cut for them."""
        return parts_of(self.graph, self.sizes, cores(), self._own_bytes(1))

    @cached_property
    def pieces(self) -> list[Piece]:
        parts, found = self.divided
        gradients = {public: public for public in self.graph.outputs if public.startswith("grad:")}
        if found is None:
            return [Piece("gradients", schedule(self.graph, self.sizes, gradients), self.sizes)]
        return [p for p in self._rounds(found, parts, gradients) if any(n.inputs for n in p.schedule.order)]

    def _rounds(self, found: Cut, parts: Sequence[slice], gradients: Mapping[str, str]) -> Iterator[Piece]:
        batch, largest = self.sizes[BATCH_NAME], max(p.stop - p.start for p in parts)
        once, each = ({**self.sizes, BATCH_NAME: n, ALL: batch, FIRST: 0} for n in (batch, largest))
        lain = layout(found.graph, each, {*gradients, *found.split})
        for number, stage in enumerate(found.rounds, 1):
            yield Piece(f"round {number}, once", schedule(stage.once, once, _given(stage.once, gradients), lain), once)
            title = f"round {number}, each part of {largest}"
            yield Piece(title, schedule(stage.parts, each, _given(stage.parts, gradients), lain), each, len(parts))
        yield Piece("at the end", schedule(found.end, once, _given(found.end, gradients), lain), once)

    @property
    def seconds(self) -> float:
        """The estimated time of the gradients."""
        parts, found = self.divided
        time = estimate(self.graph, self.sizes)
        return time.in_parts(len(parts), self._own_bytes(1)) if found else time.alone(cores())

    @property
    def memory(self) -> dict[str, int]:
        """Bytes by what they are for; the largest chunks of windows a convolution lays out come on top."""
        parts = len(self.divided[0])
        optimizer = self.spec.trainings[0].optimizer
        states = len(optimizer_states(optimizer)) if optimizer else 0
        found = {
            "parameters": self._own_bytes(1),
            "gradients": self._own_bytes(parts),
            "optimizer": self._own_bytes(states),
            "states": sum(o.type.bound(self.sizes).nbytes for o in self.spec.model.states.values()),
            "batch": sum(t.bound(self.sizes).nbytes for t in self.spec.model.ports.values()),
            "values": self._values(),
        }
        return {**found, "peak": sum(found.values())}

    def _own_bytes(self, times: int) -> int:
        return times * sum(t.bound(self.sizes).nbytes for t in self.spec.parameter_types.values())

    def _values(self) -> int:
        """Each worker has one arena for all its pieces, and memory for what goes from one to another."""
        total = 0
        for workers in {p.workers for p in self.pieces}:
            pieces = [p for p in self.pieces if p.workers == workers]
            total += workers * (max(p.schedule.arena_bytes for p in pieces) + self._crossing(pieces))
        return total

    def _crossing(self, pieces: Sequence[Piece]) -> int:
        return crossing([p.schedule.graph for p in pieces], pieces[0].sizes)[1]

    def as_json(self) -> dict[str, object]:
        """The same for programs; times are in seconds."""
        pieces = [{"title": p.title, "workers": p.workers, "values": [asdict(row) for row in _rows(p)]} for p in self.pieces]
        about = {"model": self.spec.model.name, "sizes": dict(self.sizes), "parts": len(self.divided[0]), "seconds": self.seconds}
        return {**about, "pieces": pieces, "memory": self.memory}

    def __str__(self) -> str:
        parts, found = self.divided
        how = f"in {len(parts)} parts, a thread each" if found else "in one part"
        lines = [
            f"{self.spec.model.name}: a batch of {self.sizes[BATCH_NAME]}, {how}; about {1e3 * self.seconds:.2f} ms without the update",
            "",
        ]
        for piece in self.pieces:
            lines += [piece.title, *_table([row.cells for row in _rows(piece)]), ""]
        memory = self.memory
        lines += [f"{name:>10}  {size:>13,} bytes" for name, size in memory.items()]
        return "\n".join(lines)


def _given(piece: Graph, gradients: Mapping[str, str]) -> dict[str, str]:
    return {p: p for p in piece.outputs if p.startswith(VALUE) or p in gradients}


def _rows(piece: Piece) -> Iterator[Row]:
    plan = piece.schedule
    for node in plan.order:
        if node.inputs:
            type, place = plan.types[node.name], plan.places[node.name]
            size = type.nbytes if isinstance(place, Arena | Given | Inside | Passing) else None
            time = cost(plan.graph, node, piece.sizes)
            seconds = None if node.op.view else time.products + time.rest + time.calls
            yield Row(node.name, node.op.name, str(type), _where(place), size, seconds)


def _where(place: Place) -> str:
    match place:
        case Arena():
            return f"at {place.offset:,}"
        case Given():
            return "its own"
        case View():
            return "seen otherwise"
        case Inside():
            return "in what joins it"
        case Passing():
            return "in the cache"
        case Own():
            return "constant"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    right = {len(HEADINGS) - 2, len(HEADINGS) - 1}
    return [
        "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in (HEADINGS, *rows)
    ]


def step_plan(spec: Compilation, sizes: Mapping[str, int]) -> StepPlan:
    """The plan of the first training step of a spec; `sizes` has a number for each that is known only at run time, but for the batch."""
    return StepPlan(spec, with_planes(spec.first_stage[0].objective), sizes_of(spec, None, sizes))


def memory_of(spec: Compilation, sizes: Mapping[str, int]) -> dict[str, object]:
    """What `compile --json` says of the memory of training; nothing where no step can be planned."""
    return {} if {*names_of(spec.model.ports)} - sizes.keys() or not spec.trainings else {"memory": step_plan(spec, sizes).memory}
