"""One step of a `scan`, as it was before it became a loop: what a picture shows inside of it, and what a derivation goes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from nnspec.diagnostics import Span
from nnspec.elaborate.scan import OneStep
from nnspec.elaborate.values import Tensor
from nnspec.graph import Dim, Graph, Node
from nnspec.ops import OPS
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.drawing.parts import Part


@dataclass(frozen=True, eq=False)
class Body:
    """The formulas of one step as a graph, whose outputs are the carried values as they will be, by name.

    Its sources are nodes of the model by their names, `element`, and the carried values as they were, `before`. The element, `item` in
    the spec, walks along the node `walked` of the model; `starts` and `yielded` are nodes of the model for each carried value, too.
    `part` is what of the spec made which of the formulas, `called` what it calls their values.
    """

    graph: Graph
    part: Part
    called: Mapping[str, str]
    written: Mapping[Span, str]
    item: str
    element: str
    walked: str
    length: Dim
    before: Mapping[str, str]
    starts: Mapping[str, str]
    yielded: Mapping[str, str]


def body_of(step: OneStep, part: Part) -> Body:
    """The body of a loop that is about to be closed, taken out of the part that it is written in; nothing is `yielded` yet."""
    item, nexts = step.item, {name: c.next.name for name, c in step.carried.items()}
    outer = item.at_step.graph
    own = set(islice(outer.nodes, step.before, None))
    stand_ins = [outer[v.name] for v in (item.at_step, *(c.at_step for c in step.carried.values()))]
    graph = Graph("step", outer.dtype)
    known = {n.name: _source(graph, n) for n in (*stand_ins, *_entering(outer, own, nexts.values()))}
    moved = graph.insert(outer, nexts.values(), known)
    graph.outputs = {name: moved[node] for name, node in nexts.items()}
    called = {moved[v.var.name]: n for n, v in step.scope.names.items() if isinstance(v, Tensor) and v.var.name in moved}
    return Body(
        graph,
        _taken_out(part, [s.span for s in step.tree.body], own, moved),
        {**called, **{node: name for name, node in graph.outputs.items()}},
        {span: name for name, span in step.scope.spans.items()},
        step.tree.item.id,
        item.at_step.name,
        item.sequence.node.inputs[0],
        item.sequence.type.shape[0],
        {name: c.at_step.name for name, c in step.carried.items()},
        {name: c.start.name for name, c in step.carried.items()},
        {},
    )


def _entering(outer: Graph, own: Set[str], ends: Iterable[str]) -> Iterator[Node]:
    """What a step reads of the model around it, constants left out."""
    made = outer.dependents(n.name for n in outer if n.op.is_source or n.op.name == "random")
    needed = outer.needed(ends)
    read = {i for n in needed & own for i in outer[n].inputs} | needed.intersection(ends)
    return (outer[n] for n in outer.nodes if n in (read & made) - own)


def _source(graph: Graph, node: Node) -> str:
    return graph.source(node.op if node.op.is_source else OPS["input"], node.name, node.type).name


def _taken_out(part: Part, statements: Iterable[Span], own: Set[str], moved: Mapping[str, str]) -> Part:
    """What is written in the body, as a part by itself with the names that its nodes have now."""
    spans = list(statements)
    inner = [p for p in part.parts if any(s.start <= p.written.start and p.written.end <= s.end for s in spans)]
    nodes = [n for n in part.nodes if n in own]
    part.parts = [p for p in part.parts if p not in inner]
    part.nodes = [n for n in part.nodes if n not in own]
    return _renamed(replace(part, parts=inner, nodes=nodes, body=None), moved)


def _renamed(part: Part, moved: Mapping[str, str]) -> Part:
    return replace(part, nodes=[moved[n] for n in part.nodes if n in moved], parts=[_renamed(p, moved) for p in part.parts])
