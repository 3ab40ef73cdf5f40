"""What a model is made of, through all the graphs that its nodes run: graphs, nodes, tensors and kinds of number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

KIND = "to"
"""The attribute of a cast that says to what."""


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model to be changed in the place of another."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def refill(field: Any, values: Iterable[Any]) -> None:
    """Let a repeated field hold these values, perhaps some of its own, in place of what it holds."""
    kept = list(values)
    del field[:]
    field.extend(kept)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node runs: the body of a loop, or the branches of a choice."""
    for a in node.attribute:
        yield from (a.g, *a.graphs) if a.type in (a.GRAPH, a.GRAPHS) else ()


def every_graph(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those within it."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from every_graph(body)


def every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """These nodes and those within them."""
    for node in nodes:
        yield node
        for body in bodies(node):
            yield from every_node(body.node)


def every_tensor(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The tensors that are written in a graph, and in those within it."""
    for inner in every_graph(graph):
        yield from inner.initializer
        for a in (a for node in inner.node for a in node.attribute):
            yield from (a.t, *a.tensors) if a.type in (a.TENSOR, a.TENSORS) else ()


def kinds(graph: onnx.GraphProto) -> Iterator[int]:
    """The kinds of number, as ONNX counts them, that a graph and those within it take, keep and cast to."""
    for inner in every_graph(graph):
        yield from (i.type.tensor_type.elem_type for i in inner.input)
        yield from (a.i for node in inner.node for a in node.attribute if a.name == KIND)
    yield from (t.data_type for t in every_tensor(graph))
