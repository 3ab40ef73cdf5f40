"""The walk over a model: each node by the rule of its op, and what has no rule of its own by the function that it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import onnx

from nnspec import limits
from nnspec.array import Array
from nnspec.diagnostics import Span, fault
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.graph import Graph, Mismatch, Op, Type, Var
from nnspec.graph.types import Indivisible, bind, count, nested, size_names
from nnspec.interchange.from_onnx.call import Call, Frame, Values
from nnspec.interchange.from_onnx.functions import body_of, left_out
from nnspec.interchange.from_onnx.known import LARGEST, Known
from nnspec.interchange.from_onnx.listing import Listing
from nnspec.interchange.from_onnx.moves import wrapped
from nnspec.interchange.from_onnx.ports import dtype_of
from nnspec.interchange.from_onnx.table import RULES
from nnspec.interchange.narrow import leaving
from nnspec.interchange.read import PRODUCER, attributes, domain_of, initialisers, opset_of, states_of
from nnspec.ops.arrange import reshape
from nnspec.ops.pointwise import cast
from nnspec.ops.source import input, param, state

LARGEST_CONSTANT = 4096  # elements; larger ones are kept as arrays instead of being written in the graph
DEEPEST = 32  # functions and branches within each other
LONGEST = 100_000  # nodes of ours

# Rules take what the standard promises of ranks and lengths, which ONNX's checker does not look at.
MALFORMED = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)


class Builder:
    """Our graph of one model, and the arrays that come with it."""

    def __init__(self, model: onnx.ModelProto, name: str, dtype: str, exact: bool) -> None:
        self.model, self.exact = model, exact
        self.listing = Listing(name, model.graph)
        self.graph = Graph(model.graph.name or "model", dtype)
        self.known = Known(self.graph)
        self.frame = Frame({}, {}, opset_of(model), leaving(model))
        self.weights: dict[str, Array] = {}
        self.steps: list[tuple[onnx.NodeProto, Span, tuple[str, ...]]] = []
        self._depth = 0

    # ---- what comes from outside

    def input(self, name: str, type: Type) -> None:
        self.frame.values[name] = self.source(input, name, type)

    def source(self, kind: Op, name: str, type: Type) -> Var:
        if name in (SEED, STEP):
            own = self.model.producer_name == PRODUCER  # of a network it has no input of this name
            help_ = "the file is a part of an exported training, which onnxruntime runs; the network is `predict.onnx` beside it"
            raise fault(
                "E522", f"`{name}` is taken: the seeded generator is fed by that name", help=help_ if own else "rename it in the file"
            )
        return self.graph.source(kind, name, type)

    def take_arrays(self) -> None:
        """The arrays of the file: floats are parameters, or states where they are statistics; single numbers and all else are constants."""
        statistics = {i for n in self.model.graph.node if n.op_type == "BatchNormalization" for i in n.input[3:5]}
        statistics |= {*states_of(self.model)}
        for name, values in initialisers(self.model.graph).items():
            if values.dtype.kind == "f" and values.ndim:
                self.frame.values[name] = self.owned(name, values, state if name in statistics else param)
            else:
                self.frame.values[name] = self.constant(values, self.dtype(values.dtype, name))

    def owned(self, name: str, values: Array, kind: Op) -> Var:
        """An array of floats that the network owns, under a name that no other has."""
        declared = self.dtype(values.dtype, name)
        var = self.source(kind, self.graph.fresh(name), Type(self.graph.dtype, values.shape))
        self.weights[var.name] = values.astype(self.graph.dtype)
        if values.size <= LARGEST:
            self.known.values[var.name] = self.weights[var.name]
        return var if declared == self.graph.dtype else cast(var, dtype=declared)

    def dtype(self, element: Any, name: str) -> str:
        """Our kind of number for NumPy's or ONNX's; E522 where there is none."""
        found = dtype_of(element)
        if found is None:
            kind = onnx.TensorProto.DataType.Name(element).lower() if isinstance(element, int) else element
            raise fault("E522", f"`{name}` holds elements of the kind {kind}, which is not computed with", self.graph.context.span)
        return self.graph.dtype if found.startswith("float") and not self.exact else found

    def constant(self, value: Any, dtype: str, name: str = "") -> Var:
        """A number or array that stays as it is; a large one of floats is owned, under this name."""
        values = np.asarray(value)
        if values.size > LARGEST_CONSTANT and values.dtype.kind == "f" and name:
            return self.owned(name, values.astype(dtype), state)
        if not values.size:  # nested tuples would forget what lies behind an axis of length 0
            return reshape(self.graph.constant((), dtype), shape=values.shape)
        return self.graph.constant(nested(np.asarray(values, dtype).tolist()), dtype)

    def is_zero(self, var: Var) -> bool:
        value = self.known(var)
        return value is not None and not value.any()

    # ---- nodes

    def read(self) -> None:
        """All nodes of the model, each at its place in the listing."""
        for node, span in zip(self.model.graph.node, self.listing.spans, strict=True):
            last = next(reversed(self.graph.nodes), None)
            with self.graph.at(span=span, scope=node.name or "".join(node.output[:1])):
                self.node(node, self.frame)
            added = _since(self.graph, last)
            self._refuse_huge(node, added)
            self.steps.append((node, span, added))

    def _refuse_huge(self, node: onnx.NodeProto, added: Iterable[str]) -> None:
        """A Fault (E580) for a value that has no room anywhere, though every size that is left open be 1."""
        for made in (self.graph[name] for name in added):
            number = count(bind(made.type.shape, dict.fromkeys(size_names(made.type.shape), 1)))
            if isinstance(number, int) and number > limits.most("value"):
                what = f"{node.op_type} `{''.join(node.output[:1])}` makes {number:,} numbers of an example"
                raise limits.exceeded("value", what, made.span)

    def nodes(self, nodes: Iterable[onnx.NodeProto], frame: Frame) -> None:
        """The nodes of a function or branch."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise fault("E524", f"functions stand more than {DEEPEST} deep within each other", self.graph.context.span)
        for node in nodes:
            self.node(node, frame)
        self._depth -= 1

    def node(self, node: onnx.NodeProto, frame: Frame) -> None:
        if len(self.graph) > LONGEST:
            raise fault("E524", f"the model has more than {LONGEST:,} operations", self.graph.context.span)
        referred = {a.name: frame.attributes[a.ref_attr_name] for a in node.attribute if a.ref_attr_name in frame.attributes}
        inputs = tuple(self.value(i, frame) for i in node.input)
        call = Call(self, node, {**attributes(node), **referred}, frame, inputs)
        try:
            outputs = self.outputs(call)
        except (Mismatch, Indivisible) as error:
            raise call.fault("E524", str(error)) from None
        except MALFORMED as error:
            raise call.fault("E524", f"it is not as the standard has it: {error}") from error
        for name, value in zip(node.output, outputs, strict=False):
            if name and value is not None:
                frame.values[name] = self.cut(value, frame.leaving[name]) if name in frame.leaving else value
        for number, name in enumerate(node.output):
            if name and name not in frame.values:
                raise call.fault("E521", f"its output {number + 1}, `{name}`, is not imported")

    def cut(self, x: Var, dtype: str) -> Var:
        """What a kind of few bits holds of whole numbers; sizes are never beyond it."""
        known = self.known(x)
        return x if x.type.dtype != "int64" or (known is not None and known.dtype == object) else wrapped(x, dtype)

    def value(self, name: str, frame: Frame) -> Var | None:
        if name and name not in frame.values:
            raise fault("E524", f"`{name}` is not computed before it is read", self.graph.context.span)
        return frame.values[name] if name else None

    def outputs(self, call: Call) -> Sequence[Var | None]:
        rule = None if domain_of(call.node) else RULES.get(call.node.op_type)
        if rule and (missing := left_out(call)):
            raise call.fault("E524", f"its input `{missing}` is missing")
        found: Values = rule(call, *call.inputs) if rule else self.called(call)
        return found if isinstance(found, Sequence) else (found,)

    def called(self, call: Call) -> Sequence[Var | None]:
        """The outputs of a function: the model's own, or the one that ONNX defines the op by."""
        function = body_of(call, self.model)
        if function is None:
            raise call.fault("E521", "this operator is not imported")
        values: dict[str, Var | None] = dict.fromkeys(function.inputs)
        values |= zip(function.inputs, call.inputs, strict=False)
        frame = Frame(values, function.attributes, function.opset)
        self.nodes(function.nodes, frame)
        return [frame.values.get(o) for o in function.outputs]


def _since(graph: Graph, last: str | None) -> tuple[str, ...]:
    """The nodes that were added after this one, in order."""
    added: list[str] = []
    for name in islice(reversed(graph.nodes), len(graph)):
        if name == last:
            break
        added.append(name)
    return tuple(reversed(added))
