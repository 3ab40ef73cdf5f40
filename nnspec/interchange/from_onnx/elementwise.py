"""Operators on single elements: those the catalogue has under another name, and formulas for all others."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from nnspec.graph import Op, Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import aligned, as_kind, full
from nnspec.interchange.from_onnx.roots import power, square_root
from nnspec.ops import OPS
from nnspec.ops import pointwise as p
from nnspec.ops.error import erf

HALF_PI = math.pi / 2
SINCE_BROADCASTING = 7


def _same(op: Op) -> Rule:
    return lambda c, *inputs: op(*inputs)


def _of(formula: Any) -> Rule:
    """A formula of the inputs alone."""
    return lambda c, *inputs: formula(*inputs)


def _exported() -> dict[str, Rule]:
    """The operators that a row of the catalogue is exported as, read the other way round."""
    rows = (o for o in OPS.values() if o.pointwise and isinstance(o.onnx, str) and (o.grad or o.dtype == "bool"))
    return {str(o.onnx): _same(o) for o in rows}


def _many(op: Any) -> Rule:
    return lambda c, *xs: reduce(op, xs)


def _whole(x: Var) -> bool:
    return not x.type.is_float


def _div(c: Call, x: Var, y: Var) -> Var:
    return p.quotient(x, y) if _whole(x) else x / y


def _mod(c: Call, x: Var, y: Var) -> Var:
    """The remainder with the sign of y, or, where `fmod` is set, with that of x."""
    return p.sign(x) * p.mod(p.abs(x), p.abs(y)) if c.attr("fmod", 0) else p.mod(x, y)


def _pow(c: Call, x: Var, y: Var) -> Var:
    if _whole(x) and not _whole(y):
        return as_kind(as_kind(x, y.type.dtype) ** y, x.type.dtype)
    return power(x, as_kind(y, x.type.dtype))


def _cast(c: Call, x: Var) -> Var:
    to = c.attr("to", 1)
    return as_kind(x, c.builder.dtype(to if isinstance(to, int) else to.lower(), c.node.input[0]))


def _clip(c: Call, x: Var, low: Var | None = None, high: Var | None = None) -> Var:
    low = c.graph.constant(c.attributes["min"], x.type.dtype) if "min" in c.attributes else low
    high = c.graph.constant(c.attributes["max"], x.type.dtype) if "max" in c.attributes else high
    x = p.maximum(x, low) if low else x
    return p.minimum(x, high) if high else x


# ---- activations


def _prelu(c: Call, x: Var, slope: Var) -> Var:
    if c.opset < SINCE_BROADCASTING and slope.type.rank == 1 and x.type.rank > 1 and slope.type.shape != (1,):
        slope = aligned(slope, 1, x.type.rank)
    return p.where(p.less(x, 0.0), slope * x, x)


def _elu_of(x: Var, alpha: float, scale: float = 1.0) -> Var:
    return p.where(p.less(x, 0.0), scale * alpha * (p.exp(p.minimum(x, 0.0)) - 1.0), scale * x)


def _elu(c: Call, x: Var) -> Var:
    return _elu_of(x, c.attr("alpha", 1.0))


def _selu(c: Call, x: Var) -> Var:
    return _elu_of(x, c.attr("alpha", 1.6732632423543772), c.attr("gamma", 1.0507009873554805))


def _celu(c: Call, x: Var) -> Var:
    alpha = c.attr("alpha", 1.0)
    return p.where(p.less(x, 0.0), alpha * (p.exp(p.minimum(x, 0.0) / alpha) - 1.0), x)


def _leaky(c: Call, x: Var) -> Var:
    return p.where(p.less(x, 0.0), c.attr("alpha", 0.01) * x, x)


def _hard_sigmoid_of(x: Var, alpha: float, beta: float) -> Var:
    return p.minimum(p.maximum(alpha * x + beta, 0.0), 1.0)


def _hard_sigmoid(c: Call, x: Var) -> Var:
    return _hard_sigmoid_of(x, c.attr("alpha", 0.2), c.attr("beta", 0.5))


def _thresholded(c: Call, x: Var) -> Var:
    return p.where(p.greater(x, c.attr("alpha", 1.0)), x, 0.0)


def _shrink(c: Call, x: Var) -> Var:
    lambd, bias = c.attr("lambd", 0.5), c.attr("bias", 0.0)
    return p.where(p.less(x, -lambd), x + bias, p.where(p.greater(x, lambd), x - bias, 0.0))


def _gelu(c: Call, x: Var) -> Var:
    if c.attr("approximate", "none") == "tanh":
        return 0.5 * x * (1.0 + p.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2)))


def _swish(c: Call, x: Var) -> Var:
    return x * p.sigmoid(c.attr("alpha", 1.0) * x)


# ---- numbers that are none


def _is_inf(c: Call, x: Var) -> Var:
    wanted = [sign for name, sign in (("detect_negative", -math.inf), ("detect_positive", math.inf)) if c.attr(name, 1)]
    if not wanted:
        return full(c.graph, False, x.type.shape, "bool")
    return reduce(lambda a, b: p.logical_or(a, b), [p.equal(x, value) for value in wanted])


def _asin(x: Var) -> Var:
    return p.atan(x / p.sqrt((1.0 - x) * (1.0 + x)))


def _asinh(x: Var) -> Var:
    away = p.where(p.less(x, 0.0), -x, x)  # unlike that of abs, its slope at 0 is one
    value = p.log(away + p.sqrt(p.square(away) + 1.0))
    return p.where(p.less(x, 0.0), -value, value)


def _dropout(c: Call, x: Var, ratio: Var | None = None, training: Var | None = None) -> tuple[Var, ...]:
    """In use it lets everything through; the mask says so."""
    if c.given(2) and bool(c.known(2, "training_mode").reshape(-1)[0]):
        kept = c.given(1) and float(c.known(1, "ratio").reshape(-1)[0]) == 0
        if not kept:
            raise c.fault("E521", "dropout in training draws from a generator that the file does not say", help="export the model for use")
    mask = full(c.graph, True, x.type.shape, "bool")
    return x, mask if c.opset >= 10 else as_kind(mask, x.type.dtype)


ACTIVATIONS: dict[str, Callable[[Var, float, float], Var]] = {
    "Relu": lambda x, a, b: p.relu(x),
    "Tanh": lambda x, a, b: p.tanh(x),
    "Sigmoid": lambda x, a, b: p.sigmoid(x),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: p.where(p.less(x, 0.0), a * x, x),
    "ThresholdedRelu": lambda x, a, b: p.where(p.greater(x, a), x, 0.0),
    "ScaledTanh": lambda x, a, b: a * p.tanh(b * x),
    "HardSigmoid": _hard_sigmoid_of,
    "Elu": lambda x, a, b: _elu_of(x, a),
    "Softsign": lambda x, a, b: x / (1.0 + p.abs(x)),
    "Softplus": lambda x, a, b: p.softplus(x),
}
"""What the gates of recurrent layers may be bent by, with its alpha and beta."""

RULES: dict[str, Rule] = {
    **_exported(),
    "Max": _many(p.maximum),
    "Min": _many(p.minimum),
    "Sum": _many(p.add),
    "Mean": lambda c, *xs: reduce(p.add, xs) / float(len(xs)),
    "Div": _div,
    "Mod": _mod,
    "Pow": _pow,
    "Sqrt": lambda c, x: square_root(x),
    "Cast": _cast,
    "CastLike": lambda c, x, like: as_kind(x, like.type.dtype),
    "Where": _same(p.where),
    "Xor": _same(p.not_equal),
    "Identity": lambda c, x: x,
    "Dropout": _dropout,
    "Clip": _clip,
    "PRelu": _prelu,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "LeakyRelu": _leaky,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of(lambda x: x * _hard_sigmoid_of(x, 1 / 6, 0.5)),
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Gelu": _gelu,
    "Swish": _swish,
    "Mish": _of(lambda x: x * p.tanh(p.softplus(x))),
    "Softsign": _of(lambda x: x / (1.0 + p.abs(x))),
    "Reciprocal": _of(lambda x: 1.0 / x),
    "IsNaN": _of(lambda x: p.not_equal(x, x)),
    "IsInf": _is_inf,
    "Tan": _of(lambda x: p.sin(x) / p.cos(x)),
    "Asin": _of(_asin),
    "Acos": _of(lambda x: HALF_PI - _asin(x)),
    "Sinh": _of(lambda x: 0.5 * (p.exp(x) - p.exp(-x))),
    "Cosh": _of(lambda x: 0.5 * (p.exp(x) + p.exp(-x))),
    "Asinh": _of(_asinh),
    "Acosh": _of(lambda x: p.log(x + p.sqrt((x - 1.0) * (x + 1.0)))),
    "Atanh": _of(lambda x: 0.5 * p.log((1.0 + x) / (1.0 - x))),
}
