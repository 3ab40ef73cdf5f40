"""`hs = scan x_t in x with h = h0 { ... }`: the body is elaborated once, on stand-ins for the values of one step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from itertools import islice
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Fault, Fix, Span, fault, uncommented
from nnspec.elaborate import batch
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.statements import run_statements
from nnspec.elaborate.values import Applied, Function, Tensor, Value, describe
from nnspec.graph import Dim, Var
from nnspec.graph.types import show
from nnspec.loops import Carried, Item, close, of_step, stand_in
from nnspec.ops import OPS
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

    def closed(self, length: Dim, drawn: Set[str]) -> list[Var]:
        """The sequences of the carried values, by a loop; all of the formulas that waits for a step leaves the graph."""
        carried = list(self.carried.values())
        found = close(self.item.at_step.graph, carried, [self.item], length, [c.next for c in carried], drawn=drawn)
        return [_exchanged(v) for v in found]


def scan(e: Elaborator, tree: ast.Scan, scope: Scope) -> Value:
    """The sequence of each carried value after every step."""
    sequence, origin = _sequence(e, tree, scope)
    starts = {c.name or "": _start(e, c, scope) for c in tree.carried}
    inner, marks, updates = Scope(scope, scope.frame), len(e.graph), dict(e.updates)
    item = Item(stand_in(e.graph, of_step(sequence.type)), sequence)
    stand_ins = {name: stand_in(e.graph, start.type) for name, start in starts.items()}
    inner.names[tree.item.id] = Tensor(item.at_step, True, tree.item.span, origin.classes)
    inner.names |= {name: Tensor(var, True, c.value.span) for c, (name, var) in zip(tree.carried, stand_ins.items(), strict=True)}
    if run_statements(e, tree.body, inner) is not None:
        raise fault("E108", "a `scan` yields what it carries, and has no `return`", tree.body[-1].span)
    if e.updates != updates:
        raise fault("E108", "a state cannot be updated inside a `scan`: carry the value with `with`", tree.span)
    carried = {n: Carried(stand_ins[n], start, _next(e, inner, n, start, tree)) for n, start in starts.items()}
    new = list(islice(e.graph, marks, None))
    varying = e.graph.dependents([item.at_step.name, *(v.name for v in stand_ins.values())])
    if any(n.name in varying and not n.type.has_batch for n in new):
        raise fault("E108", "inside a `scan` each example is on its own: nothing can be taken over the batch", tree.span)
    drawn = {n.name for n in new if n.op.name == "random" and n.type.has_batch}
    found = e.repeat(OneStep(tree, item, carried, inner, marks), origin.shape[0], drawn)
    values = tuple(Tensor(v, True, tree.span) for v in found)
    return values[0] if len(values) == 1 else values


def _sequence(e: Elaborator, tree: ast.Scan, scope: Scope) -> tuple[Var, Tensor]:
    """What is walked, steps first and then the batch; and as it was written."""
    x = batch.lift(e.graph, e.evaluate(tree.sequence, scope), e.graph.dtype, tree.sequence.span)
    if not x.shape:
        raise fault("E204", "a `scan` walks the first axis, and this is one number", tree.sequence.span)
    x = batch.repeated(x)
    return _exchanged(x.var), x


def _exchanged(v: Var) -> Var:
    """[batch, steps, ...] as [steps, batch, ...], or the other way round."""
    exchanged: Var = OPS["transpose"](v, axes=(1, 0, *range(2, v.type.rank)))
    return exchanged


def _start(e: Elaborator, c: ast.Argument, scope: Scope) -> Var:
    """What a carried value is before the first step."""
    value = e.evaluate(c.value, scope)
    if isinstance(value, Applied | Function):
        help_ = f"say its shape: `{c.name} = {value.name}(n)`"
        raise fault("E106", f"`{c.name}` starts as {describe(value)}, of no shape", c.value.span, help=help_)
    t = batch.lift(e.graph, value, e.graph.dtype, c.value.span)
    return batch.repeated(batch.as_dtype(t, e.graph.dtype)).var


def _next(e: Elaborator, inner: Scope, name: str, start: Var, tree: ast.Scan) -> Var:
    """What a carried value is after a step: of the same shape as before."""
    at = inner.spans.get(name, tree.span)
    t = batch.as_dtype(batch.lift(e.graph, inner.names[name], e.graph.dtype, at), e.graph.dtype)
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
    place = Span(body.source, body.start + read.start(), body.start + read.end())
    return {"help": f"did you mean `{tree.item.id}`, the element of `{sequence.id}`?", "fix": Fix(place, tree.item.id, safe=False)}
