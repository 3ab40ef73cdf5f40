"""A model on 8-bit numbers as one on floats: weights as the numbers that they stand for, values rounded to those that they could have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nnspec.array import Array
from nnspec.interchange.nodes import copy_of, refill
from nnspec.interchange.read import initialisers
from nnspec.interchange.single import is_double, is_half

ROUNDING, MEANING = "QuantizeLinear", "DequantizeLinear"
AXIS = 1


def bits_of(model: onnx.ModelProto) -> int:
    """How many bits the smallest numbers have that a model computes with."""
    return 8 if is_quantized(model) else 16 if is_half(model) else 64 if is_double(model) else 32


def is_quantized(model: onnx.ModelProto) -> bool:
    return any(n.op_type in (ROUNDING, MEANING) for n in model.graph.node)


def dequantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, or itself where nothing is quantized; a node that is left has no constant scale."""
    if not is_quantized(model):
        return model
    made = copy_of(model)
    work = _Work(made.graph, initialisers(made.graph))
    nodes = _without_unread([new for node in made.graph.node for new in work.rewritten(node)])
    refill(made.graph.node, nodes)
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in work.added.items())
    read = {i for n in nodes for i in n.input} | {o.name for o in made.graph.output}
    refill(made.graph.initializer, (t for t in made.graph.initializer if t.name in read))
    return made


def _without_unread(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    read = {i for n in nodes for i in n.input}
    return [n for n in nodes if n.op_type != ROUNDING or n.output[0] in read]


class _Work:
    """The walk over a graph; a pair of rounding and meaning becomes `clip(round(x / scale), low, high) * scale`."""

    def __init__(self, graph: onnx.GraphProto, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self.rounded = {n.output[0]: n for n in graph.node if n.op_type == ROUNDING}
        self.added: dict[str, Array] = {}

    def rewritten(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.op_type != MEANING or not all(i in self.arrays for i in node.input[1:]):
            yield node
        elif node.input[0] in self.arrays:
            self.added[node.output[0]] = self.meant(node)
        elif node.input[0] in self.rounded and self.is_of_one_scale(self.rounded[node.input[0]]):
            yield from self.rounding(node, self.rounded[node.input[0]])
        else:
            yield node

    def is_of_one_scale(self, node: onnx.NodeProto) -> bool:
        return all(i in self.arrays and self.arrays[i].size == 1 for i in node.input[1:])

    def parameters(self, node: onnx.NodeProto) -> tuple[Array, Array]:
        """Scale and zero point."""
        scale = self.arrays[node.input[1]]
        return scale, self.arrays[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale, np.uint8)

    def meant(self, node: onnx.NodeProto) -> Array:
        """What an array stands for; a scale for each element of an axis lies along it."""
        values, (scale, zero) = self.arrays[node.input[0]], self.parameters(node)
        axis = next((a.i for a in node.attribute if a.name == "axis"), AXIS)
        if scale.ndim == 1 and scale.size > 1:
            shape = [-1 if i == axis % values.ndim else 1 for i in range(values.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return np.asarray((values.astype(np.int32) - zero.astype(np.int32)) * scale, np.float32)

    def rounding(self, meaning: onnx.NodeProto, rounding: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        scale, zero = self.parameters(rounding)
        name, limits = meaning.output[0], np.iinfo(zero.dtype)
        constants = {"scale": scale, "low": limits.min - zero.astype(np.float32), "high": limits.max - zero.astype(np.float32)}
        self.added |= {f"{name}.{n}": np.asarray(v, np.float32).reshape(()) for n, v in constants.items()}
        yield helper.make_node("Div", [rounding.input[0], f"{name}.scale"], [f"{name}.steps"], f"{meaning.name}.steps")
        yield helper.make_node("Round", [f"{name}.steps"], [f"{name}.whole"], f"{meaning.name}.whole")
        yield helper.make_node("Clip", [f"{name}.whole", f"{name}.low", f"{name}.high"], [f"{name}.seen"], f"{meaning.name}.seen")
        yield helper.make_node("Mul", [f"{name}.seen", f"{name}.scale"], [name], meaning.name)
