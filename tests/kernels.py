"""What the oldest onnxruntime that models are for can compute: `onnxruntime-1.19.2.json` is what it says of itself.

Made by `get_all_opkernel_def` of its `onnxruntime_pybind11_state`: by op, the opsets that a kernel is for, and the kinds of numbers it
takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from pathlib import Path

import onnx
from onnx.helper import tensor_dtype_to_np_dtype

KERNELS = json.loads(Path(__file__).with_name("onnxruntime-1.19.2.json").read_text("utf-8"))


def without_kernel(model: onnx.ModelProto) -> set[str]:
    """The nodes it has nothing for, each as its op and the kinds of numbers it is to compute with."""
    graph, opset = onnx.shape_inference.infer_shapes(model).graph, model.opset_import[0].version
    return set(_strangers(graph, {}, opset))


def _strangers(graph: onnx.GraphProto, outer: Mapping[str, str], opset: int) -> Iterator[str]:
    named = {v.name: _kind(v.type.tensor_type.elem_type) for v in (*graph.input, *graph.value_info, *graph.output)}
    kinds = {**outer, **{i.name: _kind(i.data_type) for i in graph.initializer}, **named}
    for node in graph.node:
        schema = onnx.defs.get_schema(node.op_type, opset)
        types = dict(_types(schema.inputs, node.input, kinds))
        if not any(_takes(kernel, schema.since_version, types) for kernel in KERNELS.get(node.op_type, ())):
            yield f"{node.op_type} {types}"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _strangers(attribute.g, kinds, opset)


def _types(formal: list[onnx.defs.OpSchema.FormalParameter], names: list[str], kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The kind of each input by what the op and its kernels call it; those of a loop may be all sorts."""
    for parameter, name in zip(chain(formal, repeat(formal[-1])) if formal else (), names, strict=False):
        if name and parameter.is_homogeneous:
            yield parameter.type_str, kinds[name]


def _takes(kernel: tuple[int, int, Mapping[str, list[str]]], version: int, types: Mapping[str, str]) -> bool:
    first, last, constraints = kernel
    return first <= version <= last and all(kind in constraints.get(name, [kind]) for name, kind in types.items())


def _kind(number: int) -> str:
    return str(tensor_dtype_to_np_dtype(number))
