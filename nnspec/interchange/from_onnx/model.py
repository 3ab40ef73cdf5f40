"""A whole model: its inputs, its arrays, its nodes and its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from nnspec.array import Array
from nnspec.diagnostics import Span, fault
from nnspec.elaborate.answers import Answer, Continuation
from nnspec.graph import Graph, Type
from nnspec.interchange.dequantized import dequantized
from nnspec.interchange.from_onnx.builder import Builder
from nnspec.interchange.from_onnx.ports import Sizes, inputs_of
from nnspec.interchange.read import answers_of, continuations_of, labels_of, means_of
from nnspec.interchange.single import in_single
from nnspec.record import dataclass


@dataclass(frozen=True, eq=False)
class Step:
    """One node of a model: its first output and the node of ours that this is, its place in the listing, what it became, and the arrays it
    reads.
    """

    output: str
    value: str
    span: Span
    nodes: tuple[str, ...]
    arrays: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Imported:
    """A model as a graph, with the arrays of its parameters and states, and what it says of class numbers, outputs and missing values."""

    name: str
    graph: Graph
    inputs: dict[str, Type]
    weights: dict[str, Array]
    steps: tuple[Step, ...]
    labels: dict[str, list[str]]
    answers: dict[str, Answer]
    means: dict[str, Any]
    continuations: dict[str, Continuation]


def import_graph(
    model: onnx.ModelProto, *, name: str = "model.onnx", dtype: str | None = None, constants: Mapping[str, Any] | None = None
) -> Imported:
    """The graph of a checked model; `constants` are values for inputs that are to be known, such as shapes.

    Floats are of the kind `dtype`, or without one of the kind that the file has; what has sixteen or eight bits is float32.
    """
    given, model = dict(constants or {}), in_single(dequantized(model))
    ports = [i for i in inputs_of(model.graph) if i.name not in given]
    b = Builder(model, name, dtype or _dtype(model), exact=dtype is None)
    inputs, sizes, labels = {}, Sizes(ports), labels_of(model)
    for port in ports:
        kind, shape = b.dtype(port.type.tensor_type.elem_type, port.name), sizes.shape(port)
        inputs[port.name] = Type(kind, shape, len(labels[port.name]) if port.name in labels and kind == "int64" else None)
        b.input(port.name, inputs[port.name])
    b.take_arrays()
    for constant, value in given.items():
        values = np.asarray(value)
        b.frame.values[constant] = b.constant(values, b.dtype(values.dtype, constant))
    b.read()
    for output in model.graph.output:
        var = b.value(output.name, b.frame)
        assert var is not None
        b.graph.outputs[f"output:{output.name}"] = var.name
    if not model.graph.output:
        raise fault("E520", f"`{name}` has no output")
    graph = b.graph.only(b.graph.outputs)
    weights = {n: w for n, w in b.weights.items() if n in graph.nodes}
    said = (labels, answers_of(model), means_of(model), continuations_of(model))
    return Imported(model.graph.name, graph, inputs, weights, _steps(b, graph), *said)


def _steps(b: Builder, graph: Graph) -> tuple[Step, ...]:
    """The nodes of the model of which anything is left."""
    found = []
    for node, span, added in b.steps:
        output = "".join(node.output[:1])
        value = b.frame.values.get(output)
        if value is not None and value.name in graph.nodes:
            arrays = tuple(i for i in node.input if i in b.weights and i in graph.nodes)  # others were used up in reading
            found.append(Step(output, value.name, span, tuple(n for n in added if n in graph.nodes), arrays))
    return tuple(found)


def _dtype(model: onnx.ModelProto) -> str:
    """The kind of float that a model computes with."""
    kinds = {i.type.tensor_type.elem_type for i in model.graph.input} | {t.data_type for t in model.graph.initializer}
    double = onnx.TensorProto.DOUBLE in kinds and onnx.TensorProto.FLOAT not in kinds
    return "float64" if double else "float32"
