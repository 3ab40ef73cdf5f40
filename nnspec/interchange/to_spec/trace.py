"""The walk over a model: each node by the rule of its operator, what is known ahead of time computed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.graph import Dim, Shape, Size
from nnspec.interchange.names import Names
from nnspec.interchange.narrow import leaving
from nnspec.interchange.nodes import bodies
from nnspec.interchange.read import attributes, domain_of, initialisers, opset_of, states_of
from nnspec.interchange.to_spec import layers, loops, own, pointwise, recurrent, reductions, resizing, shaping, slicing, windows
from nnspec.interchange.to_spec.calls import Call, Place
from nnspec.interchange.to_spec.chance import GENERATOR, drawn_like, draws_of
from nnspec.interchange.to_spec.folding import fold
from nnspec.interchange.to_spec.modules import path_of, word
from nnspec.interchange.to_spec.step import RULES, Read, Step
from nnspec.interchange.to_spec.values import Known, Value, of_example
from nnspec.record import dataclass

TABLES = (layers, own, pointwise, recurrent, reductions, resizing, shaping, slicing, windows)
"""Where the rules stand, which are entered as these are imported."""
KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}


@dataclass(frozen=True)
class Port:
    """An input of the model: what it is called there, its kind of number, and its shape with the batch as the model has it."""

    name: str
    dtype: np.dtype[np.generic]
    shape: Shape
    fixed_batch: int | None


@dataclass(frozen=True)
class Traced:
    """A model as calls of the language: its inputs in their order, and its outputs by name."""

    inputs: dict[str, Call]
    ports: dict[str, Port]
    outputs: dict[str, Call]


def fixed_batch(ports: Mapping[str, Port]) -> int | None:
    """How many examples a model takes, where that is a number."""
    return next((p.fixed_batch for p in ports.values() if p.fixed_batch), None)


def trace(model: onnx.ModelProto) -> Traced:
    """Every node in turn; E530 and E531 name the one that has no form in the language."""
    return _Tracer(model).run()


class _Tracer:
    """The values of one model so far."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.opset = model, opset_of(model)
        self.values: dict[str, Read] = {}
        self.reads = _reads(model.graph)
        self.names, self.draws = Names(), draws_of(model.graph)
        self.leaving = leaving(model)
        self.ports: dict[str, Port] = {}
        self.inputs: dict[str, Call] = {}

    def run(self) -> Traced:
        arrays, states = initialisers(self.model.graph), states_of(self.model)
        for name, array in arrays.items():
            self.values[name] = Known(array, _trained(name, array), fixed=name in states)
        for info in self.model.graph.input:
            if self.draws.drawn and info.name in GENERATOR:
                self.ports[info.name] = Port(info.name, np.dtype(np.int64), (), None)
            elif info.name not in arrays:
                self.input(info)
        self.values |= {name: Known(np.zeros(0)) for name in self.draws.drawn}
        for node in (n for n in self.model.graph.node if n.output[0] not in self.draws.inside):
            self.node(node)
        results = dict(self.results())
        own.refuse_numbers(results.values())
        return Traced(self.inputs, self.ports, results)

    # ---- ports

    def input(self, info: onnx.ValueInfoProto) -> None:
        type = info.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(type.elem_type)) if info.type.HasField("tensor_type") else np.dtype(object)
        if dtype.kind not in KINDS or (dtype.kind == "f" and dtype.itemsize < 4):
            raise fault("E530", f"the input `{info.name}` holds values of the kind {dtype}, which a spec cannot declare")
        if not type.shape.dim:
            raise fault("E531", f"the input `{info.name}` has no batch in front", help="export the model with a batch axis")
        first, *rest = type.shape.dim
        shape = tuple(self.size(info.name, i, d) for i, d in enumerate(rest))
        name = self.names.give(word(info.name) or "x")
        port = Port(info.name, dtype, shape, first.dim_value or None)
        call = Call("input", settings={"name": name}, shape=shape, dtype=KINDS[dtype.kind])
        self.ports[name], self.inputs[name], self.values[info.name] = port, call, of_example(call)

    def size(self, name: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> Dim:
        """A size of an example; one that varies is called what the model calls it."""
        return dim.dim_value or Size.named(word(dim.dim_param) or f"{word(name) or 'x'}_{axis}")

    def results(self) -> Iterator[tuple[str, Call]]:
        for info in self.model.graph.output:
            value = self.values[info.name]
            if isinstance(value, Known):
                raise fault("E530", f"the output `{info.name}` is always the same")
            last = Step(onnx.NodeProto(op_type="output", name=info.name), {}, (value,), self.opset, Place(), (True,), ())
            example = last.explicit()
            if value.batch != 0:
                raise fault(
                    "E531", f"the output `{info.name}` does not have the batch in front", help="a spec speaks of one example at a time"
                )
            yield self.names.give(word(info.name) or "y"), example.call

    # ---- nodes

    def node(self, node: onnx.NodeProto) -> None:
        for name, value in zip(node.output, self.outputs(node), strict=False):
            if name and value is not None:
                leaves = name in self.leaving and isinstance(value, Value) and value.call.dtype == "int"
                self.values[name] = pointwise.wrapped(self.step(node), value, self.leaving[name]) if leaves else value

    def outputs(self, node: onnx.NodeProto) -> Sequence[Read | None]:
        step = self.step(node)
        if node.op_type == "Reshape" and node.input[0] in self.draws.drawn:
            return [drawn_like(step, self.inputs)]
        if node.op_type == "Constant":
            return [_constant(step)]
        found = _sizes(step) if node.op_type in ("Shape", "Size") else None
        if found is not None:
            return [found]
        if node.op_type in loops.RULES and not domain_of(node):
            return loops.RULES[node.op_type](step, self.inside)
        if all(isinstance(i, Known) for i in step.inputs if i is not None) and not self.ends_varying(step):
            known = fold(step, self.model)
            if known is not None:
                return known
            step = replace(step, inputs=tuple(step.made(i) if isinstance(i, Known) and i.spread else i for i in step.inputs))
        translate = None if domain_of(node) else RULES.get(node.op_type)
        if translate is None:
            domain = f" of the domain {domain_of(node)}" if domain_of(node) else ""
            raise step.fault(f"the operator {node.op_type}{domain} has no form in the language")
        result = translate(step, *step.inputs)
        return result if isinstance(result, Sequence) else (result,)

    def inside(self, graph: onnx.GraphProto, given: Mapping[str, Read]) -> list[Read]:
        """The outputs of a graph within a node, which sees all that the node sees."""
        outer = self.values, self.reads
        arrays = {n: Known(a, _trained(n, a)) for n, a in initialisers(graph).items()}
        self.values, self.reads = {**self.values, **arrays, **given}, _reads(graph) + self.reads
        for node in graph.node:
            self.node(node)
        found = [self.values[o.name] for o in graph.output]
        self.values, self.reads = outer
        return found

    @staticmethod
    def ends_varying(step: Step) -> bool:
        """Whether known numbers make something of a size known only at run time, which has a rule."""
        first = step.inputs[0] if step.inputs else None
        if not any(isinstance(i, Known) and i.has_sizes for i in step.inputs) or not isinstance(first, Known):
            return False
        return step.node.op_type == "Range" or (
            step.node.op_type in ("Slice", "Expand") and not first.has_sizes and np.unique(first.array).size > 1
        )

    def step(self, node: onnx.NodeProto) -> Step:
        inputs = tuple(self.read(i) for i in node.input)
        alone = tuple(self.reads[i] == 1 for i in node.input)
        place = Place(node.name or node.output[0], path_of(node, self.reads))
        return Step(
            node,
            attributes(node),
            inputs,
            self.opset,
            place,
            alone,
            tuple(self.reads[o] > 0 for o in node.output),
            tuple(self.inputs.values()),
            fixed_batch(self.ports),
        )

    def read(self, name: str) -> Read | None:
        if not name:
            return None
        if name not in self.values:
            raise fault("E530", f"`{name}` is read and never computed: a graph within a graph has no form in the language")
        return self.values[name]


def _trained(name: str, array: Array) -> str:
    """The name of an array of floats, which is trained; a single number without axes is a constant."""
    return name if array.dtype.kind == "f" and array.ndim else ""


def _reads(graph: onnx.GraphProto) -> Counter[str]:
    """How often each value is read, by the graphs within nodes too."""
    found = Counter([*(i for n in graph.node for i in n.input), *(o.name for o in graph.output)])
    return sum((_reads(body) for n in graph.node for body in bodies(n)), found)


def _constant(step: Step) -> Known:
    [(kind, value)] = step.attributes.items()
    if kind not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        raise step.fault(f"a constant given as `{kind}` has no form in the language")
    array = np.asarray(value)
    return Known(array.astype(np.float32) if kind.startswith("value_float") else array)


def _sizes(step: Step) -> Known | None:
    """The shape of a value, or how many elements it has."""
    x = step.inputs[0]
    if x is None:
        return None
    shape = x.shape if isinstance(x, Value) else x.dims
    if step.node.op_type == "Size":
        total: Dim = 1
        for d in shape:
            total = total * d
        return Known(np.asarray(total, object) if isinstance(total, Size) else np.asarray(total))
    taken = shape[step.attr("start", 0) : step.attr("end", len(shape))]
    array = np.empty(len(taken), object)
    array[:] = taken
    return Known(array if any(isinstance(d, Size) for d in taken) else array.astype(np.int64))
