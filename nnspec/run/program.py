"""A schedule bound to memory: a flat list of prepared calls, and nothing else at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from operator import add, mul, sub
from typing import Any, Protocol

import numpy as np

from nnspec.array import Array
from nnspec.graph import Graph, Node, Type
from nnspec.graph.types import bind
from nnspec.lazy import real
from nnspec.ops.arrange import concat, cut
from nnspec.ops.aside import shared
from nnspec.ops.loop import part, scan
from nnspec.ops.pointwise import descend
from nnspec.plan.blocks import Region
from nnspec.plan.memory import Arena, Given, Inside, Own, Schedule, schedule
from nnspec.run import reference
from nnspec.run.blocks import Blocks
from nnspec.run.moves import Move, in_passes
from nnspec.run.quiet import quietly
from nnspec.run.room import scratch
from nnspec.run.rows import in_long_rows


class Runnable(Protocol):
    """A graph bound to memory."""

    def run(self) -> None: ...

    def output(self, public: str) -> Array: ...


class ReferenceProgram:
    """The definition behind the same interface: walks the graph at each run."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], memory: Mapping[str, Array], given: Mapping[str, str] | None = None) -> None:
        self.graph, self.sizes, self.memory, self.given = graph, sizes, memory, given or {}
        self.values: dict[str, Array] = {}

    def run(self) -> None:
        self.values = reference.run(self.graph, self.memory, sizes=self.sizes)
        for public, target in self.given.items():
            np.copyto(self.memory[target], self.values[public])

    def output(self, public: str) -> Array:
        return self.values[public]


OF_NUMBERS: dict[np.ufunc, Callable[[Any, Any], Any]] = {np.add: add, np.subtract: sub, np.multiply: mul}


def called(ufunc: np.ufunc, inputs: Sequence[Array], out: Array) -> Callable[[], Any]:
    """A third of a small call's time goes into the keyword `out`; but these two are to have it, says NumPy."""
    if ufunc in OF_NUMBERS and out.ndim == 0 and {x.dtype.kind for x in (*inputs, out)} == {"f"}:
        return _of_numbers(OF_NUMBERS[ufunc], inputs, out)
    return partial(ufunc, *inputs, out=out) if ufunc in (np.maximum, np.minimum) else partial(ufunc, *inputs, out)


def _of_numbers(operation: Callable[[Any, Any], Any], inputs: Sequence[Array], out: Array) -> Callable[[], Any]:
    """Python is faster at single numbers; what it computes in float64 and rounds once more is the same."""
    x, y = inputs

    def run() -> None:
        out[()] = operation(x.item(), y.item())

    return run


def array_in(memory: Array, place: Arena, type: Type, order: Sequence[int]) -> Array:
    """An array of a type in a place of some bytes, its axes there in this order."""
    laid: Array = np.ndarray([type.numbers[axis] for axis in order], type.dtype, memory.data, place.offset)
    return laid.transpose([order.index(axis) for axis in range(type.rank)])


