"""`hs = scan x_t in x with h = h0 { ... }`: the body is elaborated on stand-ins for the values of one step.

Whole numbers and truths that are carried stay what they are where every step gives such again: which do is found by elaborating the body
anew as long as one is given what it was not thought to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Fault, Fix, Span, fault, uncommented
from nnspec.elaborate import batch, lists
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.statements import run_statements
from nnspec.elaborate.values import Applied, Function, Tensor, Value, describe
from nnspec.elaborate.within import checked
from nnspec.graph import Dim, Size, Var
from nnspec.graph.types import show
from nnspec.loops import Carried, Item, close, of_step, stand_in
from nnspec.ops.arrange import moved
from nnspec.record import dataclass
from nnspec.syntax import ast

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator


@dataclass(frozen=True)
class OneStep:
    """The formulas of a `scan` before they become a loop: of an element and of what is carried they know a stand-in.

    `before` says how many nodes the graph had when its body began.
    """

    tree: ast.Scan
    item: Item
    carried: Mapping[str, Carried]
    scope: Scope
    before: int

    @property
    def origins(self) -> dict[str, list[str]]:
        """What each stand-in stands for, in the first step and after another."""
        carried = {c.at_step.name: [c.start.name, c.next.name] for c in self.carried.values()}
        return {self.item.at_step.name: [self.item.sequence.name], **carried}

    def closed(self, length: Dim, drawn: Set[str]) -> list[Var]:
        """The sequences of the carried values, by a loop; all of the formulas that waits for a step leaves the graph."""
        carried = list(self.carried.values())
        found = close(self.item.at_step.graph, carried, [self.item], length, [c.next for c in carried], drawn=drawn)
        return [moved(v, 1, 0) for v in found]


def scan(e: Elaborator, tree: ast.Scan, scope: Scope) -> Value:
    """The sequence of each carried value after every step."""
    _check_names(tree)
    sequence, origin = _sequence(e, tree, scope)
    starts = {c.name or "": _start(e, c, scope) for c in tree.carried}
    make = partial(_one_step, e, tree, scope, sequence, origin)
    taken = len(e.derivatives)
    floats = all(s.dtype == e.graph.dtype and not s.may_be_whole for s in starts.values())
    step = make(starts) if floats else _settled(e, scope, starts, make)
    new = list(islice(e.graph, step.before, None))
    varying = e.graph.dependents([step.item.at_step.name, *(c.at_step.name for c in step.carried.values())])
    if any(n.name in varying and not n.type.has_batch for n in new):
        raise fault("E108", "inside a `scan` each example is on its own: nothing can be taken over the batch", tree.span)
    e.derivatives[taken:] = checked(e.derivatives[taken:], step)
    drawn = {n.name for n in new if n.op.name == "random" and n.type.has_batch}
    found = e.repeat(step, origin.shape[0], drawn)
    values = tuple(Tensor(v, True, tree.span) for v in found)
    return values[0] if len(values) == 1 else values


def _check_names(tree: ast.Scan) -> None:
    """Each has its own."""
    first = {tree.item.id: tree.item.span}
    for c in tree.carried:
        name, place = c.name or "", Span(c.span.source, c.span.start, c.span.start + len(c.name or ""))
        if name in first:
            what = "the element that is walked" if name == tree.item.id else "carried already"
            raise fault("E105", f"`{name}` is {what}, and cannot be carried, too", place, notes=((first[name], "first here"),))
        first[name] = place


@dataclass(frozen=True)
class _Start:
    """What a carried value is before the first step, and what kind of number it is thought to be.

    A whole constant is what is beside it, and so is a truth that is counted with: it `may_be_whole` until that was tried.
    """

    value: Value
    span: Span
    dtype: str
    may_be_whole: bool = False

    def of_floats(self, e: Elaborator) -> _Start:
        return replace(self, dtype=e.graph.dtype, may_be_whole=False)

    def var(self, e: Elaborator) -> Var:
        return batch.repeated(batch.as_dtype(batch.lift(e.graph, self.value, self.dtype, self.span), self.dtype)).var


def _settled(e: Elaborator, scope: Scope, starts: dict[str, _Start], make: Callable[[dict[str, _Start]], OneStep]) -> OneStep:
    """A step that gives what is carried what it was thought to be; floats, where the formulas take nothing else, as a derivative."""
    undo = e.undoing(scope)
    try:
        while others := _others(step := make(starts), starts):
            undo()
            starts = starts | others
        return step
    except Fault as error:
        undo()
        try:
            return make({name: start.of_floats(e) for name, start in starts.items()})
        except Fault:
            raise error from None


def _one_step(e: Elaborator, tree: ast.Scan, scope: Scope, sequence: Var, origin: Tensor, starts: Mapping[str, _Start]) -> OneStep:
    """The formulas of one step, what is carried being of the kinds that it is thought to be."""
    first = {name: start.var(e) for name, start in starts.items()}
    inner, before, updates = Scope(scope, scope.frame), len(e.graph), dict(e.updates)
    item = Item(stand_in(e.graph, of_step(sequence.type)), sequence)
    stand_ins = {name: stand_in(e.graph, var.type) for name, var in first.items()}
    inner.names[tree.item.id] = Tensor(item.at_step, True, tree.item.span, origin.classes)
    inner.names |= {name: Tensor(var, True, starts[name].span) for name, var in stand_ins.items()}
    if run_statements(e, tree.body, inner) is not None:
        raise fault("E108", "a `scan` yields what it carries, and has no `return`", tree.body[-1].span)
    if e.updates != updates:
        raise fault("E108", "a state cannot be updated inside a `scan`: carry the value with `with`", tree.span)
    carried = {name: Carried(var, first[name], _next(e, inner, name, first[name], tree)) for name, var in stand_ins.items()}
    return OneStep(tree, item, carried, inner, before)


def _others(step: OneStep, starts: Mapping[str, _Start]) -> dict[str, _Start]:
    """Of those carried values that are given what they were not thought to be, what they may be instead."""
    graph = step.item.at_step.graph
    others = {}
    for name, start in starts.items():
        given = [Tensor(step.carried[name].at_step, True), step.scope.names[name]]
        if start.may_be_whole and _meets_whole_numbers(step, name):
            others[name] = replace(start, dtype="int64", may_be_whole=False)
        elif start.dtype != (batch.kind_of(graph, given[1]) if start.dtype == "bool" else batch.common_dtype(graph, given)):
            others[name] = replace(start, dtype=graph.dtype, may_be_whole=start.dtype == "bool")
    return others


def _meets_whole_numbers(step: OneStep, name: str) -> bool:
    """Whether a step makes a carried value of any whole numbers."""
    graph = step.item.at_step.graph
    needed, new = graph.needed([step.carried[name].next.name]), set(islice(graph.nodes, step.before, None))
    read = {i for n in needed & new for i in graph[n].inputs}
    return any(graph[n].type.dtype == "int64" for n in needed & (new | read))


def _sequence(e: Elaborator, tree: ast.Scan, scope: Scope) -> tuple[Var, Tensor]:
    """What is walked, steps first and then the batch; and as it was written."""
    x = batch.lift(e.graph, e.evaluate(tree.sequence, scope), e.graph.dtype, tree.sequence.span)
    if not x.shape:
        raise fault("E204", "a `scan` walks the first axis, and this is one number", tree.sequence.span)
    x = batch.repeated(x)
    return moved(x.var, 1, 0), x


def _start(e: Elaborator, c: ast.Argument, scope: Scope) -> _Start:
    """What a carried value is before the first step; a constant is a float until it meets whole numbers."""
    value = e.evaluate(c.value, scope)
    if isinstance(value, Applied | Function):
        help_ = f"say its shape: `{c.name} = {value.name}(n)`"
        raise fault("E106", f"`{c.name}` starts as {describe(value)}, of no shape", c.value.span, help=help_)
    dtype = batch.kind_of(e.graph, value)
    return _Start(value, c.value.span, dtype, dtype == e.graph.dtype and (isinstance(value, Size) or lists.are_whole(value)))


def _next(e: Elaborator, inner: Scope, name: str, start: Var, tree: ast.Scan) -> Var:
    """What a carried value is after a step: of the same shape as before."""
    at = inner.spans.get(name, tree.span)
    t = batch.as_dtype(batch.lift(e.graph, inner.names[name], start.type.dtype, at), start.type.dtype)
    if t.shape != start.type.shape[1:]:
        raise _another_shape(name, start, t, tree)
    return batch.repeated(t).var


def _another_shape(name: str, start: Var, t: Tensor, tree: ast.Scan) -> Fault:
    written = next(c for c in tree.carried if c.name == name)
    message = f"`{name}` starts as {show(start.type.shape[1:])} and is {show(t.shape)} after a step"
    help_ = f"start it with that shape: `{name} = zeros({', '.join(map(str, t.shape))})`" if t.shape else ""
    more = (t.shape[1:] == start.type.shape[1:] and _element(tree)) or {"help": help_}
    return fault("E202", message, t.origin or written.span, notes=((written.span, "it starts here"),), **more)


def _element(tree: ast.Scan) -> dict[str, Any]:
    """What is said where a step reads all of the sequence that it is a step of."""
    sequence, body = tree.sequence, Span(tree.span.source, tree.body[0].span.start, tree.span.end)
    read = re.search(rf"(?<![\w.]){re.escape(sequence.span.text)}(?![\w.(])(?!\s*=)", uncommented(body.text))
    if not isinstance(sequence, ast.Name) or not read:
        return {}
    place = body.part(read.start(), read.end())
    return {"help": f"did you mean `{tree.item.id}`, the element of `{sequence.id}`?", "fix": Fix(place, tree.item.id, safe=False)}
