"""From the graph as trained to the graph as deployed: the same function of its inputs, in as few operations as can be.

In float64 formulas stay formulas: what ONNX has in their place takes some of its numbers as float32, or onnxruntime has it in float32 only.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnspec.array import Array
from nnspec.double import DOUBLE
from nnspec.graph import Graph
from nnspec.interchange.constants import folded
from nnspec.interchange.recurrent import recognised
from nnspec.interchange.shorten import shortened
from nnspec.ops import OPS
from nnspec.rewrite import FOR_EXPORT, rewrite
from nnspec.rewrite.absorb import absorbed, with_bias

PASSES = (
    recognised,
    lambda graph: rewrite(graph, *FOR_EXPORT) if graph.dtype != DOUBLE else graph,
    lambda graph: absorbed(graph, once=True),
    with_bias,
    shortened,
    lambda graph: rewrite(graph, "algebra"),
)


def simplified(graph: Graph, weights: Mapping[str, Array]) -> tuple[Graph, dict[str, Array]]:
    """The graph to write, and the weights in it; one that trains is for changing its weights, and keeps them as they are."""
    if any(n.role in ("backward", "update") for n in graph):
        return recognised(graph), dict(weights)
    simple = graph
    for better in PASSES:
        simple = better(simple)
    simple, weights = folded(simple, weights)
    return with_inputs_of(graph, simple), weights


def with_inputs_of(graph: Graph, other: Graph) -> Graph:
    """The other graph with all inputs of the first, though nothing may read them but sizes."""
    for node in graph:
        if node.op is OPS["input"]:
            other.source(node.op, node.name, node.type)
    return other
