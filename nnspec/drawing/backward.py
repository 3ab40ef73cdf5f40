"""Where gradients flow: for every box its part of the backward graph, for every edge whether a gradient comes back along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from nnspec.autodiff import gradients
from nnspec.diagnostics import Source, Span
from nnspec.elaborate.model import Model
from nnspec.graph import Graph, Node
from nnspec.graph.loop import Loop
from nnspec.ops.loop import part, scan
from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.record import dataclass


@dataclass(frozen=True)
class Flow:
    """The gradients of a loss: for every value that has one, the nodes that send it; and how many operations each node has backward."""

    senders: Mapping[str, Set[str]]
    operations: Mapping[str, int]


def with_backward(diagram: Diagram, model: Model) -> Diagram:
    """The diagram with the way back from the loss to every parameter beside the way there."""
    return _marked(diagram, Flow(_senders(model), _operations(model)))


def _senders(model: Model) -> dict[str, set[str]]:
    """The nodes that send a gradient to each value; the loss has one that nobody sends."""
    graph, loss = model.graph, model.graph.outputs["loss"]
    dependent = graph.dependents(n for n in model.parameters if n in graph.nodes)
    found: dict[str, set[str]] = {loss: set()}
    for node in reversed(list(graph)):
        if node.name in found and (node.op.grad or node.op in (scan, part)):  # autodiff goes through loops itself
            for value, parameter in zip(node.inputs, node.op.declared(len(node.inputs)), strict=True):
                if value in dependent and graph[value].type.is_float and parameter.name not in node.op.choosing:
                    found.setdefault(value, set()).add(node.name)
    return found


def _operations(model: Model) -> dict[str, int]:
    """How many operations of the backward graph come from each node of the forward one.

    A backward node keeps the place in the source of the node it comes from. So in the copy that is differentiated places are the
    numbers of nodes.
    """
    names, source = list(model.graph.nodes), Source("", "")
    spans = {name: Span(source, i, i) for i, name in enumerate(names)}
    graph = _placed(model.graph.only({"loss": model.graph.outputs["loss"]}), spans.__getitem__)
    found = gradients(graph, graph.outputs["loss"], [n for n in model.parameters if n in graph.nodes])
    needed = graph.needed(g.name for g in found)
    counts: dict[str, int] = {}
    for node in graph:
        if node.role == "backward" and node.name in needed and node.span and node.inputs:
            counts[names[node.span.start]] = counts.get(names[node.span.start], 0) + 1
    return counts


def _placed(graph: Graph, span_of: Callable[[str], Span]) -> Graph:
    """A copy with other places in the source; the body of a loop is where the loop is."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        span = span_of(node.name)
        attributes = {k: Loop(_placed(v.body, lambda _: span)) if isinstance(v, Loop) else v for k, v in node.attrs}
        with new.at(span=span):
            return new.add(node.op, inputs, attributes, node.type, node.name)

    return graph.rebuilt(rule)


def _marked(diagram: Diagram, flow: Flow, inside: Set[str] = frozenset()) -> Diagram:
    """The diagram with what goes back marked in boxes and on edges; `inside` are the nodes of the block that it is the inside of."""
    boxes = tuple(_box(b, flow) for b in diagram.boxes)
    edges = tuple(replace(e, goes_back=_goes_back(e, diagram.by_name[e.target], flow, inside)) for e in diagram.edges)
    return replace(diagram, boxes=boxes, edges=edges)


def _box(box: Box, flow: Flow) -> Box:
    if flow.senders.keys().isdisjoint(box.nodes):
        return box
    trained = dict.fromkeys(n.rsplit(".", 1)[-1] for n in box.weights if n in flow.senders)
    operations = sum(flow.operations.get(n, 0) for n in box.nodes)
    note = f"{operations} operation{'s' * (operations > 1)}" if operations else "" if box.role == "param" else "passes it on"
    inner = _marked(box.inner, flow, box.nodes) if box.inner else None
    return replace(box, inner=inner, back=", ".join(f"∂{n}" for n in trained) or "∂", back_note=note)


def _goes_back(edge: Edge, target: Box, flow: Flow, inside: Set[str]) -> bool:
    """Whether the box below sends a gradient of the value; a port stands for all that is outside of the block, the end of a loss for 1."""
    senders = flow.senders.get(edge.value)
    if senders is None:
        return False
    return bool(senders - inside) if target.role == "port" else target.role == "loss" if not target.nodes else bool(senders & target.nodes)
