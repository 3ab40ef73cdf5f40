"""Formulas over one step to a loop over all: what no step has to wait for is taken out of the loop, as one operation over all steps.

Time folds into the batch: an operation on `[batch, ...]` at every step is one operation on `[length * batch, ...]`. So `x_t @ W` becomes
one product before the loop, and the gradient of a weight, a sum over the batch, one product after it that also sums over time.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from nnspec.graph import BATCH, Dim, Graph, Node, Shape, Type, Var
from nnspec.graph.loop import STAND_IN, Loop
from nnspec.graph.types import BATCH_NAME, Size, count, size_names, with_batch
from nnspec.ops.arrange import concat, cut, expand, moved, pad, reshape, transpose
from nnspec.ops.linear import matmul
from nnspec.ops.loop import part, parts, scan
from nnspec.ops.source import input
from nnspec.record import dataclass


@dataclass(frozen=True)
class Carried:
    """A value carried through the steps: its stand-in in the formulas, its start, and what it becomes."""

    at_step: Var
    start: Var
    next: Var


@dataclass(frozen=True)
class Item:
    """A sequence [length, batch, ...] and the stand-in for its element of one step."""

    at_step: Var
    sequence: Var


def stand_in(graph: Graph, type: Type) -> Var:
    """A source for the value of one step."""
    return graph.source(input, graph.fresh(STAND_IN), type)


def of_step(sequence: Type) -> Type:
    """The type of an element of a sequence [length, batch, ...]."""
    return replace(sequence, shape=sequence.shape[1:])


def batch_axis(shape: Shape) -> int:
    return next(i for i, d in enumerate(shape) if BATCH_NAME in size_names((d,)))


def split_batch(shape: Shape, *between: Dim, rows: Dim) -> Shape:
    """A shape in which `c * batch` stands as two axes, c and batch, with others between them; or as three, c, batch, and the `rows` that
    each example has there.
    """
    axis = batch_axis(shape)
    behind = () if rows == 1 else (rows,)
    return (*shape[:axis], shape[axis] // BATCH // rows, *between, BATCH, *behind, *shape[axis + 1 :])


def apart(value: Var, loop: Loop, length: Dim) -> list[Var]:
    """All that the steps of a loop yield."""
    return [part(value, start=start, shape=type.shape, dtype=type.dtype) for start, type in parts(loop, length)]


def keeping_values(graph: Graph) -> Graph:
    """The same with loops that yield all that their steps compute, so that backward need not compute it again; see `rewrite.loops.trim`."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op is not scan:
            return new.copy_node(node, inputs)
        return new.call(scan, *map(new.var, inputs), **{**node.attributes, "body": _yielding_all(node.attributes["body"])}).name

    return graph.rebuilt(rule)


def _yielding_all(loop: Loop) -> Loop:
    """The loop with every value of an example that is computed in it behind what it yields."""
    body = loop.body.only(loop.body.outputs)
    batch = loop.types("out:")[0].shape[0]
    values = [n for n in body if n.inputs and n.op is not scan and not n.op.view]  # of a scan its parts are values
    computed = [n.name for n in values if n.type.is_float and n.type.shape[:1] == (batch,)]
    more = [n for n in computed if n not in body.outputs.values()]
    body.outputs |= {f"out:{i}": name for i, name in enumerate(more, len(loop.types("out:")))}
    return Loop(body)


def close(
    graph: Graph,
    carried: Sequence[Carried],
    items: Sequence[Item],
    length: Dim,
    results: Sequence[Var],
    *,
    reverse: bool = False,
    drawn: Set[str] = frozenset(),
) -> list[Var]:
    """The loop of formulas in `graph` that use stand-ins; the stand-ins and what depends on them are taken out of the graph.

    Gives each result for all steps: `[length, batch, ...]` of one that each example has, and of any other the sum over all steps.
    `drawn` names random nodes that each step draws anew.
    """
    closing = _Closing(graph, carried, items, length, reverse, drawn, [r.name for r in results])
    found = [closing.over_all_steps(r.name) for r in results]
    graph.discard(closing.varying)
    return found


