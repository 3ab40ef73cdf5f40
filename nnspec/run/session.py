"""The engine `ort`: graphs as sessions of onnxruntime over an engine's memory, and a whole step of training as one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.diagnostics import Fault, Span, fault
from nnspec.graph import Graph, Type
from nnspec.graph.loop import Loop
from nnspec.graph.types import BATCH_NAME
from nnspec.interchange.batch_last import FORMS
from nnspec.interchange.long_sums import LONG_SUMS
from nnspec.interchange.names import place_of
from nnspec.interchange.numbered import NUMBERED
from nnspec.interchange.to_onnx import to_onnx
from nnspec.plan.estimate import Estimate
from nnspec.plan.layout import Layout
from nnspec.rewrite import rewrite
from nnspec.rewrite.pieces import in_pieces
from nnspec.run.flat import Flat
from nnspec.run.normal import without_small
from nnspec.run.ort import REFUSALS, Binding, Memory, Session, without_kernel
from nnspec.run.parts import PartedProgram, Worker
from nnspec.run.planned import Divided, Planner, parts_of

ELSEWHERE = "the engine `numpy` computes every graph"


def session_for(graph: Graph, sizes: Mapping[str, int], device: str = "cpu", threads: int | None = None) -> Session:
    """A session of a graph for fixed sizes, its parameters and states among the inputs; a Fault (E506) if onnxruntime has none."""
    try:
        model = to_onnx(rewrite(in_pieces(graph), "sessions"), None, sizes=sizes, forms={**FORMS, **NUMBERED, **LONG_SUMS})
    except Fault as error:
        raise fault("E506", error.diagnostic.message, error.diagnostic.span, help=ELSEWHERE) from None
    content = model.SerializeToString()
    try:
        # Threads that it starts compute as the one that starts them.
        session: Session = without_small(partial(Session, content, threads, optimise=not _is_empty(graph, sizes), device=device))()
    except REFUSALS as error:
        raise _refused(graph, error, place_of(model, _culprit(content, error))) from error
    return session


def _is_empty(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Whether some value has no elements, to which reshapes that onnxruntime's optimiser adds do not apply."""
    return any(0 in node.type.bound(sizes).shape for node in graph)


def _culprit(content: bytes, error: Exception) -> str:
    """The node that onnxruntime has no implementation for; one that it made itself has no name, so it is asked again about those given."""
    name = without_kernel(error)
    if name == "":
        try:
            Session(content, optimise=False)
        except REFUSALS as plain:
            name = without_kernel(plain)
    return name or ""


def _refused(graph: Graph, error: Exception, place: str) -> Fault:
    said = " ".join(str(error).split())
    span = next((s for s in _spans(graph) if s.place == place), None)
    return fault("E506", f"onnxruntime cannot run `{graph.name}` in {graph.dtype}: {said}", span, help=ELSEWHERE)


def _spans(graph: Graph) -> Iterable[Span]:
    """Of all nodes, those in loops too."""
    for node in graph:
        if node.span:
            yield node.span
        for _, value in node.attrs:
            if isinstance(value, Loop):
                yield from _spans(value.body)


class Sets:
    """Two sets of memory for what sessions both read and write, as no run may write what it reads: an engine's arrays, and their twins.

    `sides` has a bit for every name, which says whether its value is the twin's. `settle` brings all values home.
    """

    def __init__(self, device: str) -> None:
        self.device, self.sides, self.ahead = device, 0, False
        self.pairs: dict[str, tuple[Memory, Memory]] = {}

    def add(self, name: str, home: Array) -> int:
        """The bit of a name."""
        if name not in self.pairs:
            self.pairs[name] = Memory(home, self.device), Memory(np.empty_like(home), self.device)
        return 1 << list(self.pairs).index(name)

    def forget(self) -> None:
        self.pairs.clear()
        self.sides, self.ahead = 0, False

    def current(self) -> dict[str, Memory]:
        return {n: pair[self.sides >> i & 1] for i, (n, pair) in enumerate(self.pairs.items())}

    def next(self) -> dict[str, Memory]:
        """Where a run writes."""
        return {n: pair[~self.sides >> i & 1] for i, (n, pair) in enumerate(self.pairs.items())}

    def push(self) -> None:
        """Let the device begin from the arrays, where they are ahead of it."""
        if not self.ahead:
            for home, _ in self.pairs.values():
                home.push()

    def settle(self) -> None:
        for name, memory in self.current().items() if self.ahead else ():
            memory.pull(self.pairs[name][0].array)
        self.sides, self.ahead = 0, False


