"""A model in half precision as one in single: whatever it keeps or casts to in sixteen bits is float32."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from nnspec.interchange.nodes import KIND, copy_of, every_graph, kinds

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def is_half(model: onnx.ModelProto) -> bool:
    """Whether anything in it is of sixteen bits."""
    return any(kind in HALVES for kind in kinds(model.graph))


def is_double(model: onnx.ModelProto) -> bool:
    """Whether it keeps numbers in float64, or takes them."""
    taken, kept = (i.type.tensor_type.elem_type for i in model.graph.input), (t.data_type for t in model.graph.initializer)
    return TensorProto.DOUBLE in (*taken, *kept)


def half_inputs(model: onnx.ModelProto) -> set[str]:
    """The inputs that take float16."""
    return {i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.FLOAT16}


def in_single(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, or itself where nothing in it is of sixteen bits."""
    if not is_half(model):
        return model
    made = copy_of(model)
    for graph in every_graph(made.graph):
        for tensor in graph.initializer:
            _widen(tensor)
        for info in (*graph.input, *graph.output, *graph.value_info):
            if info.type.tensor_type.elem_type in HALVES:
                info.type.tensor_type.elem_type = TensorProto.FLOAT
        for a in (a for node in graph.node for a in node.attribute):
            if a.type == AttributeProto.TENSOR:
                _widen(a.t)
            elif a.name == KIND and a.i in HALVES:
                a.i = TensorProto.FLOAT
    return made


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in HALVES:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
