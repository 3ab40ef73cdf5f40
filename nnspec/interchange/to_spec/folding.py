"""What is known before anything runs: constants by ONNX's own reference, shapes with sizes of the data in them by a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from nnspec.array import Array
from nnspec.graph import Size
from nnspec.graph.types import broadcast
from nnspec.interchange.from_onnx.known import dims
from nnspec.interchange.to_spec.pointwise import FUNCTIONS, OPERATORS, SEVERAL
from nnspec.interchange.to_spec.shaping import asked, filled
from nnspec.interchange.to_spec.step import RULES, Step
from nnspec.interchange.to_spec.values import Known, Value

SEEN_ANOTHER_WAY = ("Identity", "Cast", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten")
OF_TABLE = ("Gather", "Slice", "Split")
REFUSALS = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What the reference raises where it has no code for a node, or NumPy none for its types."""
MOVED = ("Transpose", "Unsqueeze", "Squeeze", "Flatten", "Slice", "Expand")
ELEMENTWISE = {*FUNCTIONS, *OPERATORS, *SEVERAL, "Add", "Cast", "Clip", "Identity", "Where"}


def fold(step: Step, model: onnx.ModelProto) -> list[Known] | None:
    """The outputs of a node whose inputs are all known; None where a rule lays out what a repeated number becomes."""
    given = [i for i in step.inputs if isinstance(i, Known)]
    if any(k.spread for k in given):
        return _of_repeated(step, model, given)
    if any(k.has_sizes for k in given):
        return [_with_sizes(step, given)]
    return _computed(step, model, given)


def _computed(step: Step, model: onnx.ModelProto, given: list[Known]) -> list[Known]:
    first = given[0] if given else None
    graph = helper.make_graph(
        [step.node],
        "constant",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(k.array.dtype), None) for n, k in _named(step).items()],
        [helper.make_tensor_value_info(o, onnx.TensorProto.UNDEFINED, None) for o in step.node.output if o],
    )
    one = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    try:
        arrays = ReferenceEvaluator(one).run(None, {n: k.array for n, k in _named(step).items()})
    except MemoryError:
        raise step.fault("there is no room in memory for this constant") from None
    except REFUSALS as error:
        raise step.fault(f"ONNX's reference cannot compute this constant: {' '.join(str(error).split())}") from None
    if first and step.node.op_type in (*SEEN_ANOTHER_WAY, *OF_TABLE):
        return [Known(np.asarray(a), first.name, fixed=first.fixed) for a in arrays]
    if step.node.op_type == "Expand":
        return [Known(np.asarray(a), whole=first) for a in arrays]
    return list(map(Known, map(np.asarray, arrays)))


def _of_repeated(step: Step, model: onnx.ModelProto, given: list[Known]) -> list[Known] | None:
    """One number of another shape, or one computed of such numbers; None where they become several."""
    first, op = given[0], step.node.op_type
    if first.spread and op == "Reshape" and (shape := filled(first.shape, asked(step, first.shape))):
        return [Known(first.array, spread=True, shape=shape)]
    if first.spread and op in MOVED:
        laid = RULES[op](step, step.made(first), *step.inputs[1:])
        return [Known(first.array, spread=True, shape=laid.shape)] if isinstance(laid, Value) else None
    if op == "Gather" and not first.spread:  # the one row that all take, which broadcasts
        return _computed(step, model, given)
    if op not in RULES:
        raise step.fault("what it computes is known but for its shape, which shows only at run time")
    shape = broadcast(*(k.dims for k in given))
    if op not in ELEMENTWISE or shape is None:
        return None
    found = _computed(step, model, given)
    if found[0].array.size > 1:
        return found if found[0].dims == shape else None
    return [Known(k.array.reshape(()), spread=True, shape=shape) for k in found]


def _named(step: Step) -> dict[str, Known]:
    return {n: k for n, k in zip(step.node.input, step.inputs, strict=True) if n and isinstance(k, Known)}


def _with_sizes(step: Step, given: list[Known]) -> Known:
    compute = ON_SIZES.get(step.node.op_type)
    if compute is None:
        raise step.fault("a size of the data is computed with in a way that is not understood")
    result = compute(step, *(np.asarray(k.array, object) for k in given))
    if isinstance(result, Known):
        return result
    array = np.asarray(result)
    return Known(array if any(isinstance(v, Size) for v in array.flat) else array.astype(np.int64))


def _spread(step: Step, fill: Array, shape: Array) -> Known:
    """Numbers that are all the same, as one of a shape that shows only at run time."""
    return Known(np.asarray(fill).reshape(-1)[:1].reshape(()), spread=True, shape=dims(shape))


def _expanded(step: Step, x: Array, shape: Array) -> Known:
    """A size of 1 is that of the numbers themselves."""
    whole = step.known(0, "input")
    dims = (1,) * (x.ndim - len(shape)) + tuple(shape)
    own = (1,) * (len(shape) - x.ndim) + x.shape
    full = np.empty(len(dims), object)
    full[:] = [o if d == 1 else d for d, o in zip(dims, own, strict=True)]
    return replace(_spread(step, whole.array, full), whole=whole)


def _gather(step: Step, x: Array, i: Array) -> Array:
    return np.take(x, i.astype(np.int64), axis=step.attr("axis", 0))


def _slice(step: Step, x: Array, *bounds: Array) -> Array:
    """Along the first axis, the only one that shapes have."""
    if not bounds:
        start, stop, by = step.attr("starts")[0], step.attr("ends")[0], 1
    else:
        start, stop = (int(b.reshape(-1)[0]) for b in bounds[:2])
        by = int(bounds[3].reshape(-1)[0]) if len(bounds) == 4 else 1
    return x[start:stop:by]


def _unsqueeze(step: Step, x: Array, *_: Array) -> Array:
    return x.reshape((1,) * (x.ndim + 1))


def _where(_: Step, condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition.astype(bool), x, y)


def _divide(step: Step, x: Array, y: Array) -> Array:
    try:
        return np.asarray(np.floor_divide(x, y))
    except ValueError:
        raise step.fault("a size of the data is divided and may leave a rest") from None


ON_SIZES: dict[str, Callable[..., Any]] = {
    "Identity": lambda _, x: x,
    "Cast": lambda _, x: x,
    "Gather": _gather,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda _, x, *axes: x.reshape(x.shape[:-1]) if x.size == 1 else x,
    "Reshape": lambda _, x, shape: x.reshape(shape.astype(np.int64)),
    "Concat": lambda step, *xs: np.concatenate(xs),
    "Add": lambda _, x, y: x + y,
    "Sub": lambda _, x, y: x - y,
    "Mul": lambda _, x, y: x * y,
    "Div": _divide,
    "Equal": lambda _, x, y: x == y,
    "Where": _where,
    "ReduceProd": lambda _, x, *axes: np.prod(x, keepdims=True),
    "ConstantOfShape": lambda step, shape: _spread(step, np.asarray(step.attr("value", np.zeros(1, np.float32))), shape),
    "Expand": _expanded,
}
