"""A model in half precision: half the size, with inputs and outputs as they were.

One with loops has its weights in half precision only, and computes in single: onnxruntime has no kernels for loops in half precision, and
crashes on loops between casts.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGEST = float(np.finfo(np.float16).max)
LOOPS = ("LSTM", "GRU", "RNN", "Scan")
HALF = ".half"


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with its float32 weights, and where it can be its values, as float16."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    nodes = _stored(graph) if any(n.op_type in LOOPS for n in graph.node) else _computed(graph)
    del graph.node[:]
    graph.node.extend(nodes)
    return made


def _stored(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Every weight is cast before it is used."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            casts.append(_cast(tensor.name + HALF, tensor.name, TensorProto.FLOAT))
            tensor.CopyFrom(_half(tensor))
            tensor.name += HALF
    return [*casts, *graph.node]


def _computed(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """What goes in is cast before all else, and what comes out after it."""
    inputs, outputs = ([v.name for v in values if _is_single(v)] for values in (graph.input, graph.output))

    def inner(name: str) -> str:
        return name + HALF if name in (*inputs, *outputs) else name

    for tensor in graph.initializer:
        tensor.CopyFrom(_half(tensor))
        tensor.name = inner(tensor.name)
    for node in graph.node:
        node.input[:] = map(inner, node.input)
        node.output[:] = map(inner, node.output)
        _cast_to_half(node)
    entering = [_cast(name, inner(name), TensorProto.FLOAT16) for name in inputs]
    return [*entering, *graph.node, *(_cast(inner(name), name, TensorProto.FLOAT) for name in outputs)]


def _is_single(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def _cast(name: str, to: str, type: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"{to}.Cast", to=type)


def _cast_to_half(node: onnx.NodeProto) -> None:
    """What a node casts to single precision, it casts to half."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _half(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Numbers beyond the range of half precision become its largest, as -1e9 in a mask does."""
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    array = numpy_helper.to_array(tensor)
    limited = np.where(np.isinf(array), array, np.clip(array, -LARGEST, LARGEST))
    return numpy_helper.from_array(limited.astype(np.float16), tensor.name)
