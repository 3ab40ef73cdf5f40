"""How the graphs of an engine become programs over its memory: all of a batch at once, or in parts on a thread each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnspec.blas import use_threads
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.plan.estimate import estimate
from nnspec.plan.shard import Cut, cut
from nnspec.run.batches import fill
from nnspec.run.flat import Flat
from nnspec.run.parts import PartedProgram, even_parts
from nnspec.run.program import Array, Runnable

FEWEST_EXAMPLES = 4  # of a part of a batch
WORTH_A_THREAD = 4e-5  # seconds of matrix products


@dataclass(frozen=True)
class Bound:
    """A program and its inputs; the gradients it leaves may be shares, to be added up. `threads` is how many a product may use."""

    program: Runnable
    inputs: Mapping[str, Array]
    grads: Sequence[Flat]
    threads: int

    def run(self, fields: Mapping[str, Array]) -> Runnable:
        """The program, having run on a batch."""
        for name, array in self.inputs.items():
            fill(array, fields, name)
        if self.threads:
            use_threads(self.threads)
        self.program.run()
        return self.program


class Planner:
    """Binds graphs to memory. With no `threads` at all a program is one, made by `make_program`."""

    make_parted = PartedProgram

    def __init__(self, make_program: Callable[..., Runnable], threads: int, grads: Flat, parameters: Mapping[str, Type]) -> None:
        self.make_program, self.threads, self.grads, self.parameters = make_program, threads, grads, parameters
        self._cuts: dict[int, tuple[Graph, Cut | None]] = {}
        self._parts: dict[tuple[object, ...], tuple[Graph, list[slice]]] = {}

    def forget(self) -> None:
        self._cuts.clear()
        self._parts.clear()

    def bind(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array], kept: Collection[str]) -> Bound:
        """The program for a batch; its inputs are made here, and results that are `kept` go to their places in the memory."""
        ports = [n for n in graph if n.op.name == "input" and n.name not in memory]
        inputs = {n.name: np.empty(n.type.bound(sizes).numbers, n.type.dtype) for n in ports}
        given = {n: n if n.startswith("grad:") else n.partition(":")[2] for n in kept}
        memory = {**memory, **inputs}
        parts = self.parts(graph, sizes)
        if len(parts) == 1:
            return Bound(self.make_program(graph, sizes, memory, given), inputs, [self.grads], self._threads_of_products(graph, sizes))
        found = self._cut(graph)
        assert found
        grads = [self.grads, *(Flat(self.parameters, graph.dtype) for _ in parts[1:])]
        shares = [{f"grad:{n}": view for n, view in flat.views.items()} for flat in grads]
        return Bound(self.make_parted(found, sizes, memory, given, parts, shares, len(parts)), inputs, grads, 1)

    def parts(self, graph: Graph, sizes: Mapping[str, int]) -> list[slice]:
        """The parts in which a batch should be computed."""
        key = (id(graph), *sizes.items())
        if key not in self._parts:
            batch = sizes.get(BATCH_NAME, 1)
            number = min(self.threads, batch // FEWEST_EXAMPLES)
            wanted = number > 1 and self.pays(graph, sizes, number) and self._cut(graph)
            self._parts[key] = graph, even_parts(batch, number if wanted else 1)
        return self._parts[key][1]

    def _threads_of_products(self, graph: Graph, sizes: Mapping[str, int]) -> int:
        """As many as have enough to do; another that other programs keep waiting would hold all up."""
        return min(self.threads, 1 + int(estimate(graph, sizes).products / WORTH_A_THREAD)) if self.threads else 0

    def pays(self, graph: Graph, sizes: Mapping[str, int], parts: int) -> bool:
        """Whether parts of the batch on a thread each should be faster than threads for the matrix products only."""
        time, shares = estimate(graph, sizes), self.grads.buffer.nbytes if "loss" in graph.outputs else 0
        return time.in_parts(parts, shares) < time.alone(parts)

    def _cut(self, graph: Graph) -> Cut | None:
        if id(graph) not in self._cuts:  # the graph is kept with it, so that its number stays its own
            self._cuts[id(graph)] = graph, cut(graph, [public for public in graph.outputs if public.startswith("grad:")])
        return self._cuts[id(graph)][1]
