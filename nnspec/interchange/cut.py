"""A model cut at some of its outputs: what they do not need is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx

from nnspec.interchange.nodes import bodies, every_node, refill


def cut_at(content: bytes, outputs: Collection[str]) -> onnx.ModelProto:
    """The part of a model that computes these of its outputs."""
    model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    graph, nodes = model.graph, nodes_for(model, outputs)
    read = {name for node in nodes for name in _read(node)} | set(outputs)
    refill(graph.node, nodes)
    refill(graph.output, (v for v in graph.output if v.name in outputs))
    for field in (graph.input, graph.initializer):
        refill(field, (v for v in field if v.name in read))
    graph.ClearField("value_info")
    return model


def nodes_for(model: onnx.ModelProto, outputs: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that some outputs need, in order."""
    wanted, found = set(outputs), list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output):
            found.append(node)
            wanted.update(_read(node))
    return found[::-1]


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, in the bodies of loops too."""
    yield from node.input
    for body in bodies(node):
        for inner in every_node(body.node):
            yield from inner.input