class _Closing:
    """`varying` depends on the step, `core` is what the next step waits for.

    Of the values over all steps found so far, `stacked` has those with the steps as an axis in front, `folded` those with the steps in the
    batch: what every op understands.
    """

    def __init__(
        self,
        graph: Graph,
        carried: Sequence[Carried],
        items: Sequence[Item],
        length: Dim,
        reverse: bool,
        drawn: Set[str],
        results: Sequence[str],
    ) -> None:
        self.graph, self.carried, self.length, self.reverse = graph, carried, length, reverse
        self.steps = length * BATCH
        stand_ins = {c.at_step.name for c in carried}
        self.results = results
        self.varying = graph.dependents({*stand_ins, *(i.at_step.name for i in items), *drawn})
        unfoldable = {n for n in self.varying if not graph[n].type.has_batch}
        self.core = (graph.dependents(stand_ins | unfoldable) & graph.needed([c.next.name for c in carried])) - stand_ins
        self.core |= {n.name for n in graph if n.op is part and n.inputs[0] in self.core}  # a scan itself cannot leave the loop
        self.core |= self._cuts_for_the_loop()
        self.in_loop = self.core | stand_ins
        self.stacked = {i.at_step.name: i.sequence.name for i in items}
        self.folded: dict[str, str] = {}

    def _cuts_for_the_loop(self) -> set[str]:
        """Pieces that only the loop reads of a value: it takes the value and cuts it itself, which costs nothing."""
        cuts = {n.name for n in self.graph if n.op is cut and n.name in self.varying - self.core and n.attributes["axis"] >= 1}
        outside = {i for n in self.graph if n.name not in self.core for i in n.inputs} | set(self.results)
        return {i for n in self.graph if n.name in self.core for i in n.inputs} & cuts - outside

    # ---- time in the batch

    def rows(self, name: str) -> Dim:
        """How many rows an example has one after the other on the axis of the batch, where a reshape has joined them to it.

        A reshape leaves as many numbers behind each example as before: those rows, times the axes after that of the batch.
        """
        more: Dim = 1
        fewer: Dim = 1
        node = self.graph[name]
        while node.type.shape[axis := batch_axis(node.type.shape)] != BATCH:
            before = next((n for i in node.inputs if (n := self.graph[i]).type.has_batch), None)
            if before is None:
                break
            if node.op is reshape:
                more *= count(before.type.shape[batch_axis(before.type.shape) + 1 :])
                fewer *= count(node.type.shape[axis + 1 :])
            node = before
        return more // fewer

    def fold_sequence(self, name: str) -> Var:
        """The steps of a value, which stand in front, in the batch."""
        sequence, shape = self.graph.var(self.stacked[name]), self.graph[name].type.shape
        axis = batch_axis(shape)
        split = reshape(sequence, shape=(self.length, *split_batch(shape, rows=self.rows(name))))
        return reshape(split if shape[0] == BATCH else moved(split, 0, axis + 1), shape=with_batch(shape, self.steps))

    def unfold(self, name: str) -> Var:
        """[length, ...] of a value with the steps in the batch."""
        value, shape = self.fold(name), self.graph[name].type.shape
        axis = batch_axis(shape)
        split = reshape(value, shape=split_batch(shape, self.length, rows=self.rows(name)))
        return reshape(split if shape[0] == BATCH else moved(split, axis + 1, 0), shape=(self.length, *shape))

    def repeated(self, name: str) -> Var:
        """What does not vary, once for every step where each example has its own."""
        value = self.graph.var(name)
        if not value.type.has_batch:
            return value
        shape, rows = value.type.shape, self.rows(name)
        once = reshape(value, shape=split_batch(shape, 1, rows=rows))
        return reshape(expand(once, shape=split_batch(shape, self.length, rows=rows)), shape=with_batch(shape, self.steps))

    def fold(self, name: str) -> Var:
        """A value over all steps, with the steps in the batch."""
        if name not in self.varying:
            return self.repeated(name)
        if name not in self.folded:
            self.folded[name] = self.fold_sequence(name).name
        return self.graph.var(self.folded[name])

    def stack(self, name: str) -> Var:
        """A value over all steps, with the steps in front."""
        if name not in self.stacked:
            self.stacked[name] = self.unfold(name).name
        return self.graph.var(self.stacked[name])

    def over_all_steps(self, name: str) -> Var:
        """A value over all steps, once the loop has run if it waits for it; of one that no example has of its own, the sum."""
        missing = self._missing(name)
        for node in [n for n in self.graph if n.name in missing]:
            with self.graph.at(span=node.span, role=node.role):
                self._find(node)
        return self.stack(name) if self.graph[name].type.has_batch else self.fold(name)

    def _missing(self, name: str) -> set[str]:
        """What a value needs that is not found yet."""
        known = self.stacked.keys() | self.folded.keys()
        wanted = {name} & self.varying
        for node in reversed(list(self.graph)):
            if node.name in wanted - known and node.name not in self.in_loop:
                wanted.update(i for i in node.inputs if i in self.varying)
        return wanted - known

    def _find(self, node: Node) -> None:
        if node.name in self.in_loop:
            if node.name not in self.stacked.keys() | self.folded.keys():
                self._scan()
        elif self._stackable(node):
            inputs = [self.stack(i) if i in self.varying else self.graph.var(i) for i in node.inputs]
            attrs = {k: v + 1 if k == "axis" else v for k, v in node.attrs}
            self.stacked[node.name] = self.graph.call(node.op, *inputs, **attrs).name
        else:
            attrs = {k: with_batch(v, self.steps) for k, v in node.attrs}
            self.folded[node.name] = self.graph.call(node.op, *map(self.fold, node.inputs), **attrs).name

    def _stackable(self, node: Node) -> bool:
        """Whether the op says the same with the steps as one more axis in front."""
        varying = [i for i in node.inputs if i in self.varying]
        rank, same = node.type.rank, len(varying) == len(node.inputs)
        if not all(i in self.stacked and self.graph[i].type.rank == rank for i in varying) or not varying:
            return False
        if node.op is matmul:
            return varying == [node.inputs[0]] and self.graph[node.inputs[1]].type.rank == 2
        return node.op.pointwise or (node.op in (concat, cut, pad) and same and node.attributes["axis"] >= 1)

    # ---- the loop

    def _scan(self) -> None:
        """The loop, and the values of it that anything outside of it reads."""
        body = _Body(self)
        carries = [c.next.name for c in self.carried]
        outs = [*carries, *(n for n in self._read_outside() if n not in carries)]
        loop = body.finish(carries, outs)
        inputs = [*(c.start for c in self.carried), *body.sequences, *body.given]
        sizes = {"carries": len(carries), "items": len(body.sequences), "length": self.length}
        out = self.graph.call(scan, *inputs, body=loop, reverse=self.reverse, **sizes)
        for n, value in reversed(list(zip(outs, apart(out, loop, self.length), strict=True))):
            if self.graph[n].type.shape[0] == BATCH:
                self.stacked[n] = value.name
            else:
                self.folded[n] = self._folded_part(value, self.graph[n].type).name

    def telling_length(self) -> list[str]:
        """The element of a sequence that no step reads: how many steps there are is read off it where no number says so."""
        return [next(iter(self.stacked))] if isinstance(self.length, Size) and self.stacked else []

    def _folded_part(self, part: Var, type: Type) -> Var:
        """From [length, batch, ...] to the shape of the value at one step, with time in its batch."""
        axis = batch_axis(type.shape)
        order = (*range(2, axis + 3), 0, 1, *range(axis + 3, part.type.rank))
        return reshape(transpose(part, axes=order), shape=with_batch(type.shape, self.steps))

    def _read_outside(self) -> list[str]:
        """The values of the loop that the results read."""
        needed = self.graph.needed(self.results) - self.in_loop
        read = {i for n in needed for i in self.graph[n].inputs} | set(self.results)
        return [n.name for n in self.graph if n.name in read & self.in_loop]


