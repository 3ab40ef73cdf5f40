"""Loops that are the library's lstm, gru or rnn, exported as the ONNX ops of that name; any other loop is exported as Scan.

What the library's layer elaborates to is the pattern, so a formula of the user's that says the same is recognised too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from nnspec.diagnostics import Source
from nnspec.double import DOUBLE
from nnspec.elaborate.library import Definitions, add_definitions
from nnspec.elaborate.model import elaborate_model
from nnspec.elaborate.scope import Scope
from nnspec.graph import Dim, Graph, Node, Size
from nnspec.graph.loop import Loop
from nnspec.ops import OPS
from nnspec.ops.loop import scan
from nnspec.record import dataclass
from nnspec.rewrite import BEFORE_GRADIENTS, rewrite
from nnspec.syntax.parser import parse

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
Found = dict[str, str]
"""Nodes of the graph, by those of the pattern that they fit."""


@dataclass(frozen=True)
class Pattern:
    """The library's layer up to the value `end`, in the order of the loop; `inputs` stand for any values of their shapes."""

    graph: Graph
    end: str
    inputs: tuple[str, ...]

    def match(self, graph: Graph, name: str) -> list[str] | None:
        """What the inputs are where the pattern fits a value of the graph."""
        found = _match(self.graph, self.end, graph, name, self.inputs, {})
        return [found[i] for i in self.inputs] if found else None


def recognised(graph: Graph) -> Graph:
    """The graph with every such loop as one node; in float64, which onnxruntime has none of them in, as it is."""
    if graph.dtype == DOUBLE:
        return graph
    layers = dict(found for node in graph if node.op is scan and (found := _layer(graph, node)))
    new, moved = Graph(graph.name, graph.dtype), dict[str, str]()
    for node in graph:
        with new.at(role=node.role, span=node.span):
            if node.name in layers:
                kind, inputs = layers[node.name]
                moved[node.name] = new.call(OPS[kind], *(new.var(moved[i]) for i in inputs)).name
            else:
                moved[node.name] = new.copy_node(node, tuple(moved[i] for i in node.inputs))
    new.outputs = {public: moved[n] for public, n in graph.outputs.items()}
    return new.swept()


def _layer(graph: Graph, loop: Node) -> tuple[str, tuple[str, list[str]]] | None:
    """The value that leaves the loop, which layer it is, and of what."""
    leaving = _leaving(graph, loop)
    for kind in GATES:
        pattern = _pattern_for(graph, loop, kind)
        inputs = pattern.match(graph, leaving) if pattern and leaving else None
        if leaving and inputs:
            return leaving, (kind, inputs)
    return None


def _leaving(graph: Graph, loop: Node) -> str | None:
    """The one thing that the loop yields and anything reads."""
    readers = [n for n in graph if loop.name in n.inputs]
    return readers[0].name if len(readers) == 1 else None


def _pattern_for(graph: Graph, loop: Node, kind: str) -> Pattern | None:
    """The library's layer for the sizes of a loop."""
    product = _product(graph, loop)
    if product is None:
        return None
    n, width = graph[product.inputs[1]].type.shape
    units, length = graph[loop.inputs[0]].type.shape[-1], loop.attributes["length"]
    written = length if isinstance(length, int) else _name(length)
    if not isinstance(n, int) or not isinstance(units, int) or width != GATES[kind] * units or not written:
        return None
    return _pattern(kind, written, n, units, graph.dtype)


def _name(size: Dim) -> str:
    """The name of a size that is nothing but named."""
    return str(size) if isinstance(size, Size) and size == Size.named(str(size)) else ""


def _product(graph: Graph, loop: Node) -> Node | None:
    """The product with the input weights, before the loop."""
    a = loop.attributes
    before = graph.needed(loop.inputs[a["carries"] : a["carries"] + a["items"]])
    products = [n for n in graph if n.name in before and n.op.name == "matmul" and graph[n.inputs[1]].type.rank == 2]
    return products[-1] if products else None


@cache
def _pattern(kind: str, length: int | str, n: int, units: int, dtype: str) -> Pattern:
    spec, _ = parse(Source("pattern", f"model Pattern {{ input x: [{length}, {n}]  output y = x -> {kind}({units}) }}"))
    definitions = Definitions()
    add_definitions(definitions.own, spec, Scope())
    model, mistakes = elaborate_model(definitions.own["model", "Pattern"], definitions, training=False, dtype=dtype)
    assert not mistakes, mistakes
    graph = rewrite(model.graph, *BEFORE_GRADIENTS)
    (back,) = graph[graph.outputs["output:y"]].inputs
    sequence = next(n.name for n in graph if n.op.name == "transpose")
    return Pattern(graph, back, (sequence, *(n.name for n in graph if n.op.name == "param")))


def _match(pattern: Graph, at: str, graph: Graph, name: str, free: tuple[str, ...], found: Found) -> Found | None:
    """What the nodes of the pattern that a value needs are in the graph, where it fits; `free` ones fit any value of their shape."""
    ours, theirs = pattern[at], graph[name]
    if at in found:
        return found if found[at] == name else None
    if at in free:
        return {**found, at: name} if ours.type.shape == theirs.type.shape else None
    if not _same_node(ours, theirs) or (ours.op.is_source and at != name):
        return None
    for mine, other in zip(ours.inputs, theirs.inputs, strict=True):
        matched = _match(pattern, mine, graph, other, free, found)
        if matched is None:
            return None
        found = matched
    return {**found, at: name}


def _same_node(ours: Node, theirs: Node) -> bool:
    """All but the names; bodies of loops may have another order too."""
    if ours.op is not theirs.op or ours.type != theirs.type or len(ours.inputs) != len(theirs.inputs):
        return False
    mine, other = dict(ours.attrs), dict(theirs.attrs)
    return mine.keys() == other.keys() and all(_same_attribute(mine[k], other[k]) for k in mine)


def _same_attribute(ours: Any, theirs: Any) -> bool:
    return _same_body(ours.body, theirs.body) if isinstance(ours, Loop) else bool(ours == theirs)


def _same_body(ours: Graph, theirs: Graph) -> bool:
    found: Found = {}
    for public, at in ours.outputs.items():
        matched = _match(ours, at, theirs, theirs.outputs[public], (), found) if public in theirs.outputs else None
        if matched is None:
            return False
        found = matched
    return ours.outputs.keys() == theirs.outputs.keys()
