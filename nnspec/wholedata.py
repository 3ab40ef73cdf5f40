"""Metrics over a whole data set: what every batch gives of them, and what follows once all batches are there."""

from __future__ import annotations

from nnspec.double import in_double
from nnspec.graph import BATCH, Graph, Node, outputs_of
from nnspec.ops import OPS

EXAMPLES = "examples"


def split(graph: Graph) -> tuple[Graph, Graph]:
    """The graph without the metrics that compare examples with each other, and those alone.

    The first gives, as `examples:N`, the values of single examples that the second reads: one row each, of any number of batches. The
    second is in float64: sums over that many rows lose in float32 what tells them apart.
    """
    whole = {public: n for public, n in outputs_of(graph, "metric").items() if not _is_mean(graph, n)}
    read = {name: f"{EXAMPLES}:{number}" for number, name in enumerate(_read(graph, whole))}
    each = graph.only({**{p: n for p, n in graph.outputs.items() if p not in whole}, **{public: n for n, public in read.items()}})
    return each, in_double(graph, f"{graph.name} metrics", whole, read)


def _is_mean(graph: Graph, metric: str) -> bool:
    """Whether a metric is one number, and the mean of what each example gives by itself."""
    gathering = {n for n in graph.needed([metric]) if _gathers(graph, graph[n])}
    return graph[metric].type.rank == 0 and (not gathering or (gathering == {metric} and graph[metric].op is OPS["mean"]))


def _read(graph: Graph, whole: dict[str, str]) -> list[str]:
    """The last values with a row for each example that depend on that one only, on the way to these metrics."""
    needed, late = graph.needed(whole.values()), set[str]()
    nodes = [n for n in graph if n.name in needed]
    for node in nodes:
        if _gathers(graph, node) or not late.isdisjoint(node.inputs):
            late.add(node.name)
    for node in reversed(nodes):  # what has the batch elsewhere than in front is made again from what has it there
        if node.name in late:
            late |= {i for i in node.inputs if graph[i].type.has_batch and graph[i].type.shape[:1] != (BATCH,)}
    read = (i for n in nodes if n.name in late for i in n.inputs)
    return list(dict.fromkeys(i for i in read if i not in late and graph[i].type.has_batch))


def _gathers(graph: Graph, node: Node) -> bool:
    """Whether it joins what the examples of a batch have given."""
    if not node.type.has_batch:
        return any(graph[i].type.has_batch for i in node.inputs)
    return node.op is OPS["rank_of"] and node.attributes["axis"] == 0
