"""Rules of operators over whole axes."""

from __future__ import annotations

from typing import Any

from nnspec.interchange.to_spec.calls import number
from nnspec.interchange.to_spec.idioms import improved
from nnspec.interchange.to_spec.slicing import turned
from nnspec.interchange.to_spec.step import Read, Step, axis_setting, kept, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Value
from nnspec.interchange.to_spec.windows import global_pool

REDUCTIONS = {"ReduceMax": "max", "ReduceMean": "mean", "ReduceMin": "min", "ReduceSum": "sum"}
OF_FORMULAS = {"ReduceL1": ("abs", "sum", ""), "ReduceL2": ("square", "sum", "sqrt"), "ReduceSumSquare": ("square", "sum", ""),
               "ReduceLogSumExp": ("exp", "sum", "log")}  # fmt: skip


@rule(*REDUCTIONS)
def _reduce(step: Step, x: Read, *_: Read) -> Value:
    value = step.value()
    axes = step.axes(value.rank)
    if axes == () and step.attr("noop_with_empty_axes", 0):
        return value
    return reduced(step, value, REDUCTIONS[step.node.op_type], axes or tuple(range(value.rank)), bool(step.attr("keepdims", 1)))


@rule(*OF_FORMULAS)
def _formula(step: Step, x: Read, *_: Read) -> Value:
    inside, over, outside = OF_FORMULAS[step.node.op_type]
    value = step.value()
    call = value.call
    first = step.call("^", call, number(2), shape=call.shape) if inside == "square" else step.call(inside, call, shape=call.shape)
    axes = step.axes(value.rank) or tuple(range(value.rank))
    total = reduced(step, value.with_call(first), over, axes, bool(step.attr("keepdims", 1)))
    return total.with_call(step.call(outside, total.call, shape=total.call.shape)) if outside else total


def reduced(step: Step, value: Value, name: str, axes: tuple[int, ...], keep: bool) -> Value:
    """Over axes of the model; those of length 1 that it keeps stay only where the rest of the value has its axes beside them."""
    value = value.explicit() or value.arranged()
    if any(BATCH_AXIS in value.axes[a] for a in axes):
        raise step.mixed()
    own = tuple(sorted(a for axis in axes for a in value.axes[axis]))
    call, rank = value.call, len(value.call.shape)
    if name in ("mean", "max") and value.batch == 0 and rank in (3, 4) and own == tuple(range(1, rank)):
        pooled = global_pool(step, "global_avgpool" if name == "mean" else "global_maxpool", call)
        return pooled if keep else Value(pooled.call, pooled.axes[:2])
    settings: dict[str, Any] = {} if len(own) == rank else {"axis": own[0] - rank if len(own) == 1 else own}
    if keep:
        shape = tuple(1 if a in own else d for a, d in enumerate(call.shape))
        return Value(improved(step.call(name, call, shape=shape, **settings, keep=True)), value.axes)
    left = kept([axis for a, axis in enumerate(value.axes) if a not in axes])
    shape = tuple(d for a, d in enumerate(call.shape) if a not in own)
    return Value(improved(step.call(name, call, shape=shape, **settings)), left)


@rule("Softmax", "LogSoftmax")
def _softmax(step: Step, x: Read) -> Value:
    value = step.value().arranged()
    axis = step.attr("axis", -1 if step.opset >= 13 else 1) % value.rank
    if step.opset < 13 and axis != value.rank - 1:
        raise step.fault("before opset 13 a softmax over several axes has no form in the language")
    if len(value.axes[axis]) != 1:
        value = step.explicit()
    [own] = step.example_axes(value, [axis])
    last = len(value.call.shape) - 1
    name = "softmax" if step.node.op_type == "Softmax" else "log_softmax"
    settings = axis_setting(own, last)
    return value.with_call(improved(step.call(name, value.call, shape=value.call.shape, **settings)))


@rule("ArgMax")
def _argmax(step: Step, x: Read) -> Value:
    value = step.explicit()
    step.refuse(select_last_index=0)
    axis = step.attr("axis", 0) % value.rank
    [own] = step.example_axes(value, [axis])
    settings = axis_setting(own, len(value.call.shape) - 1)
    shape = tuple(d for a, d in enumerate(value.call.shape) if a != own)
    left = kept([() if a == axis else x for a, x in enumerate(value.axes) if a != axis or step.attr("keepdims", 1)])
    return Value(step.call("argmax", value.call, shape=shape, dtype="int", **settings), left)


@rule("CumSum")
def _cumsum(step: Step, x: Read, axis: Read) -> Value:
    step.refuse(exclusive=0)
    value = step.explicit()
    [own] = step.example_axes(value, [int(step.array(1, "axis").item()) % value.rank])
    settings = axis_setting(own, len(value.call.shape) - 1)
    call = turned(step, value.call, own) if step.attr("reverse", 0) else value.call
    total = step.call("cumsum", call, shape=call.shape, **settings)
    return value.with_call(turned(step, total, own) if step.attr("reverse", 0) else total)
