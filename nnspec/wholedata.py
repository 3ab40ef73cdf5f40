"""Metrics over a whole data set: what every batch gives of them, and what follows once all batches are there."""

from __future__ import annotations

from nnspec.graph import BATCH, Graph, Node
from nnspec.ops import OPS
from nnspec.step import outputs_of

EXAMPLES = "examples"


def split(graph: Graph) -> tuple[Graph, Graph]:
    """The graph without the metrics that compare examples with each other, and those alone.

    The first gives, as `examples:N`, the values of single examples that the second reads: one row each, of any number of batches.
    """
    whole = {public: n for public, n in outputs_of(graph, "metric").items() if not _is_mean(graph, n)}
    read = {name: f"{EXAMPLES}:{number}" for number, name in enumerate(_read(graph, whole))}
    each = graph.only({**{p: n for p, n in graph.outputs.items() if p not in whole}, **{public: n for n, public in read.items()}})

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return new.source(OPS["input"], read[node.name], node.type).name if node.name in read else new.copy_node(node, inputs)

    return each, graph.rebuilt(rule, whole, f"{graph.name} metrics")


def _is_mean(graph: Graph, metric: str) -> bool:
    """Whether a metric is one number, and the mean of what each example gives by itself."""
    gathering = {n for n in graph.needed([metric]) if _gathers(graph, graph[n])}
    return graph[metric].type.rank == 0 and (not gathering or (gathering == {metric} and graph[metric].op is OPS["mean"]))


def _read(graph: Graph, whole: dict[str, str]) -> list[str]:
    """The last values that depend on one example only, on the way to these metrics."""
    needed, late, found = graph.needed(whole.values()), set[str](), dict[str, None]()
    for node in graph:
        if node.name in needed and (_gathers(graph, node) or not late.isdisjoint(node.inputs)):
            late.add(node.name)
            found |= {i: None for i in node.inputs if i not in late and _batched(graph[i])}
    return list(found)


def _gathers(graph: Graph, node: Node) -> bool:
    """Whether it joins what the examples of a batch have given."""
    return node.op is OPS["batch_rank"] or (not _batched(node) and any(_batched(graph[i]) for i in node.inputs))


def _batched(node: Node) -> bool:
    return node.type.shape[:1] == (BATCH,)
