"""Loops that are the library's lstm or gru, exported as the ONNX ops of that name; any other loop is exported as Scan.

What the library's layer elaborates to is the pattern, so a formula of the user's that says the same is recognised too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from nnspec.diagnostics import Source
from nnspec.elaborate.library import Definitions, add_definitions
from nnspec.elaborate.model import elaborate_model
from nnspec.elaborate.values import Scope
from nnspec.graph import Dim, Graph, Node, Size
from nnspec.graph.loop import Loop
from nnspec.ops import OPS
from nnspec.ops.loop import scan
from nnspec.rewrite import BEFORE_GRADIENTS, rewrite
from nnspec.syntax.parser import parse

GATES = {"lstm": 4, "gru": 3}
Found = dict[str, str]
"""The layer's sequence and parameters, by their names in the pattern, as nodes of the graph."""


def recognised(graph: Graph) -> Graph:
    """The graph with every such loop as one node."""
    made: dict[str, tuple[str, Found]] = {}
    for node in graph:
        if node.op is scan:
            made |= _layer(graph, node)
    new, moved = Graph(graph.name, graph.dtype), dict[str, str]()
    for node in graph:
        with new.at(role=node.role, span=node.span):
            if node.name in made:
                kind, found = made[node.name]
                moved[node.name] = new.call(OPS[kind], *(new.var(moved[n]) for n in found.values())).name
            else:
                moved[node.name] = new.copy_node(node, tuple(moved[i] for i in node.inputs))
    new.outputs = {public: moved[n] for public, n in graph.outputs.items()}
    return new.swept()


def _layer(graph: Graph, loop: Node) -> dict[str, tuple[str, Found]]:
    """For the value that leaves the loop: which layer it is, and of what."""
    for kind in GATES:
        fitting = _pattern_for(graph, loop, kind)
        if fitting:
            pattern, end = fitting
            leaving = _leaving(graph, loop, pattern[end])
            found = _match(pattern, end, graph, leaving, {}) if leaving else None
            if leaving and found:
                return {leaving: (kind, {name: found[name] for name in _order(pattern)})}
    return {}


def _order(pattern: Graph) -> list[str]:
    """The sequence, then the parameters as declared: the inputs of the op."""
    return [n.name for n in pattern if n.op.name == "transpose"][:1] + [n.name for n in pattern if n.op.name == "param"]


def _leaving(graph: Graph, loop: Node, end: Node) -> str | None:
    """The one value of the loop that anything reads: all it yields, or the first part of it."""
    if end.op is scan:
        return loop.name
    readers = [n for n in graph if loop.name in n.inputs]
    return readers[0].name if len(readers) == 1 and loop.name not in graph.outputs.values() else None


def _pattern_for(graph: Graph, loop: Node, kind: str) -> tuple[Graph, str] | None:
    """The library's layer for the sizes of a loop, up to the value in the order of the loop."""
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
def _pattern(kind: str, length: int | str, n: int, units: int, dtype: str) -> tuple[Graph, str]:
    spec, _ = parse(Source("pattern", f"model Pattern {{ input x: [{length}, {n}]  output y = x -> {kind}({units}) }}"))
    definitions = Definitions()
    add_definitions(definitions.own, spec, Scope())
    model, mistakes = elaborate_model(definitions.own["model", "Pattern"], definitions, training=False, dtype=dtype)
    assert not mistakes, mistakes
    graph = rewrite(model.graph, *BEFORE_GRADIENTS)
    (back,) = graph[graph.outputs["output:y"]].inputs
    return graph, back


def _match(pattern: Graph, at: str, graph: Graph, name: str, found: Found) -> Found | None:
    """What the parameters of the pattern are where it fits a value of the graph."""
    ours, theirs = pattern[at], graph[name]
    if at in found:
        return found if found[at] == name else None
    if at in _order(pattern):
        return {**found, at: name} if ours.type.shape == theirs.type.shape else None
    if ours.op is not theirs.op or len(ours.inputs) != len(theirs.inputs) or _attributes(ours) != _attributes(theirs):
        return None
    for mine, other in zip(ours.inputs, theirs.inputs, strict=True):
        matched = _match(pattern, mine, graph, other, found)
        if matched is None:
            return None
        found = matched
    return {**found, at: name}


def _attributes(node: Node) -> list[tuple[str, Any]]:
    return [(k, _canonical(v.body) if isinstance(v, Loop) else v) for k, v in node.attrs]


def _canonical(body: Graph) -> tuple[Any, ...]:
    """A body but for the names and the order of its nodes."""
    number: dict[str, int] = {}
    for output in body.outputs.values():
        _visit(body, output, number)
    nodes = (body[name] for name in number)
    said = tuple((n.name if n.op.is_source else n.op.name, tuple(number[i] for i in n.inputs), n.attrs, n.type) for n in nodes)
    return said, tuple((public, number[n]) for public, n in body.outputs.items())


def _visit(body: Graph, name: str, number: dict[str, int]) -> None:
    """Number what a node needs, and then the node, in the order in which it is read."""
    for source in body[name].inputs:
        if source not in number:
            _visit(body, source, number)
    number.setdefault(name, len(number))
