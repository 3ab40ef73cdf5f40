"""A model in half precision: half the size, with inputs and outputs as they were.

What is done to inputs before the first product with weights stays in single: raw values are large, and what standardizes them is small.

A model with loops has its weights in half precision only, and computes in single: onnxruntime has no kernels for loops in half
precision, and crashes on loops between casts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nnspec.interchange.nodes import copy_of, refill
from nnspec.record import dataclass

LARGEST = float(np.finfo(np.float16).max)
LOOPS = ("LSTM", "GRU", "RNN", "Scan")
HALF = ".half"
PLAIN = frozenset((
    "Abs", "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Clip", "Concat", "Cos", "Div", "Equal",
    "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "Pow", "Range", "Reciprocal", "ReduceProd", "Reshape",
    "Round", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    "Where", "Xor",
))  # fmt: skip
"""Ops that do something to each number by itself, or only move it; what draws random numbers is made of them, too."""


@dataclass(frozen=True)
class Prepared:
    """What is done to inputs first: the outputs of its nodes, its float32 values with the inputs, and the weights that it reads."""

    outputs: frozenset[str]
    values: frozenset[str]
    weights: frozenset[str]


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with its float32 weights, and where it can be its values, as float16."""
    made = copy_of(model)
    graph, prepared = made.graph, _prepared(onnx.shape_inference.infer_shapes(model).graph)
    nodes = (_stored if any(n.op_type in LOOPS for n in graph.node) else _computed)(graph, prepared)
    refill(graph.node, nodes)
    return made


def halves(model: onnx.ModelProto) -> dict[str, str]:
    """The values that nodes of a halved model make in half precision, and what they are in the model before."""
    infos = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {v.name: v.name.removesuffix(HALF) for v in infos if v.type.tensor_type.elem_type == TensorProto.FLOAT16}


def showing(model: onnx.ModelProto, values: Iterable[str], *, half: bool) -> onnx.ModelProto:
    """The model with more of its values as outputs."""
    made = copy_of(model)
    known, type = {v.name for v in model.graph.output}, TensorProto.FLOAT16 if half else TensorProto.FLOAT
    made.graph.output.extend(helper.make_tensor_value_info(v, type, None) for v in values if v not in known)
    return made


def _prepared(graph: onnx.GraphProto) -> Prepared:
    weights, known = {t.name: t.data_type for t in graph.initializer}, {v.name for v in graph.input}
    singles = {v.name for v in (*graph.input, *graph.value_info, *graph.output) if _is_single(v)}
    first = []
    for node in graph.node:
        given = {i for i in node.input if i} - weights.keys()
        of_weights = TensorProto.FLOAT in map(weights.get, node.input) and not given & singles
        if node.op_type in PLAIN and given and given <= known and not of_weights:
            first.append(node)
            known.update(node.output)
    read = {i for n in first for i in n.input}
    return Prepared(frozenset(o for n in first for o in n.output), frozenset(singles & known), frozenset(read & weights.keys()))


def _stored(graph: onnx.GraphProto, prepared: Prepared) -> list[onnx.NodeProto]:
    """Every weight is cast before it is used."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in prepared.weights:
            casts.append(_cast(tensor.name + HALF, tensor.name, TensorProto.FLOAT))
            tensor.CopyFrom(_half(tensor))
            tensor.name += HALF
    return [*casts, *graph.node]


def _computed(graph: onnx.GraphProto, prepared: Prepared) -> list[onnx.NodeProto]:
    """What is prepared is cast before all else, and what comes out after it."""
    first, rest = [n for n in graph.node if n.output[0] in prepared.outputs], [n for n in graph.node if n.output[0] not in prepared.outputs]
    read = {i for n in rest for i in n.input}
    entering = sorted(read & prepared.values)
    leaving = [v.name for v in graph.output if _is_single(v) and v.name not in prepared.values]
    both = [t for t in graph.initializer if t.name in prepared.weights & read and t.data_type == TensorProto.FLOAT]
    halves = {name: name + HALF for name in (*entering, *leaving, *(t.name for t in both))}
    for tensor in graph.initializer:
        if tensor.name not in prepared.weights:
            tensor.CopyFrom(_half(tensor))
    for tensor in both:
        again = graph.initializer.add()
        again.CopyFrom(_half(tensor))
        again.name = halves[tensor.name]
    for node in rest:
        node.input[:] = [halves.get(name, name) for name in node.input]
        node.output[:] = [halves.get(name, name) for name in node.output]
        _cast_to_half(node)
    casts = [_cast(name, halves[name], TensorProto.FLOAT16) for name in entering]
    return [*first, *casts, *rest, *(_cast(halves[name], name, TensorProto.FLOAT) for name in leaving)]


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