class OrtProgram:
    """A graph for fixed sizes over given memory, as `nnspec.run.program.Program` is, but that `sets` are to be settled after a run.

    A result that is given memory under its own name, as a gradient is, is read by no program: it needs no second set.
    """

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        memory: Mapping[str, Array],
        given: Mapping[str, str] | None,
        *,
        sets: Sets,
        threads: int | None = None,
    ) -> None:
        self.session, self.sets = session_for(graph, sizes, sets.device, threads), sets
        self.kept = {public: name for public, name in (given or {}).items() if name != public}
        self.flips = sum(sets.add(name, memory[name]) for name in self.kept.values())
        self.inputs = {n: Memory(memory[n], sets.device) for n in self.session.inputs if n not in sets.pairs}
        types = {public: graph[node].type.bound(sizes) for public, node in graph.outputs.items() if public not in self.kept}
        arrays = {p: memory[p] if p in (given or {}) else np.empty(t.numbers, t.dtype) for p, t in types.items()}
        self.outputs = {public: Memory(array, sets.device) for public, array in arrays.items()}
        self.public = dict(zip(self.session.outputs, graph.outputs, strict=True))
        self.bindings: dict[int, Call] = {}

    def run(self) -> None:
        """Compute every output anew; what is read and written goes to the other set."""
        sets = self.sets
        run = self.bindings.get(sets.sides) or self._bind()
        if sets.device != "cpu":
            self._push()
        run()
        sets.sides ^= self.flips
        sets.ahead = sets.ahead or self.flips != 0
        if sets.device != "cpu":
            for memory in self.outputs.values():
                memory.pull(memory.array)

    def _push(self) -> None:
        self.sets.push()
        for memory in self.inputs.values():
            memory.push()

    def _bind(self) -> Call:
        sets = self.sets
        reached = sets.next()
        outputs = {n: reached[self.kept[p]] if p in self.kept else self.outputs[p] for n, p in self.public.items()}
        # A value that was only read when this was made may have become one that another program writes.
        run = self.bindings[sets.sides] = without_small(Binding(self.session, {**self.inputs, **sets.current()}, outputs).run)
        return run

    def output(self, public: str) -> Array:
        """The memory of an output, valid until the next run."""
        if public in self.kept:
            return self.sets.current()[self.kept[public]].array
        return self.outputs[public].array


class SessionPiece:
    """A piece of a graph as a session of one thread; what goes to memory that it reads is computed aside first."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array], given: Mapping[str, str]) -> None:
        self.arrays: dict[str, Array] = {}
        self.calls: list[Call] = []
        if not graph.outputs:
            return
        session = session_for(graph, sizes, threads=1)
        for public, node in graph.outputs.items():
            type, target = graph[node].type.bound(sizes), given.get(public)
            direct = target is not None and target not in session.inputs
            self.arrays[public] = memory[target] if target and direct else np.empty(type.numbers, type.dtype)
        inputs = {n: Memory(memory[n], "cpu") for n in session.inputs}
        outputs = {n: Memory(array, "cpu") for n, array in zip(session.outputs, self.arrays.values(), strict=True)}
        copied = [(memory[target], self.arrays[p]) for p, target in given.items() if self.arrays[p] is not memory[target]]
        self.calls = [Binding(session, inputs, outputs).run, *(partial(np.copyto, into, value) for into, value in copied)]

    def output(self, public: str) -> Array:
        return self.arrays[public]


class PartedSessions(PartedProgram):
    """The same with sessions: one thread each, they lose no time in waiting for the threads of every operation."""

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        return Layout(frozenset(), frozenset())  # a session takes arrays as they are written

    def bind(self, shift: Sequence[Worker]) -> None:
        for worker in shift:
            worker.programs = [SessionPiece(graph, worker.sizes, worker.memory, given) for graph, given in worker.pieces]


class SessionPlanner(Planner):
    """Graphs as sessions: one for the whole batch, or for gradients one a thread where the parts meet at the end only."""

    make_parted = PartedSessions

    def __init__(self, sets: Sets, threads: int, grads: Flat, parameters: Mapping[str, Type]) -> None:
        self.sets, whole = sets, partial(OrtProgram, sets=sets, threads=threads)
        super().__init__(whole, threads if sets.device == "cpu" else 1, grads, parameters, exact=True)

    def defined(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array]) -> None:
        self.sets.settle()
        super().defined(graph, sizes, memory)

    def divide(self, graph: Graph, sizes: Mapping[str, int]) -> Divided:
        """In parts where threads with a part each are faster than threads that share every operation."""
        whole: Divided = [slice(0, sizes.get(BATCH_NAME, 1))], None
        if not any(public.startswith("grad:") for public in graph.outputs) or any(public.startswith("param:") for public in graph.outputs):
            return whole
        parts, cut = parts_of(graph, sizes, self.threads, self.grads.buffer.nbytes, Estimate.in_sessions, Estimate.spread)
        return (parts, cut) if cut and len(cut.rounds) == 1 else whole