class _Body:
    """The graph of one step, made of the core and of stand-ins for what comes into it."""

    def __init__(self, closing: _Closing) -> None:
        self.graph, self.closing = Graph("step", closing.graph.dtype), closing
        self.moved: dict[str, str] = {}
        outer, core = closing.graph, closing.core
        reads = [i for n in outer if n.name in core for i in n.inputs] + [c.next.name for c in closing.carried]
        entering = [n for n in dict.fromkeys(reads) if n not in closing.in_loop]
        constant = [n for n in entering if outer[n].op.name == "const"]
        items = [n for n in entering if n in closing.varying] or closing.telling_length()
        given = [n for n in entering if n not in closing.varying and n not in constant]
        self._sources("carry", [c.at_step for c in closing.carried])
        self._sources("item", [outer.var(n) for n in items])
        self._sources("given", [outer.var(n) for n in given])
        self.sequences = [closing.over_all_steps(n) for n in items]
        self.given = [outer.var(n) for n in given]
        self.moved = self.graph.insert(outer, [*constant, *(n.name for n in outer if n.name in core)], self.moved)

    def _sources(self, kind: str, values: Sequence[Var]) -> None:
        for position, value in enumerate(values):
            self.moved[value.name] = self.graph.source(input, f"{kind}:{position}", value.type).name

    def finish(self, carries: Sequence[str], outs: Sequence[str]) -> Loop:
        self.graph.outputs = {f"carry:{i}": self.moved[n] for i, n in enumerate(carries)}
        self.graph.outputs |= {f"out:{i}": self._batch_first(n).name for i, n in enumerate(outs)}
        return Loop(self.graph.swept())

    def _batch_first(self, name: str) -> Var:
        value = self.graph.var(self.moved[name])
        shape = value.type.shape
        if shape[0] == BATCH:
            return value
        return moved(reshape(value, shape=split_batch(shape, rows=self.closing.rows(name))), batch_axis(shape) + 1, 0)
