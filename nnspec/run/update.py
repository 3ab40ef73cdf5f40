"""The update of one phase over flat buffers, and the look ahead of an optimizer that takes its gradient elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nnspec.graph import Graph, Type
from nnspec.rewrite import rewrite
from nnspec.run.flat import Flat
from nnspec.run.program import Array, Runnable
from nnspec.step import Phase


@dataclass(frozen=True)
class Buffers:
    """What an update reads and writes: weights, gradients, optimizer states by name, and lr and t."""

    params: Flat
    grads: Flat
    states: Mapping[str, Flat]
    scalars: Mapping[str, Array]


@dataclass(frozen=True)
class Piece:
    """A parameter, or a run of several as one vector."""

    name: str
    w: Array
    g: Array
    states: Mapping[str, Array]

    @property
    def type(self) -> Type:
        return Type(self.w.dtype.name, self.w.shape)


class Update:
    """One step of the optimizer for the parameters of a phase: `look_ahead`, then their gradients, then `run`."""

    def __init__(self, phase: Phase, make_program: Callable[..., Runnable], buffers: Buffers) -> None:
        self.phase, self.make_program, self.buffers = phase, make_program, buffers
        self.pieces = _pieces(phase, buffers)
        shapes = [(p.name, p.type) for p in self.pieces]
        dtype = buffers.params.buffer.dtype.name
        self.update = self._bound(phase.optimization.update(shapes, dtype), {p.name: p.w for p in self.pieces})
        ahead = phase.optimization.ahead(shapes, dtype)
        self.kept = {p.name: np.empty_like(p.w) for p in self.pieces} if ahead else {}
        self.ahead = self._bound(ahead, self.kept) if ahead else None

    def _bound(self, graph: Graph, weights: Mapping[str, Array]) -> Runnable:
        """A program that reads the weights from where they are told to be."""
        memory = {**self.buffers.scalars, **weights}
        given: dict[str, str] = {}
        for p in self.pieces:
            memory |= {f"grad:{p.name}": p.g, f"ahead:{p.name}": p.w} | {f"{p.name}.{s}": v for s, v in p.states.items()}
            given |= {f"param:{p.name}": p.name, f"ahead:{p.name}": f"ahead:{p.name}"}
            given |= {f"opt:{p.name}.{s}": f"{p.name}.{s}" for s in p.states}
        return self.make_program(rewrite(graph, "algebra"), {}, memory, {n: m for n, m in given.items() if n in graph.outputs})

    def look_ahead(self) -> None:
        """Put the weights where their gradient is taken."""
        if self.ahead:
            for p in self.pieces:
                np.copyto(self.kept[p.name], p.w)
            self.ahead.run()

    def run(self) -> None:
        """Put them back, and update them."""
        for p in self.pieces if self.ahead else ():
            np.copyto(p.w, self.kept[p.name])
        self.update.run()


def _pieces(phase: Phase, buffers: Buffers) -> list[Piece]:
    """Runs of neighbours as one vector each where the optimizer treats every element alike, else one by one."""
    vectors = list(_vectors(phase, buffers))
    if phase.optimization.is_pointwise({*phase.parameters.values(), *(p.type for p in vectors)}):
        return vectors
    states = buffers.states
    return [Piece(n, buffers.params.views[n], buffers.grads.views[n], {s: f.views[n] for s, f in states.items()}) for n in phase.parameters]


def _vectors(phase: Phase, buffers: Buffers) -> Iterator[Piece]:
    for at in buffers.params.runs(phase.parameters):
        states = {s: f.buffer[at] for s, f in buffers.states.items()}
        yield Piece(f"flat{at.start}", buffers.params.buffer[at], buffers.grads.buffer[at], states)
