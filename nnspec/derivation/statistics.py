"""What a normalisation computes on its way: the mean μ, the variance σ², and x̂, which has mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Iterator, Set

from nnspec.graph import Graph, Node

VIEWS = ("reshape", "expand", "transpose")


def statistics(graph: Graph, value: str, inside: Set[str]) -> Iterator[tuple[str, str]]:
    """Letters and nodes of the statistics inside of a formula: of every quotient by the root of a mean."""
    needed = graph.needed([value]) & inside
    for node in [n for n in graph if n.name in needed and n.op.name == "div"]:
        if (variance := _under_root(graph, _seen(graph, node.inputs[1]))) in needed:
            means = [m for m in graph.needed([variance]) & inside if graph[m].op.name == "mean" and m != variance]
            tops = [m for m in graph.nodes if m in means and not _only_averaged(graph, m, needed)]
            yield from (("μ", m) for m in tops)
            yield ("σ²" if tops else "μ", variance)
            if node.name != value:
                yield "x̂", node.name


def _seen(graph: Graph, name: str) -> Node:
    """The node of a value that is only seen otherwise."""
    while graph[name].op.name in VIEWS:
        name = graph[name].inputs[0]
    return graph[name]


def _under_root(graph: Graph, node: Node) -> str:
    """The mean of which, a number perhaps added, a node is the square root."""
    if node.op.name != "sqrt":
        return ""
    inner = _seen(graph, node.inputs[0])
    terms = inner.inputs if inner.op.name == "add" else (inner.name,)
    return next((t.name for t in (_seen(graph, n) for n in terms) if t.op.name == "mean"), "")


def _only_averaged(graph: Graph, mean: str, needed: Set[str]) -> bool:
    """Whether a mean is nothing but the first half of another."""
    return {n.op.name for n in graph if n.name in needed and mean in n.inputs} == {"mean"}
