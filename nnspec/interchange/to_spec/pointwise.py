"""Rules of operators that work element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.graph.types import broadcast
from nnspec.interchange.narrow import limits
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.idioms import improved
from nnspec.interchange.to_spec.step import Read, Step, plain, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Axis, Known, Value, reshaped

FUNCTIONS = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor", "HardSwish": "hard_swish", "Log": "log",
    "Mish": "mish", "Neg": "neg", "Not": "not", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin",
    "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt", "Tanh": "tanh",
}  # fmt: skip
OPERATORS = {
    "And": "and", "Div": "/", "Equal": "==", "Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Mul": "*",
    "Or": "or", "Pow": "^", "Sub": "-",
}  # fmt: skip
SEVERAL = {"Sum": "+", "Max": "max", "Min": "min", "Mean": "+"}
TRUTHS = ("<", "<=", ">", ">=", "==", "and", "or", "not")
SELU = (1.6732632423543772, 1.0507009873554805)
ROUNDED = ("ceil", "floor", "round")
WHOLE, TRUTH = (2, 3, 4, 5, 6, 7, 12), 9
"""The numbers of ONNX for whole numbers of 8 to 64 bits, and bool."""


def apply(step: Step, name: str, *inputs: Read | None, **settings: Any) -> Value:
    """An operator or function of several values, each laid so that they broadcast in the language as they do in the model."""
    calls, axes = aligned(step, [i for i in inputs if i is not None])
    shape = broadcast(*(c.shape for c in calls))
    if shape is None:
        raise step.fault(f"{' and '.join(str(list(map(str, c.shape))) for c in calls)} do not broadcast")
    dtype = "bool" if name in TRUTHS else "float" if any(c.dtype == "float" for c in calls) else calls[-1].dtype
    return Value(improved(step.call(name, *calls, shape=shape, dtype=dtype, **settings)), axes)


def wrapped(step: Step, x: Read, dtype: str) -> Value:
    """The whole numbers that are left of x in so few bits."""
    (low, high), number = limits(dtype), x
    if low:
        number = apply(step, "+", number, Known(np.asarray(-low)))
    left = apply(step, "%", number, Known(np.asarray(high - low + 1)))
    return apply(step, "-", left, Known(np.asarray(-low))) if low else left


def aligned(step: Step, inputs: Sequence[Read]) -> tuple[list[Call], tuple[Axis, ...]]:
    """The calls of values that are broadcast, and the axes of the result."""
    values = [i for i in inputs if isinstance(i, Value)]
    if any(isinstance(i, Known) and _widens(i, values) for i in inputs):
        return aligned(step, [step.made(i) if isinstance(i, Known) and _widens(i, values) else i for i in inputs])
    first = max((v for v in values if v.call.batched), key=lambda v: v.rank, default=values[0])
    explicit = [v.explicit() for v in values]
    for laid in (inputs, [_without_ones(i) for i in inputs] if None in explicit else ()):
        if laid and all(_goes_with(i, first) for i in laid):
            return [i.call if isinstance(i, Value) else step.constant(i, () if i.array.size == 1 else None) for i in laid], first.axes
    if apart := _apart(inputs):
        split, first_of, number = apart
        calls, axes = aligned(step, split)
        return calls, (*axes[:first_of], sum(axes[first_of : first_of + number], ()), *axes[first_of + number :])
    places = {v.batch - v.rank for v in explicit if v and v.batch is not None}
    if None in explicit or len(places) > 1:
        raise step.mixed()
    rank = max(i.rank if isinstance(i, Value) else i.array.ndim for i in inputs)
    at = rank + places.pop() if places else None
    numbers = iter(range(rank))
    return [beside(step, i, at, rank) for i in inputs], tuple((BATCH_AXIS,) if i == at else (next(numbers),) for i in range(rank))


def _widens(k: Known, values: Sequence[Value]) -> bool:
    """Whether a number is repeated along axes that the values do not have, so that the number alone is not enough."""
    shapes = [v.shape for v in values]
    return k.spread and broadcast(k.shape, *shapes) != broadcast(*shapes)


def _apart(inputs: Sequence[Read]) -> tuple[list[Read], int, int] | None:
    """Values in all of which the batch lies together with the same sizes, with an axis for each of these; where, and how many they are."""
    values = [i.arranged() if isinstance(i, Value) else i for i in inputs]
    together = {(v.rank, v.batch, v.sizes(v.batch)) for v in values if isinstance(v, Value) and v.batch is not None}
    if len(together) != 1 or any(isinstance(v, Value) and v.batch is None for v in values):
        return None
    [(rank, at, sizes)] = together
    behind, ones = rank - at - 1, (1,) * (len(sizes) - 1)
    if len(sizes) == 1 or any(isinstance(k, Known) and k.array.ndim > behind and k.array.shape[-1 - behind] != 1 for k in values):
        return None
    return [_split(v, at, behind, ones) for v in values], at, len(sizes)


def _split(i: Read, at: int, behind: int, ones: tuple[int, ...]) -> Read:
    if isinstance(i, Value):
        return replace(i, axes=(*i.axes[:at], *((a,) for a in i.axes[at]), *i.axes[at + 1 :]))
    before, after = i.array.shape[: max(i.array.ndim - behind, 0)], i.array.shape[max(i.array.ndim - behind, 0) :]
    return replace(i, array=i.array.reshape((*before, *(ones if before else ()), *after)))


def _without_ones(i: Read) -> Read:
    """A constant without axes of length 1 in front, which say nothing where the batch lies together with others."""
    if isinstance(i, Value):
        return i
    ones = next((axis for axis, n in enumerate(i.array.shape) if n != 1), i.array.ndim)
    return replace(i, array=i.array.reshape(i.array.shape[ones:]))


def _goes_with(i: Read, first: Value) -> bool:
    """Whether it broadcasts as it is: of the same axes, one number, or along last axes in which nothing lies together."""
    if isinstance(i, Value):
        return i.axes == first.axes
    rank, last = i.array.ndim, len(first.call.shape)
    alone = first.axes[first.rank - rank :] == tuple((a,) for a in range(last - rank, last))
    return i.array.size == 1 or (rank <= last and alone and len({BATCH_AXIS} & set(sum(first.axes[: first.rank - rank], ()))) == 1)


def beside(step: Step, i: Read, at: int | None, rank: int) -> Call:
    """A value without the axis that the batch has in the others, counted from the last."""
    if isinstance(i, Known):
        place = -1 if at is None else at - rank + i.array.ndim
        return step.constant(i if place < 0 else _of_each(step, i, place))
    found = i.explicit()
    assert found
    if at is None or found.batch is not None:
        return found.call
    shape, place = list(found.call.shape), at - rank + found.rank
    if place >= 0 and shape.pop(place) != 1:
        raise step.mixed()
    return reshaped(found.call, tuple(shape))


def _of_each(step: Step, k: Known, axis: int) -> Known:
    """The one row that a constant has along the axis of the batch; where a model has a row for each example, they have to be alike."""
    rows = np.moveaxis(k.array, axis, 0)
    if not len(rows) or any(not np.array_equal(row, rows[0]) for row in rows[1:]):
        raise step.mixed()
    own = k.whole if k.whole and k.whole.array.size == rows[0].size else k
    return replace(own, array=own.array.reshape(rows[0].shape) if own is not k else rows[0])


# ---- one value


@rule(*FUNCTIONS)
def _function(step: Step, x: Read) -> Value:
    return apply(step, FUNCTIONS[step.node.op_type], x)


@rule("Identity", "Dropout")
def _same(step: Step, x: Read, *_: Read) -> Read:
    if step.node.op_type == "Dropout" and step.has(1):
        raise step.fault("the mask of a dropout has no form in the language")
    if step.node.op_type == "Dropout" and step.given(2) and step.array(2, "training_mode").item():
        raise step.fault("dropout in training draws from a generator that the file does not say", help="export the model for use")
    return x


@rule("Cast", "CastLike")
def _cast(step: Step, x: Read, *_: Read) -> Value:
    value, to = step.value(), step.attr("to", 1)
    if to in WHOLE and value.call.name in ROUNDED:
        return value.with_call(replace(value.call, dtype="int"))
    if to in WHOLE and value.call.dtype == "float":
        raise step.fault("numbers of the data that are cut to whole ones have no form in the language")
    if to == TRUTH:
        return apply(step, "!=", x, Known(np.asarray(0))) if value.call.dtype != "bool" else value
    # A truth counts as 1 or 0, and a whole number becomes a float next to one.
    return apply(step, "*", Known(np.asarray(1.0 if to not in WHOLE else 1)), x) if value.call.dtype == "bool" else value


@rule("Gelu")
def _gelu(step: Step, x: Read) -> Value:
    return apply(step, "gelu_tanh" if step.attr("approximate", "none") == "tanh" else "gelu", x)


@rule("LeakyRelu")
def _leaky_relu(step: Step, x: Read) -> Value:
    return apply(step, "leaky_relu", x, alpha=plain(float(step.attr("alpha", 0.01))))


@rule("Elu")
def _elu(step: Step, x: Read) -> Value:
    return apply(step, "elu", x, alpha=plain(float(step.attr("alpha", 1.0))))


@rule("Selu")
def _selu(step: Step, x: Read) -> Value:
    alpha, gamma = step.attr("alpha", SELU[0]), step.attr("gamma", SELU[1])
    if np.allclose((alpha, gamma), SELU):
        return apply(step, "selu", x)
    return apply(step, "*", Known(np.asarray(gamma)), apply(step, "elu", x, alpha=plain(float(alpha))))


@rule("HardSigmoid")
def _hard_sigmoid(step: Step, x: Read) -> Value:
    alpha, beta = step.attr("alpha", 0.2), step.attr("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return apply(step, "hard_sigmoid", x)
    line = apply(step, "+", apply(step, "*", Known(np.asarray(alpha)), x), Known(np.asarray(beta)))
    return apply(step, "clip", line, low=0, high=1)


@rule("Clip")
def _clip(step: Step, x: Read, *_: Read) -> Read:
    low, high = (_bound(step, at, name) for at, name in ((1, "min"), (2, "max")))
    if low is None and high is None:
        return x
    if low is None or high is None:
        return apply(step, "max" if high is None else "min", x, Known(np.asarray(low if high is None else high)))
    if low > high:  # which ONNX allows, and gives the largest
        return apply(step, "min", apply(step, "max", x, Known(np.asarray(low))), Known(np.asarray(high)))
    return apply(step, "clip", x, low=low, high=high)


def _bound(step: Step, at: int, name: str) -> float | None:
    """A bound of Clip, where there is one: older versions have it as an attribute."""
    value = step.array(at, name).item() if step.given(at) else step.attr(name)
    return None if value is None or abs(value) > 1e38 else plain(float(value))


@rule("Reciprocal")
def _reciprocal(step: Step, x: Read) -> Value:
    return apply(step, "/", Known(np.asarray(1)), x)


@rule("PRelu")
def _prelu(step: Step, x: Read, slope: Read) -> Value:
    value, alpha = step.explicit(), step.array(1, "slope")
    channels = value.call.shape[0] if value.call.shape else 1
    lies = (1,) * (value.rank - alpha.ndim) + alpha.shape
    if alpha.size not in (1, channels) or alpha.size != max(alpha.shape, default=1) or (alpha.size > 1 and lies[1:2] != (channels,)):
        raise step.fault(f"a slope of the shape {list(alpha.shape)} has no form in the language")
    each = alpha.size > 1
    settings: dict[str, Any] = {"per_channel": True} if each else {}
    weights = {"alpha": alpha.reshape((alpha.size,) if each else ())}
    return value.with_call(step.call("prelu", value.call, shape=value.call.shape, weights=weights, **settings))


@rule("Celu")
def _celu(step: Step, x: Read) -> Value:
    """max(0, x) + min(0, α (e^(x / α) − 1))."""
    alpha = Known(np.asarray(step.attr("alpha", 1.0)))
    below = apply(step, "*", alpha, apply(step, "-", apply(step, "exp", apply(step, "/", apply(step, "min", x, _ZERO), alpha)), _ONE))
    return apply(step, "+", apply(step, "relu", x), below)


@rule("ThresholdedRelu")
def _thresholded(step: Step, x: Read) -> Value:
    return apply(step, "if", apply(step, ">", x, Known(np.asarray(step.attr("alpha", 1.0)))), x, _ZERO)


_ZERO, _ONE = Known(np.asarray(0)), Known(np.asarray(1))


# ---- several values


@rule(*OPERATORS)
def _operator(step: Step, x: Read, y: Read) -> Value:
    if step.node.op_type == "Div" and all(_whole(i) for i in (x, y)):
        quotient = apply(step, "/", x, y)
        return apply(step, "*", apply(step, "sign", quotient), apply(step, "floor", apply(step, "abs", quotient)))
    return apply(step, OPERATORS[step.node.op_type], x, y)


def _whole(i: Read) -> bool:
    return i.call.dtype == "int" if isinstance(i, Value) else i.array.dtype.kind in "iu"


@rule("Mod")
def _mod(step: Step, x: Read, y: Read) -> Value:
    """With the sign of y; `fmod` = 1 with that of x."""
    if not step.attr("fmod", 0):
        return apply(step, "%", x, y)
    sign, size, by = _by_name(step, "sign", x), _by_name(step, "abs", x), _by_name(step, "abs", y)
    return apply(step, "*", sign, apply(step, "%", size, by))


def _by_name(step: Step, function: str, x: Read) -> Read:
    """A function of which NumPy has one of the same name."""
    return apply(step, function, x) if isinstance(x, Value) else replace(x, array=getattr(np, function)(x.array), name="", whole=None)


@rule("IsNaN")
def _is_nan(step: Step, x: Read) -> Value:
    """Only what is no number differs from itself."""
    return apply(step, "!=", x, x)


@rule("Xor")
def _xor(step: Step, x: Read, y: Read) -> Value:
    return apply(step, "!=", x, y)


@rule(*SEVERAL)
def _several(step: Step, first: Read, *others: Read) -> Read:
    total = first
    for other in others:
        total = apply(step, SEVERAL[step.node.op_type], total, other)
    return apply(step, "/", total, Known(np.asarray(1 + len(others)))) if step.node.op_type == "Mean" else total


@rule("Where")
def _where(step: Step, condition: Read, x: Read, y: Read) -> Value:
    return apply(step, "if", condition, _finite(x), _finite(y))


def _finite(i: Read) -> Read:
    """What is masked by minus infinity gets a large negative number, as in the library's attention: softmax makes 0 of both."""
    if isinstance(i, Known) and i.array.dtype.kind == "f" and np.any(i.array < LOWEST):
        infinite = bool(np.isneginf(i.array).all())
        return replace(i, array=np.maximum(i.array, LOWEST).astype(i.array.dtype), name="", whole=None, infinite=infinite)
    return i


LOWEST = -1e9
