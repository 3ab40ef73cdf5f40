"""How the graphs of an engine become programs over its memory: all of a batch at once, or in parts on a thread each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.graph import Absent, Graph, Type
from nnspec.graph.types import BATCH_NAME
from nnspec.plan.estimate import FLOPS, Estimate, cost, estimate
from nnspec.plan.shard import Cut, cut
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.backoff import Backoff, with_threads
from nnspec.run.batches import fill
from nnspec.run.flat import Flat
from nnspec.run.parts import PartedProgram, even_parts
from nnspec.run.program import Runnable
from nnspec.run.recent import Recent

WORTH_A_THREAD = 8e-5  # seconds of matrix products; what two threads hand to and fro takes longer below
LARGEST_PROBE = 384  # rows and columns of what is multiplied to see whether threads help


FAILURES = (Absent, RuntimeError)
"""What programs raise for a number that numbers nothing, or a whole one divided by 0: kernels, and onnxruntime."""
Divided = tuple[list[slice], Cut | None]
"""The parts of a batch, and how the graph is cut where they are several."""


def parts_of(
    graph: Graph,
    sizes: Mapping[str, int],
    threads: int,
    gradients: int,
    in_parts: Callable[[Estimate, int, int], float] = Estimate.in_parts,
    otherwise: Callable[[Estimate, int], float] = Estimate.alone,
) -> Divided:
    """The parts that so many threads should compute, one each, if that is faster than `otherwise`; gradients have so many bytes."""
    batch = sizes.get(BATCH_NAME, 1)
    number = min(threads, batch)
    shares = gradients if "loss" in graph.outputs else 0
    if number > 1 and pays(in_parts(time := estimate(graph, sizes), number, shares), otherwise(time, number)):
        found = cut(graph, [public for public in graph.outputs if public.startswith("grad:")])
        if found:
            return even_parts(batch, number), found
    return even_parts(batch, 1), None


def pays(in_parts: float, otherwise: float) -> bool:
    return in_parts < otherwise


@dataclass(frozen=True)
class Bound:
    """A program and its inputs; the gradients it leaves may be shares, to be added up. `in_threads` runs it with those of its products.

    Where the program fails, the `definition` is asked, which knows the place in the spec.
    """

    program: Runnable
    inputs: Mapping[str, Array]
    grads: Sequence[Flat]
    in_threads: Callable[[Call], None]
    definition: Callable[[], object]

    def run(self, fields: Mapping[str, Array]) -> Runnable:
        """The program, having run on a batch."""
        for name, array in self.inputs.items():
            fill(array, fields, name)
        try:
            self.in_threads(self.program.run)
        except FAILURES:
            self.definition()
            raise
        return self.program


class Planner:
    """Binds graphs to memory, each as `arrange` has it for programs. With no `threads` at all a program is one, made by `make_program`.

    `exact` is for a number of threads that was asked for: how busy the machine is then changes nothing, nor any bit of a result.
    """

    make_parted = PartedProgram

    def __init__(
        self,
        make_program: Callable[..., Runnable],
        threads: int,
        grads: Flat,
        parameters: Mapping[str, Type],
        *,
        exact: bool,
        arrange: Callable[[Graph], Graph] | None = None,
    ) -> None:
        self.make_program, self.threads, self.grads, self.parameters = make_program, threads, grads, parameters
        self.exact, self.arrange = exact, arrange
        self._arranged: dict[int, tuple[Graph, Graph]] = {}
        self._known: dict[tuple[Any, ...], Divided] = Recent()

    def forget(self) -> None:
        self._arranged.clear()
        self._known.clear()

    def bind(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array], kept: Collection[str]) -> Bound:
        """The program for a batch; its inputs are made here, and results that are `kept` go to their places in the memory."""
        ports = [n for n in graph if n.op.name == "input" and n.name not in memory]
        inputs = {n.name: np.empty(n.type.bound(sizes).numbers, n.type.dtype) for n in ports}
        given = {n: n if n.startswith("grad:") else n.partition(":")[2] for n in kept}
        memory = {**memory, **inputs}
        definition = partial(self.defined, graph, sizes, memory)
        arranged, (parts, found) = self._arranged_once(graph), self._divided(graph, sizes)
        if found is None:
            program = self.make_program(arranged, sizes, memory, given)
            return Bound(program, inputs, [self.grads], self._in_threads(arranged, sizes), definition)
        grads = [self.grads, *(Flat(self.parameters, graph.dtype) for _ in parts[1:])]
        shares = [{f"grad:{n}": view for n, view in flat.views.items()} for flat in grads]
        program = self.make_parted(found, sizes, memory, given, parts, shares, len(parts))
        return Bound(program, inputs, grads, with_threads(1), definition)

    def defined(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array]) -> None:
        """Compute it by the definition, for what that has to say."""
        reference.run(graph, memory, sizes=sizes)

    def parts(self, graph: Graph, sizes: Mapping[str, int]) -> list[slice]:
        """The parts in which a batch should be computed."""
        return self._divided(graph, sizes)[0]

    def divide(self, graph: Graph, sizes: Mapping[str, int]) -> Divided:
        return parts_of(graph, sizes, self.threads, self.grads.buffer.nbytes)

    def _arranged_once(self, graph: Graph) -> Graph:
        """The graph as programs compute it, whatever the sizes."""
        if id(graph) not in self._arranged:  # the graph is kept with it, so that its number stays its own
            self._arranged[id(graph)] = graph, self.arrange(graph) if self.arrange else graph
        return self._arranged[id(graph)][1]

    def _divided(self, graph: Graph, sizes: Mapping[str, int]) -> Divided:
        arranged = self._arranged_once(graph)
        key = id(arranged), tuple(sizes.items())
        if key not in self._known:
            self._known[key] = self.divide(arranged, sizes)
        return self._known[key]

    def _in_threads(self, graph: Graph, sizes: Mapping[str, int]) -> Callable[[Call], None]:
        """How to run a program: with as many threads for its products as have enough to do, and have a processor to do it on."""
        costs = [cost(graph, n, sizes).products for n in graph if n.op.name in ("matmul", "gemm")]
        most = min(self.threads, 1 + int(sum(costs) / WORTH_A_THREAD))
        side = int((max(costs, default=0.0) * FLOPS / 2) ** (1 / 3))
        if most < 2 or self.exact:
            return with_threads(most)
        return Backoff(most, min(side, LARGEST_PROBE), estimate(graph, sizes).alone(1)).run
