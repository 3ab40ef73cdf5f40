"""What the `onnx` facet of a row writes with: `o.node("Add", x, y)` adds a node and gives the name of its value.

Names of values are provisional (`%7`) until the whole graph is there; `nnspec.interchange.names` then gives them readable ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.double import DOUBLE
from nnspec.graph import Dim, Graph, Node, Shape, Size, Type
from nnspec.graph.loop import BoundLoop, Loop
from nnspec.graph.types import bind
from nnspec.interchange.double_forms import IN_DOUBLE
from nnspec.interchange.whole import OF_WHOLE, WHOLE
from nnspec.ops.loop import parts
from nnspec.record import dataclass

Forms = Mapping[str, Callable[..., str]]
PRODUCTS = ("Gemm", "MatMul")
OWN: Mapping[str, Forms] = {DOUBLE: IN_DOUBLE, WHOLE: OF_WHOLE}


def onnx_type(dtype: str) -> int:
    """The number ONNX gives an element type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@dataclass(frozen=True)
class Origin:
    """The node that a value was written for, and what of it the value is when it is not all."""

    node: Node
    part: str


class Lowering:
    """ONNX nodes and constants of one graph; equal ones are written once. Given numbers for them, it has no sizes that vary.

    `forms` are written instead of the facets of the ops they are named after, and those of `OWN` for some kinds of numbers; `weights` are
    what parameters and states are known to be.
    """

    def __init__(
        self,
        graph: Graph,
        opset: int,
        sizes: Mapping[str, int] | None = None,
        forms: Forms | None = None,
        weights: Mapping[str, Array] | None = None,
        outer: Lowering | None = None,
    ) -> None:
        self.graph, self.opset, self.sizes, self.forms, self.outer = graph, opset, sizes, forms or {}, outer
        self.weights = weights or {}
        self.written: list[onnx.NodeProto] = []
        self.values: dict[str, str] = {}
        self.yielded: dict[str, dict[Dim, str]] = {}
        self.constants: dict[str, Array] = outer.constants if outer else {}
        self.origins: dict[str, Origin] = outer.origins if outer else {}
        self._types: dict[str, Type] = {}
        self._known: dict[object, tuple[str, ...]] = {}
        self._multiplied: set[str] = set()
        self._node: Node | None = None

    def lower(self, node: Node) -> None:
        """Write one node of the graph."""
        self._node = node
        facet, inputs = self._facet(node), [self.values[i] for i in node.inputs]
        if node.op.is_source:
            value = self.values.get(node.name) or self._value(node.op.name)
        elif facet is None:
            raise fault("E505", f"`{node.op.name}` has no ONNX form: {node.op.why}", node.span)
        else:
            attributes = {key: bind(value, self.sizes) if self.sizes else value for key, value in node.attrs}
            value = self.node(facet, *inputs) if isinstance(facet, str) else facet(self, *inputs, **attributes)
        self.values[node.name] = value
        self._types.setdefault(value, self.bound(node.type))

    def _facet(self, node: Node) -> str | Callable[..., str] | None:
        own = OWN.get(node.type.dtype, {}).get(node.op.name, node.op.onnx)
        return self.forms.get(node.op.name, own)

    def bound(self, type: Type) -> Type:
        return type.bound(self.sizes) if self.sizes else type

    def type(self, x: str) -> Type:
        """The type of a value of the graph; the facet's own values have none."""
        return self._types[x]

    def like(self, x: str, value: str) -> str:
        """A value that a facet wrote, of the type of another."""
        self._types[value] = self._types[x]
        return value

    # ---- nodes

    def node(self, op_type: str, *inputs: str, **attrs: Any) -> str:
        return self.nodes(op_type, 1, *inputs, **attrs)[0]

    def nodes(self, op_type: str, outputs: int, *inputs: str, **attrs: Any) -> tuple[str, ...]:
        """The values of an ONNX op with several outputs."""
        written = helper.make_node(op_type, inputs, (), **attrs)
        # By its bytes: what is printed of a body or a tensor leaves out what is in it.
        key = (outputs, written.SerializeToString(deterministic=True))
        if key not in self._known:
            self._check_age(op_type)
            self._known[key] = tuple(self._value(op_type) for _ in range(outputs))
            written.output.extend(self._known[key])
            written.doc_string = self.doc(self._node)
            self.written.append(written)
            self._multiplied.update(inputs if op_type in PRODUCTS else ())
        return self._known[key]

    def _check_age(self, op_type: str) -> None:
        assert self._node
        if not onnx.defs.has(op_type, self.opset):
            help_ = f"use opset {onnx.defs.get_schema(op_type).since_version} or a newer one"
            raise fault(
                "E505", f"`{self._node.op.name}` needs {op_type}, which opset {self.opset} does not have", self._node.span, help=help_
            )

    @staticmethod
    def doc(node: Node | None) -> str:
        """Where the user wrote it, as `file:line:col`."""
        return node.span.place if node and node.span else ""

    def _value(self, part: str) -> str:
        assert self._node
        name = f"%{len(self.origins)}"
        self.origins[name] = Origin(self._node, part)
        return name

    def constant(self, value: Any, dtype: str) -> str:
        if self.outer:
            return self.outer.constant(value, dtype)
        array = np.asarray(value, dtype)
        key = (dtype, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = (self._value("constant"),)
            self.constants[self._known[key][0]] = array
        return self._known[key][0]

    def known(self, x: str) -> Array | None:
        """The numbers of a constant."""
        return self.outer.known(x) if self.outer else self.constants.get(x)

    def ints(self, values: tuple[int, ...]) -> str:
        return self.constant(values, "int64")

    def zero(self, x: str) -> str:
        return self.constant(0, self.type(x).dtype)

    def cast(self, x: str, dtype: str) -> str:
        return self.node("Cast", x, to=onnx_type(dtype))

    def quotient(self, x: str, y: str) -> str:
        """x / y; onnxruntime joins a Div of 1 with the product that reads it, and loses a value where both factors are such."""
        one = self.known(x)
        return self.node("Reciprocal", y) if one is not None and one.shape == () and one == 1 else self.node("Div", x, y)

    def squeeze(self, x: str, axis: int) -> str:
        return self.node("Squeeze", x, self.ints((axis,)))

    def unsqueeze(self, x: str, axis: int) -> str:
        return self.node("Unsqueeze", x, self.ints((axis,)))

    def view(self, x: str) -> str:
        """The same value, seen another way and back: no optimisation joins what gives it with what reads it."""
        return self.squeeze(self.unsqueeze(x, 0), 0)

    def apart(self, x: str, *ops: str) -> str:
        """The same value, through a view where one of these ops gives it."""
        return self.view(x) if self.origins[x].part in ops else x

    def channels(self, x: str, start: int, count: int) -> str:
        """Part of axis 1."""
        return self.along(x, 1, start, start + count)

    def along(self, x: str, axis: int, start: int, end: int) -> str:
        """A stretch of an axis."""
        return self.node("Slice", x, self.ints((start,)), self.ints((end,)), self.ints((axis,)))

    def output(self, name: str) -> str:
        """The value of a node as an output. Of two Transposes that a product reads, onnxruntime removes both, though one is an output."""
        self._node, value = self.graph[name], self.values[name]
        return self.apart(value, "Transpose") if value in self._multiplied else value

    # ---- shapes

    def shape(self, dims: Shape) -> str:
        """A shape as a vector, though some of its sizes may be known only at run time."""
        if not any(isinstance(d, Size) for d in dims):
            return self.ints(dims)  # type: ignore[arg-type]  # all are numbers
        parts = [self._length(d) for d in dims]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def size(self, dim: Dim) -> str:
        return self.squeeze(self._length(dim), 0) if isinstance(dim, Size) else self.constant(dim, "int64")

    def reshape(self, x: str, shape: Shape) -> str:
        """Leaves one size that is known only at run time to ONNX, which then keeps the others in sight."""
        unknown = [i for i, d in enumerate(shape) if isinstance(d, Size)]
        if len(unknown) == 1 and 0 not in shape:
            shape = (*shape[: unknown[0]], -1, *shape[unknown[0] + 1 :])
        return self.node("Reshape", x, self.shape(shape), **{"allowzero": 1} if 0 in shape else {})

    def _length(self, dim: Dim) -> str:
        """A dimension as a vector of one number."""
        if not isinstance(dim, Size):
            return self.ints((dim,))
        total = ""
        for names, factor in dim.terms:
            term = self.ints((factor,)) if factor != 1 or not names else ""
            for name in names:
                term = self.node("Mul", term, self._named(name)) if term else self._named(name)
            total = self.node("Add", total, term) if total else term
        return total

    def _named(self, name: str) -> str:
        """A named size, read off the first value from outside that has it."""
        for node in self.graph:
            if node.op.is_source and Size.named(name) in node.type.shape:
                axis = node.type.shape.index(Size.named(name))
                return self.node("Shape", self.values[node.name], start=axis, end=axis + 1)
        if self.outer:
            return self.outer._named(name)
        return self.ints((1,))  # as in the definition: without a batch there is one example

    # ---- loops

    def scan(self, inputs: Sequence[str], loop: Loop | BoundLoop, carries: int, items: int, length: Dim, reverse: bool) -> str:
        """ONNX's Scan, by the name of its first value; what every step is given, its body reads from outside by its name there."""
        sequences = list(inputs[carries : carries + items]) or [self.node("Expand", self.constant(0, "int64"), self.shape((length,)))]
        assert self._node
        inner = Lowering(loop.body, self.opset, self.sizes, self.forms, outer=self)
        inner._node = self._node
        entering = [inner.enter(f"carry:{i}") for i in range(carries)] + [inner.enter(f"item:{i}") for i in range(len(sequences))]
        inner.values |= {f"given:{i}": value for i, value in enumerate(inputs[carries + items :])}
        for node in loop.body:
            inner.lower(node)
        leaving: list[str] = []
        for name in loop.body.outputs.values():
            leaving.append(inner.leave(name, leaving))
        taken, given_back = ([onnx.ValueInfoProto(name=n) for n in names] for names in (entering, leaving))
        attrs: dict[str, Any] = {"body": helper.make_graph(inner.written, "step", taken, given_back), "num_scan_inputs": len(sequences)}
        yielded = len(leaving) - carries
        if reverse:
            attrs |= {"scan_input_directions": [1] * len(sequences), "scan_output_directions": [1] * yielded}
        values = self.nodes("Scan", len(leaving), *inputs[:carries], *sequences, **attrs)
        self.yielded[values[0]] = {start: value for (start, _), value in zip(parts(loop, length), values[carries:], strict=True)}
        return values[0]

    def enter(self, source: str) -> str:
        """The name of a value that a step begins with."""
        self.values[source] = self._value(source)
        return self.values[source]

    def leave(self, name: str, others: Sequence[str]) -> str:
        """A value that a step gives back, under a name that no other has and nothing outside."""
        value = self.output(name)
        if not any(value in node.output for node in self.written):
            value = self.node("Identity", value)
        while value in others:
            value = self.node("Identity", value)
        return value

    # ---- what ONNX says otherwise

    def reduce(self, kind: str, x: str, axes: tuple[int, ...], keep: bool) -> str:
        if not axes:
            return x
        if kind != "ReduceSum" and self.opset < 18:
            return self.node(kind, x, axes=list(axes), keepdims=int(keep))
        return self.node(kind, x, self.ints(axes), keepdims=int(keep))

    def floor_mod(self, x: str, y: str) -> str:
        """The remainder with the sign of y, which for floats ONNX only has with the sign of x."""
        if not self.type(x).is_float:
            return self.node("Mod", x, y)
        rest, zero = self.node("Mod", x, y, fmod=1), self.zero(x)
        opposed = self.node("Xor", self.node("Less", rest, zero), self.node("Less", y, zero))
        wrong = self.node("And", opposed, self.node("Not", self.node("Equal", rest, zero)))
        return self.node("Where", wrong, self.node("Add", rest, y), rest)