class Program:
    """A graph for fixed sizes. All memory is allocated here; `run` computes every output anew from what the given memory holds.

    `memory` holds an array for every source of the graph and every name in `given` (see `plan.memory.schedule`).
    With `plan` and `arena` it is one of several that never run at the same time; those of one plan share the arrays `laid` in it.
    """

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        memory: Mapping[str, Array],
        given: Mapping[str, str] | None = None,
        *,
        plan: Schedule | None = None,
        arena: Array | None = None,
        laid: dict[str, Array] | None = None,
    ) -> None:
        self.sizes, self._laid = sizes, {} if laid is None else laid
        self.plan = plan or schedule(graph, sizes, given or {})
        self.arena = scratch(self.plan.arena_bytes) if arena is None else arena
        self.arrays: dict[str, Array] = {}
        self.calls: list[Callable[[], Any]] = []
        self.moves: list[Move] = []
        with shared():
            for node in self.plan.order:
                if region := self.plan.regions.get(node.name):
                    self._bind_region(region, memory, node)
                else:
                    self.arrays[node.name] = self._bind(node, memory)
        self.calls += in_passes(self.moves)
        self.calls += [partial(np.copyto, memory[target], self.arrays[name]) for name, target in self.plan.copies]

    @cached_property
    def _run(self) -> Callable[[], Any]:
        return quietly(self.calls, self.plan.graph)

    def run(self) -> None:
        self._run()

    def output(self, public: str) -> Array:
        """The memory of an output, valid until the next run."""
        return self.arrays[self.plan.graph.outputs[public]]

    def _bind(self, node: Node, memory: Mapping[str, Array]) -> Array:
        if node.op.is_source:
            return memory[node.name]
        attributes = {key: bind(value, self.sizes) for key, value in node.attrs}
        inputs = [self.arrays[i] for i in node.inputs]
        if isinstance(self.plan.places[node.name], Own):  # computed here, of what is there already
            return np.asarray(node.op.kernel(*inputs, **attributes), node.type.dtype)
        if node.name in self.plan.layout.images:
            inputs = [self._as_image(x, self.plan.graph[i]) for x, i in zip(inputs, node.inputs, strict=True)]
        if node.op.view:
            return self._view(node, inputs[0], attributes)
        out = self._memory(node, memory)
        if self._may_wait(node, out, inputs):
            self.moves.append(Move(out, *inputs[1:]))
        elif not (node.op is concat and all(self._is_there(node, i) for i in node.inputs)):
            self.calls.append(self._call(node, out, inputs, attributes))
        return out

    def _bind_region(self, region: Region, memory: Mapping[str, Array], node: Node) -> None:
        """Memory for a member of a region; the last of them has what its members compute, too."""
        if node.name not in region.passing:
            self.arrays[node.name] = self._memory(node, memory)
        if node is not region.members[-1]:
            return
        read = {name: self.plan.graph[name] for m in region.members for name in m.inputs if name in self.arrays}
        seen = {n: self._as_image(self.arrays[n], i) for n, i in read.items()} if node.name in self.plan.layout.images else {}
        own = self.arrays | seen

        def call(member: Node, out: Array, inputs: list[Array]) -> None:
            attributes = {key: bind(value, self.sizes) for key, value in member.attrs}
            self.calls.append(self._call(member, out, inputs, attributes))

        Blocks(region, own, self.plan.layout.order(node.name, node.type.rank)).bind(self.calls, call)

    def _may_wait(self, node: Node, out: Array, inputs: list[Array]) -> bool:
        """Whether a weight in given memory moves by what stays in such memory, too, and nobody reads where it is then."""
        if node.op is not descend or out.ctypes.data != inputs[0].ctypes.data or any(node.name in n.inputs for n in self.plan.order):
            return False
        return isinstance(self.plan.places[node.inputs[1]], Given) and {out.shape} == {inputs[0].shape, inputs[1].shape}

    def _is_there(self, joined: Node, name: str) -> bool:
        """Whether a value was computed into the one that joins it to others."""
        place = self.plan.places[name]
        return isinstance(place, Inside) and place.of == joined.name

    def _view(self, node: Node, x: Array, attributes: dict[str, Any]) -> Array:
        columns = {"columns": True} if node.op is part and node.inputs[0] in self.plan.layout.columns else {}
        seen: Array = node.op.kernel(x, **attributes, **columns)
        if np.shares_memory(seen, x) or not seen.size or isinstance(self.plan.places[self.plan.root(node.name)], Own):
            return seen
        out = np.empty_like(seen)  # a reshape of a transposed value: a copy after all
        source = out.reshape(x.shape)
        if x.ndim == 3 and out.ndim == 2 and x.strides[1] < x.strides[2] and x.shape[2] == out.shape[1]:
            out = np.empty_like(seen, order="F")  # the examples of all steps innermost, as they were in each
            source = out.T.reshape(x.shape[2], *x.shape[:2]).transpose(1, 2, 0)
        self.calls.append(partial(np.copyto, source, x))
        return out

    def _memory(self, node: Node, memory: Mapping[str, Array]) -> Array:
        place, type = self.plan.places[node.name], self.plan.types[node.name]
        if isinstance(place, Inside):
            joined = self.plan.graph[place.of]
            axis = joined.attributes["axis"]
            stretch: Array = cut.kernel(self._memory(joined, memory), axis, place.start, place.start + type.numbers[axis])
            return stretch
        if isinstance(place, Given):
            return memory[place.name].reshape(type.shape)
        assert isinstance(place, Arena)
        if node.name not in self._laid:
            self._laid[node.name] = array_in(self.arena, place, type, self.plan.layout.order(node.name, type.rank))
        return self._laid[node.name]

    def _call(self, node: Node, out: Array, inputs: list[Array], attributes: dict[str, Any]) -> Callable[[], Any]:
        op = node.op
        if op is scan:
            from nnspec.run.loop import prepare_scan  # which is made of programs

            return prepare_scan(out, *inputs, **attributes, columns=node.name in self.plan.layout.columns)
        if op.prepare:
            if not (op.pointwise or op.strided):
                inputs = [self._contiguous(x) for x in inputs]
            return op.prepare(out, *inputs, **attributes)
        kernel = real(op.kernel)
        if isinstance(kernel, np.ufunc):
            return self._pointwise(kernel, out, inputs)
        return lambda: np.copyto(out, kernel(*inputs, **attributes))

    def _pointwise(self, ufunc: np.ufunc, out: Array, inputs: list[Array]) -> Callable[[], Any]:
        """A row that is laid over many is first repeated, where it is short."""
        wide = in_long_rows(out, inputs)
        if wide is None:
            return called(ufunc, inputs, out)
        self.calls += wide.copies
        return called(ufunc, wide.inputs, wide.out)

    def _as_image(self, x: Array, node: Node) -> Array:
        """A value with its channels last in memory, before it meets others; what comes from outside is read as it is."""
        if x.ndim <= 2 or not x.size or node.op.is_source or 0 in x.strides:
            return x
        last = np.moveaxis(x, 1, -1)
        if last.flags.c_contiguous or 1 in (x.shape[1], x[0, 0].size):
            return x
        copy = np.empty(last.shape, x.dtype)
        self.calls.append(partial(np.copyto, copy, last))
        return np.moveaxis(copy, -1, 1)

    def _contiguous(self, x: Array) -> Array:
        if x.flags.c_contiguous:
            return x
        copy = np.empty(x.shape, x.dtype)
        self.calls.append(partial(np.copyto, copy, x))
        return copy
