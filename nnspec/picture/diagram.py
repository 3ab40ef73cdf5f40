"""Boxes and the edges between them: what is drawn, before it is known where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from nnspec.record import dataclass


@dataclass(frozen=True)
class Box:
    """One thing that is drawn, with the values that it takes and gives.

    A block has a diagram inside, whose inputs and outputs are ports for those values in the same order; `times` says how often it
    stands there in a row. `role` is input, output, port, param, state, weights (it owns some), forward or loss. `back` is what its
    part of the backward graph computes, if it has one.
    """

    name: str
    title: str
    role: str
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    note: str = ""
    inner: Diagram | None = None
    is_open: bool = False
    nodes: frozenset[str] = frozenset()
    weights: tuple[str, ...] = ()
    back: str = ""
    back_note: str = ""

    @property
    def back_name(self) -> str:
        """What sends the gradient: the backward twin, or the box itself, if it is the loss."""
        return f"{self.name}_back" if self.back else self.name

    def port_in(self, value: str) -> str:
        """Where a value comes in to the inside of a block."""
        return self.inner.inputs[self.takes.index(value)] if self.inner else ""

    def port_out(self, value: str) -> str:
        return self.inner.outputs[self.gives.index(value)] if self.inner else ""


@dataclass(frozen=True)
class Edge:
    """A value on its way from one box to another, its gradient perhaps on its way back; `label` is its shape for one example."""

    source: str
    target: str
    value: str
    label: str
    goes_back: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes in the order of the spec, and edges between them; `again` are those that lead into the next round of a loop, upwards."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    again: tuple[Edge, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Box]:
        return {b.name: b for b in self.boxes}

    @cached_property
    def out_of(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for e in self.edges:
            found.setdefault(e.source, []).append(e)
        return found

    def links(self) -> Iterator[tuple[Box, Box, Edge]]:
        """The edges of this level between boxes without open insides, however deep those are."""
        for e in self.edges:
            if "port" not in (self.by_name[e.source].role, self.by_name[e.target].role):
                yield from ((self.origin(e), target, e) for target in self.arrivals(e))

    def rounds(self) -> Iterator[tuple[Box, Box, Edge]]:
        """The same of the edges into the next round."""
        for e in self.again:
            yield from ((self.origin(e), target, e) for target in self.arrivals(e))

    def arrivals(self, edge: Edge) -> Iterator[Box]:
        """The boxes without open insides that the value of an edge comes to."""
        target = self.by_name[edge.target]
        if target.inner and target.is_open:
            for inner in target.inner.out_of.get(target.port_in(edge.value), ()):
                yield from target.inner.arrivals(inner)
        else:
            yield target

    def origin(self, edge: Edge) -> Box:
        """The box without an open inside that the value of an edge comes from."""
        source = self.by_name[edge.source]
        if not (source.inner and source.is_open):
            return source
        return next(source.inner.origin(e) for e in source.inner.edges if e.target == source.port_out(edge.value))
