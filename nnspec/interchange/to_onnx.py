"""A graph as an ONNX model: a walk over its nodes, each written by the `onnx` facet of its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.graph import Graph, Node, Size, Type
from nnspec.interchange.lowering import Forms, Lowering, onnx_type
from nnspec.interchange.masked import MASKED
from nnspec.interchange.names import name_all
from nnspec.interchange.read import PRODUCER

Model = onnx.ModelProto
Store = Callable[[Array, str], onnx.TensorProto]
"""What makes a tensor of a model out of an array and a name."""
DEFAULT_OPSET = 21
OPSETS = range(17, 27)


def to_onnx(
    graph: Graph,
    weights: Mapping[str, Array] | None,
    *,
    sizes: Mapping[str, int] | None = None,
    forms: Forms | None = None,
    metadata: Mapping[str, str] = {},
    opset: int = DEFAULT_OPSET,
    store: Store = numpy_helper.from_array,
) -> onnx.ModelProto:
    """The model of a graph; `weights` has a value for every parameter and state in it. Without weights those are inputs too.

    Outputs are in the order of `graph.outputs`, without the prefix `output:` in their names. With `sizes` nothing is left to run time,
    which some `forms` need that are written instead of the ops' own.
    """
    if opset not in OPSETS:
        raise fault("E505", f"opset {opset} is not supported", help=f"use one from {OPSETS[0]} to {OPSETS[-1]}")
    lowered = Lowering(graph, opset, sizes, {**MASKED, **(forms or {})}, weights)
    for node in sorted(graph, key=lambda n: not n.op.is_source):  # sizes are read off any input, so all of those come first
        lowered.lower(node)
    outputs = name_all(lowered)
    return _model(_graph_proto(lowered, outputs, weights, store), metadata, opset)


def _model(graph: onnx.GraphProto, metadata: Mapping[str, str], opset: int) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name=PRODUCER)
    helper.set_model_props(model, dict(metadata))
    return model


def _graph_proto(lowered: Lowering, outputs: list[str], weights: Mapping[str, Array] | None, store: Store) -> onnx.GraphProto:
    graph = lowered.graph
    nodes = [graph[n] for n in graph.outputs.values()]
    fixed = [n for n in graph if n.op.name in ("param", "state")] if weights is not None else []
    read = {*_read(lowered.written), *outputs}
    return helper.make_graph(
        lowered.written,
        graph.name,
        inputs=[_value_info(n.name, lowered.bound(n.type)) for n in graph if n.op.is_source and n not in fixed],
        outputs=[_value_info(name, lowered.bound(n.type)) for name, n in zip(outputs, nodes, strict=True)],
        initializer=[
            *(store(_weight(n, weights or {}), n.name) for n in fixed),
            *(store(array, name) for name, array in lowered.constants.items() if name in read),
        ],
    )


def _read(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """The names that nodes read, those in their bodies too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _read(attribute.g.node)


def _value_info(name: str, type: Type) -> onnx.ValueInfoProto:
    dims: list[Any] = [str(d) if isinstance(d, Size) else d for d in type.shape]
    return helper.make_tensor_value_info(name, onnx_type(type.dtype), dims)


def _weight(node: Node, weights: Mapping[str, Array]) -> Array:
    if node.name not in weights:
        raise fault("E505", f"there is no value for `{node.name}`", node.span)
    array = np.ascontiguousarray(weights[node.name], node.type.dtype)
    if np.shape(weights[node.name]) != node.type.shape:
        raise fault("E505", f"`{node.name}` is {node.type}, its value has the shape {list(array.shape)}", node.span)
    return array.reshape(node.type.shape)
