"""Where gradients flow: for every box its part of the backward graph, for every edge whether a gradient comes back along it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from nnspec.autodiff import pull_back
from nnspec.diagnostics import Source, Span
from nnspec.drawing.body import Body
from nnspec.elaborate.model import Model
from nnspec.graph import Graph, Node
from nnspec.graph.loop import with_bodies
from nnspec.graph.paths import receivers
from nnspec.ops import OPS
from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.record import dataclass

AFTER = "after"
"""What sends the gradient of a carried value beside the nodes of its step: the step after it."""


@dataclass(frozen=True)
class Flow:
    """The gradients in a graph: for every value that has one, the nodes that send it; and how many operations each node has backward.

    `loops` are the bodies of boxes that are loops.
    """

    senders: Mapping[str, Set[str]]
    operations: Mapping[str, int]
    loops: Mapping[str, Body]


def with_backward(diagram: Diagram, model: Model, loops: Mapping[str, Body]) -> Diagram:
    """The diagram with the way back from the loss to every parameter beside the way there."""
    graph, loss = model.graph, model.graph.outputs["loss"]
    trained = [n for n in model.parameters if n in graph.nodes]
    return _marked(diagram, Flow(_senders(graph, [loss], trained), _operations(graph, [loss], trained), loops))


def _senders(graph: Graph, ends: Iterable[str], trained: Iterable[str]) -> dict[str, set[str]]:
    """The nodes that send a gradient to each value that depends on what is trained; the ends have one that nobody sends."""
    dependent = graph.dependents(trained)
    found: dict[str, set[str]] = {end: set() for end in ends}
    for node in reversed(list(graph)):
        if node.name in found:
            for value in dependent.intersection(receivers(graph, node)):
                found.setdefault(value, set()).add(node.name)
    return found


def _operations(graph: Graph, ends: Sequence[str], trained: Sequence[str]) -> dict[str, int]:
    """How many operations of the backward graph come from each node of the forward one.

    A backward node keeps the place in the source of the node it comes from. So in the copy that is differentiated places are the
    numbers of nodes.
    """
    names, source = list(graph.nodes), Source("", "")
    spans = {name: Span(source, i, i) for i, name in enumerate(names)}
    copy = _placed(graph.only({end: end for end in ends} | {name: name for name in trained}), spans.__getitem__)
    with copy.at(role="backward"):
        seeds = [(end, copy.source(OPS["input"], f"seed:{end}", copy[end].type)) for end in dict.fromkeys(ends)]
        found = pull_back(copy, seeds, trained)
    needed = copy.needed(g.name for g in found)
    counts: dict[str, int] = {}
    for node in copy:
        if node.role == "backward" and node.name in needed and node.span and node.inputs:
            counts[names[node.span.start]] = counts.get(names[node.span.start], 0) + 1
    return counts


def _inside(body: Body, outside: Flow) -> Flow:
    """The gradients of one step, where each carried value gets one from the step after it."""
    graph = body.graph
    begins = {body.element: body.walked} | {body.before[name]: node for name, node in body.starts.items()}
    trained = [n for n in graph.nodes if n in outside.senders and graph[n].op.is_source]
    trained += [n for n, behind in begins.items() if behind in outside.senders]
    for _ in body.before:  # what one carried value passes on may come to another in the step after
        dependent = graph.dependents(trained)
        trained += [n for name, n in body.before.items() if graph.outputs[name] in dependent and n not in trained]
    trained = [n for n in trained if graph[n].type.is_float]
    ends = [n for n in dict.fromkeys(graph.outputs.values()) if n in graph.dependents(trained)]
    senders: dict[str, Set[str]] = {**_senders(graph, ends, trained)}
    senders |= {end: senders[end] | {AFTER} for end in ends}
    return Flow(senders, _operations(graph, ends, trained), outside.loops)


def _placed(graph: Graph, span_of: Callable[[str], Span]) -> Graph:
    """A copy with other places in the source; the body of a loop is where the loop is."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        span = span_of(node.name)
        attributes = with_bodies(node, lambda body: _placed(body, lambda _: span))
        with new.at(span=span):
            return new.add(node.op, inputs, attributes, node.type, node.name)

    return graph.rebuilt(rule)


def _marked(diagram: Diagram, flow: Flow, inside: Set[str] = frozenset()) -> Diagram:
    """The diagram with what goes back marked in boxes and on edges; `inside` are the nodes of the block that it is the inside of."""
    boxes = tuple(_box(b, flow) for b in diagram.boxes)
    edges = tuple(replace(e, goes_back=_goes_back(e, diagram.by_name[e.target], flow, inside)) for e in diagram.edges)
    again = tuple(replace(e, goes_back=not flow.senders.keys().isdisjoint(diagram.by_name[e.target].gives)) for e in diagram.again)
    return replace(diagram, boxes=boxes, edges=edges, again=again)


def _box(box: Box, flow: Flow) -> Box:
    if flow.senders.keys().isdisjoint(box.nodes):
        return box
    trained = dict.fromkeys(n.rsplit(".", 1)[-1] for n in box.weights if n in flow.senders)
    operations = sum(flow.operations.get(n, 0) for n in box.nodes)
    begins = box.role in ("param", "state", "input")
    note = f"{operations} operation{'s' * (operations > 1)}" if operations else "" if begins else "passes it on"
    return replace(box, inner=_within(box, flow), back=", ".join(f"∂{n}" for n in trained) or "∂", back_note=note)


def _within(box: Box, flow: Flow) -> Diagram | None:
    if not box.inner or box.name not in flow.loops:
        return box.inner and _marked(box.inner, flow, box.nodes)
    body = flow.loops[box.name]
    return _marked(box.inner, _inside(body, flow), frozenset(body.graph.nodes))


def _goes_back(edge: Edge, target: Box, flow: Flow, inside: Set[str]) -> bool:
    """Whether the box below sends a gradient of the value; a port stands for all that is outside of the block, the end of a loss for 1."""
    if target.role in ("input", "state") and target.takes:  # where a step begins: what it sends goes to what it stands for
        return not flow.senders.keys().isdisjoint(target.nodes)
    senders = flow.senders.get(edge.value)
    if senders is None:
        return False
    return bool(senders - inside) if target.role == "port" else target.role == "loss" if not target.nodes else bool(senders & target.nodes)
