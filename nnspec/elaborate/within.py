"""Derivatives within a step of a `scan`: by what is made outside of it, they see of what comes into the step not what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Span, fault
from nnspec.graph import Graph
from nnspec.graph.loop import is_stand_in
from nnspec.graph.paths import behind
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.elaborate.scan import OneStep


@dataclass(frozen=True)
class Derivative:
    """A call of `grad`: by which node, as it is written, and the stand-ins for values of a step behind which it does not look."""

    by: str
    written: str
    blind: frozenset[str]
    span: Span

    @staticmethod
    def of(graph: Graph, y: str, by: str, written: str, span: Span) -> Derivative:
        """That of y, in a graph where what it is taken by is made of nothing."""
        return Derivative(by, written, _stand_ins(graph, behind(graph, [y])), span)


def checked(derivatives: Iterable[Derivative], step: OneStep) -> Iterator[Derivative]:
    """Those within a step that are one's around it, too; E113 where what one is taken by has a part in what comes into the step."""
    graph = step.item.at_step.graph
    outside = {*islice(graph.nodes, step.before)}
    for d in (d for d in derivatives if d.by in outside):
        found = {name: _made_of(graph, name, step) for name in d.blind & step.origins.keys()}
        if left_out := [name for name in step.origins if d.by in found.get(name, ())]:
            raise _left_out(d, left_out[0], step)
        yield replace(d, blind=d.blind.union(*(_stand_ins(graph, f) for f in found.values())))


def _made_of(graph: Graph, stand_in: str, step: OneStep) -> set[str]:
    """What comes into a step, and all that it is made of there and in the steps before."""
    found, seen = {stand_in}, set[str]()
    while new := (found & step.origins.keys()) - seen:
        seen |= new
        found |= behind(graph, [origin for name in new for origin in step.origins[name]])
    return found


def _stand_ins(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    return frozenset(n for n in names if is_stand_in(graph.var(n)))


def _left_out(d: Derivative, stand_in: str, step: OneStep) -> Fault:
    names = {c.at_step.name: name for name, c in step.carried.items()} | {step.item.at_step.name: step.tree.item.id}
    name = names[stand_in]
    message = f"`{name}` comes into this step and is made of `{d.written}`: this derivative would leave that out"
    help_ = f"take the derivative of what the `scan` gives, or hold it with `stop_gradient({name})` if that is meant"
    return fault("E113", message, d.span, help=help_)
