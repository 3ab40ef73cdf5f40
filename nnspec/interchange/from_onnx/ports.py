"""Inputs of a model as types: which of their sizes are known, which is the batch, and what their elements are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from nnspec.diagnostics import fault
from nnspec.graph import BATCH, Dim, Size
from nnspec.graph.types import BATCH_NAME

NO_NUMBERS = (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
# Whole numbers are computed with as int64, whatever room they have in the file.
KINDS = {
    "float32": "float32",
    "float64": "float64",
    "bool": "bool",
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "int64"),
}


def dtype_of(element: Any) -> str | None:
    """Our kind of number for an element type of NumPy's or, by its number, of ONNX's."""
    if isinstance(element, int):
        known = onnx.TensorProto.DataType.values()
        element = onnx.helper.tensor_dtype_to_np_dtype(element) if element in known and element not in NO_NUMBERS else np.dtype(object)
    return KINDS.get(np.dtype(element).name)


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that have to be fed: old files list their weights among them."""
    brought = {t.name for t in graph.initializer}
    return [i for i in graph.input if i.name not in brought]


class Sizes:
    """The sizes of inputs by what the file calls them: the first one that leads an input is the batch."""

    def __init__(self, inputs: list[onnx.ValueInfoProto]) -> None:
        self.named: dict[str, Dim] = {}
        for leading in (shape[0] for i in inputs if (shape := list(_dims(i)))):
            if isinstance(leading, str) and not self.named:
                self.named[leading] = BATCH

    def shape(self, port: onnx.ValueInfoProto) -> tuple[Dim, ...]:
        kind = port.type.WhichOneof("value")
        if kind != "tensor_type" or not port.type.tensor_type.HasField("shape"):
            what = "a tensor of any shape" if kind == "tensor_type" else f"no tensor but a {str(kind).removesuffix('_type')}"
            raise fault("E522", f"the input `{port.name}` is {what}", help="give its shape in the file")
        return tuple(d if isinstance(d, int) else self._size(d, axis, port.name) for axis, d in enumerate(_dims(port)))

    def _size(self, name: str, axis: int, port: str) -> Dim:
        if not name and axis == 0:
            return BATCH
        if name not in self.named:
            word = _word(name or f"{port}_{axis}")
            size = Size.named(word if word != BATCH_NAME else f"{word}_{axis}")
            if not name:
                return size
            self.named[name] = size
        return self.named[name]


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _dims(port: onnx.ValueInfoProto) -> Iterator[int | str]:
    """The dimensions of an input: a number, a name, or an empty name."""
    for dim in port.type.tensor_type.shape.dim:
        yield dim.dim_value if dim.HasField("dim_value") else dim.dim_param
