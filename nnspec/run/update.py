"""The update of one phase over flat buffers, and the look ahead of an optimizer that takes its gradient elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nnspec.array import Array
from nnspec.blas import use_threads
from nnspec.graph import BATCH, Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.optimization import Turn, share_of
from nnspec.plan.shard import cut
from nnspec.record import dataclass
from nnspec.rewrite import rewrite
from nnspec.rewrite.factors import lighter
from nnspec.run.blocks import CACHE
from nnspec.run.flat import Flat
from nnspec.run.parts import PartedProgram, even_parts
from nnspec.run.program import Runnable
from nnspec.step import Phase

# Arrays that operations of an optimizer have beside weights, gradients and states.
SCRATCH = 2
MOST_BLOCKS = 512
# Fewer numbers than this are updated before another thread has woken up.
WORTH_A_THREAD = 1 << 18


@dataclass(frozen=True)
class Buffers:
    """What an update reads and writes: weights, gradients in one or more shares, optimizer states by name, and lr and t."""

    params: Flat
    grads: Sequence[Flat]
    states: Mapping[str, Flat]
    scalars: Mapping[str, Array]


@dataclass(frozen=True)
class Piece:
    """A parameter, or a run of several with the same turn as one vector."""

    name: str
    turn: Turn
    w: Array
    gs: Sequence[Array]
    states: Mapping[str, Array]

    @property
    def type(self) -> Type:
        return Type(self.w.dtype.name, self.w.shape)


class Update:
    """One step of the optimizer for the parameters of a phase: `look_ahead`, then their gradients, then `run`.

    With `threads` the optimizer runs in blocks that stay in the cache; without, as the program says.
    """

    def __init__(self, phase: Phase, make_program: Callable[..., Runnable], buffers: Buffers, threads: int) -> None:
        self.make_program, self.buffers, self.threads = make_program, buffers, threads
        self.dtype = buffers.params.buffer.dtype.name
        self.alike, self.pieces = _pieces(phase, buffers)
        self.optimization = replace(phase.optimization, turns={p.name: p.turn for p in self.pieces})
        types = [(p.name, p.type) for p in self.pieces]
        shares = len(buffers.grads)
        self.in_threads = threads > 1 and any(p.w.size >= WORTH_A_THREAD for p in self.pieces)
        self.updates = self._in_blocks(shares) or [self._bound(self.optimization.update(types, self.dtype, shares), self._weights())]
        ahead = self.optimization.ahead(types, self.dtype)
        self.kept = {p.name: np.empty_like(p.w) for p in self.pieces} if ahead else {}
        self.ahead = self._bound(ahead, self.kept) if ahead else None

    def _weights(self) -> dict[str, Array]:
        return {p.name: p.w for p in self.pieces}

    def _in_blocks(self, shares: int) -> list[Runnable]:
        """The update of each vector, block after block; a block is to it what a part of the batch is to a network."""
        apart = len(self.pieces) == 1 or (self.alike and not self.optimization.joins)
        if not self.threads or not apart or any(p.w.ndim != 1 for p in self.pieces):
            return []
        found = [blocks for piece in self.pieces if (blocks := self._blocks_of(piece, shares))]
        return found if len(found) == len(self.pieces) else []

    def _blocks_of(self, piece: Piece, shares: int) -> Runnable | None:
        vector = [(piece.name, Type(self.dtype, (BATCH,)))]
        blocks = cut(rewrite(lighter(rewrite(self.optimization.update(vector, self.dtype, shares), "algebra")), "flat", "update"))
        if blocks is None:
            return None
        size = piece.w.size
        threads = self.threads if size >= WORTH_A_THREAD else 1
        number = threads * min(self._blocks_of_a_thread(piece, shares, threads), MOST_BLOCKS)
        memory, given = self._memory(blocks.graph, {piece.name: piece.w})
        return PartedProgram(blocks, {BATCH_NAME: size}, memory, given, even_parts(size, number), [{}] * number, threads)

    def _blocks_of_a_thread(self, piece: Piece, shares: int, threads: int) -> int:
        """As many as keep weights, gradients and states in the cache from one operation to the next.

        Of several threads each waits for Python at every operation, and longer ones cost it less than the farther cache.
        """
        arrays = 1 + shares + len(piece.states) + SCRATCH
        cache = CACHE if threads == 1 else 2 * CACHE
        return -(-piece.w.nbytes * arrays // (cache * threads))

    def _bound(self, graph: Graph, weights: Mapping[str, Array]) -> Runnable:
        """A program that reads the weights from where they are told to be."""
        memory, given = self._memory(graph, weights)
        return self.make_program(rewrite(graph, "algebra"), {}, memory, given)

    def _memory(self, graph: Graph, weights: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
        """All arrays, and which of them the outputs of a graph go to."""
        memory = {**self.buffers.scalars, **weights}
        given: dict[str, str] = {}
        for p in self.pieces:
            memory |= {share_of(p.name, i): g for i, g in enumerate(p.gs)}
            memory |= {f"ahead:{p.name}": p.w} | {f"{p.name}.{s}": v for s, v in p.states.items()}
            given |= {f"param:{p.name}": p.name, f"ahead:{p.name}": f"ahead:{p.name}"}
            given |= {f"opt:{p.name}.{s}": f"{p.name}.{s}" for s in p.states}
        return memory, {n: m for n, m in given.items() if n in graph.outputs}

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
        if self.in_threads:
            use_threads(1)
        for update in self.updates:
            update.run()


def _pieces(phase: Phase, buffers: Buffers) -> tuple[bool, list[Piece]]:
    """Whether the optimizer treats every element alike: then runs of neighbours as one vector each, else one by one."""
    vectors = list(_vectors(phase, buffers))
    if phase.optimization.is_pointwise({*phase.parameters.values(), *(p.type for p in vectors)}):
        return True, vectors
    views = {s: f.views for s, f in buffers.states.items()}
    grads = [f.views for f in buffers.grads]
    weights = buffers.params.views
    return False, [Piece(n, t, weights[n], [g[n] for g in grads], {s: v[n] for s, v in views.items()}) for n, t in phase.turns.items()]


def _vectors(phase: Phase, buffers: Buffers) -> Iterator[Piece]:
    for turn in dict.fromkeys(phase.turns.values()):
        for at in buffers.params.runs([n for n, t in phase.turns.items() if t == turn]):
            states = {s: f.buffer[at] for s, f in buffers.states.items()}
            yield Piece(f"flat{at.start}", turn, buffers.params.buffer[at], [g.buffer[at] for g in buffers.grads], states)
