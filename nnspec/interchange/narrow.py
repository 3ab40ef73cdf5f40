"""Whole numbers of few bits in a model: which results may be beyond what their kind holds, so that a part of them is cut off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import defs

from nnspec.graph.types import MAX_DIMENSION
from nnspec.interchange.nodes import bodies, kinds
from nnspec.interchange.read import attributes, domain_of, initialisers, opset_of
from nnspec.record import dataclass

NARROW = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
Range = tuple[float, float]
MALFORMED = (LookupError, TypeError, ValueError)
ANY: Range = (-math.inf, math.inf)
COUNTED: Range = (0, MAX_DIMENSION)
TRUTH: Range = (0, 1)

CHOOSING = {
    "ArrayFeatureExtractor", "Clip", "Compress", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements",
    "GatherND", "Identity", "Max", "MaxPool", "Min", "OneHot", "Pad", "Range", "ReduceMax", "ReduceMin", "Relu", "Reshape",
    "ReverseSequence", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample",
    "Where",
}  # fmt: skip
"""Each number that they give is one that they are given, or 0."""
KEEPING = {"Div", "DynamicQuantizeLinear", "Mod", "QuantizeLinear", "Sign"}
"""What they give is of their kind: it is smaller than what they are given, or saturates."""
COUNTING = {"ArgMax", "ArgMin", "NonZero", "Shape", "Size"}


@dataclass(frozen=True)
class Kind:
    """The elements of a value: what they are called in NumPy, and between which numbers they are as far as that is known."""

    dtype: str
    range: Range = ANY


UNKNOWN = Kind("")


def limits(dtype: str) -> Range:
    """The smallest and the largest number of a kind of few bits."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def leaving(model: onnx.ModelProto) -> dict[str, str]:
    """By the name of a value the kind of few bits that it has, where its node may compute what that kind does not hold.

    Inputs of 64 bits are taken as the numbers of something, which 32 hold.
    """
    return _Walk(opset_of(model)).leaving_of(model.graph) if any(_name(kind) in NARROW for kind in kinds(model.graph)) else {}


def _name(element: int) -> str:
    """What NumPy calls an element type of ONNX; nothing for those that are no numbers."""
    known = element in onnx.TensorProto.DataType.values() and element not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
    return onnx.helper.tensor_dtype_to_np_dtype(element).name if known else ""


class _Walk:
    """The kinds of the values of a graph, node by node."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.kinds: dict[str, Kind] = {}
        self.found: dict[str, str] = {}

    def leaving_of(self, graph: onnx.GraphProto) -> dict[str, str]:
        for info in graph.input:
            dtype = _name(info.type.tensor_type.elem_type)
            self.kinds[info.name] = Kind(dtype, limits("int32" if dtype == "int64" else dtype) if dtype in (*NARROW, "int64") else ANY)
        self.kinds |= {name: _of_array(values) for name, values in initialisers(graph).items()}
        for node in graph.node:
            self.node(node)
        return self.found

    def node(self, node: onnx.NodeProto) -> None:
        settings = attributes(node)
        for body in bodies(node):
            self.leaving_of(body)
        for number, name in enumerate(node.output):
            try:
                found = self.output(node, settings, number)
            except MALFORMED:  # refused where it is read
                found = UNKNOWN
            if found.dtype not in NARROW:
                self.kinds[name] = found
                continue
            low, high = limits(found.dtype)
            if not low <= found.range[0] <= found.range[1] <= high:
                self.found[name] = found.dtype
                found = Kind(found.dtype, (low, high))
            self.kinds[name] = found

    def output(self, node: onnx.NodeProto, settings: Mapping[str, Any], number: int) -> Kind:
        """What an output is before it is cut to its kind."""
        op, given = node.op_type, [self.kinds.get(i, UNKNOWN) for i in node.input]
        match op:
            case "Constant" | "ConstantOfShape":
                return _of_array(np.asarray(next(iter(settings.values()), np.float32(0))))
            case "If" | "Loop" | "Scan":
                return self.of_body(node, number)
            case "Cast":
                return _cast(given[0], _name(settings["to"]))
        if domain_of(node) or not defs.has(op, self.opset):
            return UNKNOWN
        schema = defs.get_schema(op, self.opset)
        kind = schema.outputs[min(number, len(schema.outputs) - 1)].type_str
        alike = [k for i, k in enumerate(given) if schema.inputs[min(i, len(schema.inputs) - 1)].type_str == kind and node.input[i]]
        if op == "CastLike":
            return _cast(given[0], alike[0].dtype)
        if alike and not (op in KEEPING and alike[0].dtype in NARROW):
            return Kind(alike[0].dtype, _range(op, [k.range for k in alike]))
        allowed = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == kind), [kind])
        dtype = alike[0].dtype if alike else allowed[0].removeprefix("tensor(").removesuffix(")") if len(allowed) == 1 else ""
        return Kind(dtype, limits(dtype) if op in KEEPING else COUNTED if op in COUNTING or number else ANY)

    def of_body(self, node: onnx.NodeProto, number: int) -> Kind:
        """What graphs within a node give is cut there."""
        body = next(bodies(node))
        at = number + (node.op_type == "Loop")
        dtype = self.kinds.get(body.output[at].name, UNKNOWN).dtype if at < len(body.output) else ""
        return Kind(dtype, limits(dtype) if dtype in NARROW else ANY)


def _of_array(values: np.ndarray[Any, Any]) -> Kind:
    whole = values.dtype.kind in "iub" and values.size
    return Kind(values.dtype.name, (int(values.min()), int(values.max())) if whole else ANY)


def _cast(x: Kind, dtype: str) -> Kind:
    """As numbers of another kind; beyond 32 bits ONNX does not say what becomes of a fraction, and nothing holds it exactly."""
    if x.dtype.startswith("float") and dtype in ("int32", "uint32"):
        return Kind(dtype, limits(dtype))
    return Kind(dtype, TRUTH if x.dtype == "bool" else x.range)


def _range(op: str, given: Sequence[Range]) -> Range:
    """Between which numbers an operator gives what it makes of inputs of its own kind."""
    (low, high), *others = given
    match op:
        case "Neg":
            return -high, -low
        case "Abs":
            return 0, max(-low, high)
        case "ReduceSum" | "CumSum":
            return min(low * MAX_DIMENSION, low), max(high * MAX_DIMENSION, high)
        case "Add" | "Sum":
            return sum(x[0] for x in given), sum(x[1] for x in given)
        case "Sub":
            return low - others[0][1], high - others[0][0]
        case "Mul":
            corners = [0 if 0 in (a, b) else a * b for a in given[0] for b in given[1]]
            return min(corners), max(corners)
    return (min(0, *(x[0] for x in given)), max(0, *(x[1] for x in given))) if op in CHOOSING else ANY
