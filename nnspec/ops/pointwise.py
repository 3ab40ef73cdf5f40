"""Ops on single elements. Inputs broadcast; the gradient rules need not care."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from nnspec.blas import blended, subtracted
from nnspec.graph import Absent, Op, Var
from nnspec.graph.op import GradRule, Kernel
from nnspec.graph.types import count
from nnspec.lazy import np
from nnspec.ops.aside import aside, aside_like
from nnspec.ops.dense import in_rows


def unary(name: str, doc: str, kernel: Kernel, grad: GradRule | None, onnx: Any, *examples: str, **more: Any) -> Op:
    return Op(f"{name}(x: [*s]) -> [*s]", doc, kernel, grad, onnx, examples, pointwise=True, **more)


def binary(name: str, doc: str, kernel: Kernel, grad: GradRule | None, onnx: Any, *examples: str, **more: Any) -> Op:
    return Op(f"{name}(x: [*s], y: [*s]) -> [*s]", doc, kernel, grad, onnx, examples, pointwise=True, **more)


_BOOLEAN: dict[str, Any] = {"dtype": "bool", "why": "its output is not a float"}
_FLAT: dict[str, Any] = {"smooth": False}
_STEPS: dict[str, Any] = {**_FLAT, "choosing": ("x",)}

# ---- arithmetic

add = binary("add", "x + y.", np.add, lambda g, out, x, y: (g, g), "Add", "add([1, 2], [3]) == [4, 5]",
             commutative=True, scalar=lambda x, y: x + y)  # fmt: skip
sub = binary("sub", "x - y.", np.subtract, lambda g, out, x, y: (g, -g), "Sub", "sub([1, 2], [3, 5]) == [-2, -3]",
             scalar=lambda x, y: x - y)  # fmt: skip
mul = binary("mul", "x times y.", np.multiply, lambda g, out, x, y: (g * y, g * x), "Mul",
             "mul([[2], [3]], [5, 7]) == [[10, 14], [15, 21]]",
             commutative=True, scalar=lambda x, y: x * y)  # fmt: skip
div = binary("div", "x / y.", np.divide, lambda g, out, x, y: (g / y, -(g * out / y)), lambda o, x, y: o.quotient(x, y),
             "div([6, 1], [3, 4]) == [2, 0.25]",
             scalar=lambda x, y: x / y, domain=(0.5, 2.0), real=True)  # fmt: skip


def _pow(x: Any, y: Any) -> Any:
    out = np.empty(np.broadcast_shapes(x.shape, y.shape), np.result_type(x, y))
    _pow_into(out, x, y)()
    return out


def _pow_into(out: Any, x: Any, y: Any) -> Callable[[], Any]:
    """C's: of one exponent 0.5 for all NumPy (2.4) makes square roots, which are others of minus infinity and minus 0."""
    if not y.size or any(stride for stride, length in zip(y.strides, y.shape, strict=True) if length > 1):
        return partial(np.power, x, y, out)
    lowest = aside_like(x, bool)

    def run() -> None:
        if y.item(0) != 0.5:
            np.power(x, y, out)
            return
        np.equal(x, -np.inf, lowest)
        np.add(np.sqrt(x, out), 0.0, out)
        np.copyto(out, np.inf, where=lowest)

    return run


def _pow_grad(g: Var, out: Var, x: Var, y: Var) -> tuple[Var | None, ...]:
    """At x = 0 both formulas are 0 times infinity, that for x where y is 0, that for y where y is not below 0; both are 0 there."""
    for_x, for_y = g * y * x ** (y - 1.0), g * out * log(x)
    if y.node.constant not in (None, 0) and not y.type.shape:
        return for_x, for_y
    at_zero = equal(x, 0.0)
    return where(logical_and(at_zero, equal(y, 0.0)), 0.0, for_x), where(logical_and(at_zero, greater_equal(y, 0.0)), 0.0, for_y)


pow = binary("pow", "x to the power y; the gradient for y needs x >= 0.", _pow, _pow_grad, "Pow", "pow([2, 3], [3]) == [8, 27]",
             prepare=_pow_into, scalar=lambda x, y: x**y, domain=(0.5, 2.0), real=True)  # fmt: skip


def _neg_into(out: Any, x: Any) -> Callable[[], Any]:
    # NumPy's own negative (2.4) reads the wrong numbers of an array with as many between two of them as each has bytes.
    return partial(np.multiply, x, np.full((), -1, x.dtype), out)


neg = unary("neg", "-x.", np.negative, lambda g, out, x: (-g,), "Neg", "neg([1, -2]) == [-1, 2]", prepare=_neg_into, scalar=lambda x: -x)


def _check_divisor(y: Any) -> None:
    """Absent where whole numbers are divided by 0: NumPy would go on with 0."""
    if y.dtype.kind in "iu" and not y.all():
        raise Absent("a whole number is divided by 0", "keep the divisor from 0: `max(k, 1)`")


def _mod(x: Any, y: Any) -> Any:
    _check_divisor(y)
    return np.mod(x, y)


def _mod_into(out: Any, x: Any, y: Any) -> Callable[[], Any]:
    def run() -> None:
        _check_divisor(y)
        np.mod(x, y, out)

    return run


mod = binary("mod", "x modulo y, with the sign of y; not differentiable where x / y is whole.", _mod,
             lambda g, out, x, y: (g, -g * floor(x / y)), lambda o, x, y: o.floor_mod(x, y), "mod([5, -5], [3]) == [2, 1]",
             prepare=_mod_into, scalar=lambda x, y: x % y, domain=(0.5, 2.0), **_FLAT)  # fmt: skip


def _quotient(x: Any, y: Any) -> Any:
    _check_divisor(y)
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


quotient = Op("quotient(x: int[*s], y: int[*s]) -> int[*s]", "How many times y goes into x, whole numbers both, rounded towards 0.",
              _quotient, None, "Div", ("quotient([7, -7, 6], [2]) == [3, -3, 3]",), pointwise=True, dtype="int64",
              why="its output is not a float")  # fmt: skip


def _descend_into(out: Any, w: Any, v: Any, rate: Any) -> Callable[[], Any]:
    step = subtracted(v, out, rate) if rate.size == 1 and out.ctypes.data == w.ctypes.data and w.shape == v.shape == out.shape else None
    if step:
        return step
    move = aside(out.shape, out.dtype)

    def run() -> None:
        np.multiply(rate, v, move)
        np.subtract(w, move, out)

    return run


descend = Op("descend(w: [*s], v: [*s], rate: [*s]) -> [*s]", "w - rate v, a step downhill.", lambda w, v, rate: w - rate * v,
             lambda g, out, w, v, rate: (g, -(g * rate), -(g * v)),
             lambda o, w, v, rate: o.node("Sub", w, o.node("Mul", rate, v)), ("descend([5, 3], [2, 1], 0.5) == [4, 2.5]",),
             prepare=_descend_into, pointwise=True, in_place=False, onto="w", flops=lambda out, *_: 2 * count(out.shape))  # fmt: skip


def _blend_into(out: Any, x: Any, y: Any, a: Any, b: Any) -> Callable[[], Any]:
    step = blended(y, out, b, a) if out.ctypes.data == x.ctypes.data else None
    if step:
        return step
    new = aside(out.shape, out.dtype)

    def run() -> None:
        np.multiply(b, y, new)
        np.multiply(a, x, out)
        np.add(out, new, out)

    return run


blend = Op("blend(x: [n], y: [n], a: [], b: []) -> [n]", "a x + b y, a moving average of vectors.",
           lambda x, y, a, b: a * x + b * y, lambda g, out, x, y, a, b: (g * a, g * b, g * x, g * y),
           lambda o, x, y, a, b: o.node("Add", o.node("Mul", a, x), o.node("Mul", b, y)),
           ("blend([4, 0], [1, 2], 0.75, 0.25) == [3.25, 0.5]",), prepare=_blend_into, pointwise=True,
           in_place=False, onto="x")  # fmt: skip

stop_gradient: Op = unary("stop_gradient", "x itself, a constant to what it is made of.", np.positive, None, "Identity",
                          "stop_gradient([1, -2]) == [1, -2]", flops=lambda *_: 0, why="its gradient is 0")  # fmt: skip

# ---- functions

exp = unary("exp", "e^x.", np.exp, lambda g, y, x: (g * y,), "Exp", "exp([0]) == [1]", real=True)
log: Op = unary("log", "Natural logarithm; minus infinity at 0.", np.log, lambda g, y, x: (g / x,), "Log",
               "log([1]) == [0]", domain=(0.2, 3.0), real=True)  # fmt: skip
sqrt = unary("sqrt", "Square root; the gradient at 0 is infinite.", np.sqrt, lambda g, y, x: (g / (2.0 * y),), "Sqrt",
             "sqrt([9]) == [3]", domain=(0.2, 3.0), real=True)  # fmt: skip
square = unary("square", "x times x.", np.square, lambda g, y, x: (g * (2.0 * x),), lambda o, x: o.node("Mul", x, x),
               "square([-3]) == [9]", scalar=lambda x: x * x)  # fmt: skip
sin = unary("sin", "Sine of x in radians.", np.sin, lambda g, y, x: (g * cos(x),), "Sin", "sin([0]) == [0]", real=True)
cos: Op = unary("cos", "Cosine of x in radians.", np.cos, lambda g, y, x: (-(g * sin(x)),), "Cos", "cos([0]) == [1]", real=True)
atan = unary("atan", "The angle between -pi/2 and pi/2 whose tangent is x.", np.arctan, lambda g, y, x: (g / (1.0 + square(x)),), "Atan",
             "atan([0, 1]) ~= [0, 0.7853982]", real=True)  # fmt: skip
tanh = unary("tanh", "Hyperbolic tangent.", np.tanh, lambda g, y, x: (g * (1.0 - square(y)),), "Tanh", "tanh([0]) == [0]", real=True)
abs: Op = unary("abs", "|x|; the gradient at 0 is 0.", np.abs, lambda g, y, x: (g * sign(x),), "Abs", "abs([-2, 3]) == [2, 3]",
            scalar=math.fabs, **_FLAT)  # fmt: skip
sign: Op = unary("sign", "-1, 0 or 1; the gradient is 0.", np.sign, lambda g, y, x: (None,), "Sign", "sign([-2, 0, 3]) == [-1, 0, 1]",
             scalar=lambda x: (x > 0) - (x < 0), **_STEPS)  # fmt: skip
floor: Op = unary("floor", "The largest whole number not above x; the gradient is 0.", np.floor, lambda g, y, x: (None,), "Floor",
              "floor([1.5, -1.5]) == [1, -2]", **_STEPS)  # fmt: skip
ceil: Op = unary("ceil", "The smallest whole number not below x; the gradient is 0.", np.ceil, lambda g, y, x: (None,), "Ceil",
             "ceil([1.5, -1.5]) == [2, -1]", **_STEPS)  # fmt: skip
round: Op = unary("round", "The nearest whole number, at a half the even one; the gradient is 0.", np.rint, lambda g, y, x: (None,),
              "Round", "round([1.4, 1.5, 2.5, -0.5]) == [1, 2, 2, 0]", scalar=builtins.round, **_STEPS)  # fmt: skip


def _logistic(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def _logistic_into(out: Any, x: Any) -> Callable[[], Any]:
    """(1 + tanh(x / 2)) / 2: NumPy's tanh takes half as long as its exp."""
    half = np.full((), 0.5, x.dtype)

    def run() -> None:
        np.multiply(x, half, out)
        np.tanh(out, out)
        np.multiply(out, half, out)
        np.add(out, half, out)

    return run


sigmoid = unary("sigmoid", "1 / (1 + e^-x), without overflow.", _logistic, lambda g, y, x: (g * (y * (1.0 - y)),), "Sigmoid",
                "sigmoid([0]) == [0.5]", prepare=_logistic_into, scalar=lambda x: 1 / (1 + math.exp(-x)))  # fmt: skip


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros((), x.dtype))


def _softplus_into(out: Any, x: Any) -> Callable[[], Any]:
    """max(x, 0) + log(1 + e^-|x|): as it is, but NumPy computes it number by number."""
    rest, zero = aside_like(out), np.zeros((), x.dtype)

    def run() -> None:
        np.abs(x, rest)
        np.subtract(zero, rest, rest)
        np.exp(rest, rest)
        np.log1p(rest, rest)
        np.maximum(x, zero, out=out)
        np.add(out, rest, out)

    return run


softplus = unary("softplus", "log(1 + e^x), without overflow.", _softplus, lambda g, y, x: (g * sigmoid(x),), "Softplus",
                 "softplus([0]) ~= [0.69315]", scalar=lambda x: math.log1p(math.exp(x)),
                 prepare=_softplus_into)  # fmt: skip


def _relu_into(out: Any, x: Any) -> Callable[[], Any]:
    # An array of zeros: with the scalar 0 NumPy takes three times as long.
    to, rows = in_rows(out, x) or (out, x)
    return partial(np.maximum, rows, np.zeros(rows.shape[-1:], x.dtype), out=to)


relu = unary("relu", "max(x, 0); the gradient at 0 is 0.", lambda x: np.maximum(x, np.zeros((), x.dtype)), lambda g, y, x: (gate(g, y),),
             "Relu", "relu([-1, 2]) == [0, 2]", prepare=_relu_into, scalar=lambda x: max(x, 0), **_FLAT)  # fmt: skip


def _gate_into(out: Any, g: Any, y: Any) -> Callable[[], Any]:
    zero, open_ = np.zeros((), y.dtype), aside_like(out, bool)

    def run() -> None:
        np.greater(y, zero, open_)
        np.multiply(g, open_, out)

    return run


gate: Op = binary("gate", "x where y > 0, else 0 times x; the gradient for y is 0.", lambda x, y: x * (y > 0),
              lambda g, out, x, y: (gate(g, y), None),
              lambda o, x, y: o.node("Mul", x, o.cast(o.node("Greater", y, o.zero(y)), o.type(x).dtype)),
              "gate([5, 6, 7], [-1, 0, 1]) == [0, 0, 7]", prepare=_gate_into, **_FLAT)  # fmt: skip


def _larger(g: Var, x: Var, y: Var) -> Var:
    """The share of the gradient that x gets where x > y: all, and half at a tie."""
    return g * (cast(greater(x, y), dtype=g.type.dtype) + 0.5 * cast(equal(x, y), dtype=g.type.dtype))


maximum = binary("maximum", "The larger of x and y; at a tie each gets half of the gradient.", np.maximum,
                 lambda g, out, x, y: (_larger(g, x, y), _larger(g, y, x)), "Max", "maximum([1, 4], [3, 2]) == [3, 4]",
                 commutative=True, scalar=max, **_FLAT)  # fmt: skip
minimum = binary("minimum", "The smaller of x and y; at a tie each gets half of the gradient.", np.minimum,
                 lambda g, out, x, y: (_larger(g, y, x), _larger(g, x, y)), "Min", "minimum([1, 4], [3, 2]) == [1, 2]",
                 commutative=True, scalar=min, **_FLAT)  # fmt: skip

# ---- comparison, logic, choice

less = binary("less", "Whether x < y.", np.less, None, "Less", "less([1, 2], [2]) == [true, false]", scalar=lambda x, y: x < y, **_BOOLEAN)
less_equal = binary("less_equal", "Whether x <= y.", np.less_equal, None, "LessOrEqual", "less_equal([1, 3], [1]) == [true, false]",
                    scalar=lambda x, y: x <= y, **_BOOLEAN)  # fmt: skip
greater = binary("greater", "Whether x > y.", np.greater, None, "Greater", "greater([1, 3], [2]) == [false, true]",
                 scalar=lambda x, y: x > y, **_BOOLEAN)  # fmt: skip
greater_equal = binary("greater_equal", "Whether x >= y.", np.greater_equal, None, "GreaterOrEqual",
                       "greater_equal([1, 3], [3]) == [false, true]", scalar=lambda x, y: x >= y, **_BOOLEAN)  # fmt: skip
equal = binary("equal", "Whether x equals y.", np.equal, None, "Equal", "equal([1, 3], [3]) == [false, true]",
               scalar=lambda x, y: x == y, commutative=True, **_BOOLEAN)  # fmt: skip
not_equal = binary("not_equal", "Whether x differs from y.", np.not_equal, None, lambda o, x, y: o.node("Not", o.node("Equal", x, y)),
                   "not_equal([1, 3], [3]) == [true, false]", scalar=lambda x, y: x != y, commutative=True, **_BOOLEAN)  # fmt: skip
logical_and = Op("logical_and(x: bool[*s], y: bool[*s]) -> bool[*s]", "x and y.", np.logical_and, None, "And",
                 ("logical_and([true, true], [true, false]) == [true, false]",), pointwise=True, commutative=True,
                 scalar=lambda x, y: x and y, **_BOOLEAN)  # fmt: skip
logical_or = Op("logical_or(x: bool[*s], y: bool[*s]) -> bool[*s]", "x or y.", np.logical_or, None, "Or",
                ("logical_or([false, true], [false, false]) == [false, true]",), pointwise=True, commutative=True,
                scalar=lambda x, y: x or y, **_BOOLEAN)  # fmt: skip
logical_not = Op("logical_not(x: bool[*s]) -> bool[*s]", "not x.", np.logical_not, None, "Not",
                 ("logical_not([true, false]) == [false, true]",), pointwise=True, scalar=lambda x: not x, **_BOOLEAN)  # fmt: skip


def _where_into(out: Any, c: Any, x: Any, y: Any) -> Callable[[], Any]:
    """y with the bits changed in which x differs, where c holds: NumPy takes ten times as long over `where=`."""
    kind = f"i{out.itemsize}"
    bits, x_bits, y_bits = out.view(kind), x.view(kind), y.view(kind)
    chosen, zero = aside_like(c, kind), np.zeros((), kind)

    def run() -> None:
        np.copyto(chosen, c, "unsafe")
        np.subtract(zero, chosen, chosen)
        np.bitwise_xor(x_bits, y_bits, bits)
        np.bitwise_and(bits, chosen, bits)
        np.bitwise_xor(bits, y_bits, bits)

    return run


def _onnx_where(o: Any, c: str, x: str, y: str) -> str:
    if o.type(x).dtype != "bool":
        return str(o.node("Where", c, x, y))
    # onnxruntime has no Where for truth values.
    return str(o.node("Or", o.node("And", c, x), o.node("And", o.node("Not", c), y)))


where: Op = Op(
    "where(c: bool[*s], x: [*s], y: [*s]) -> [*s]",
    "x where c holds, else y; the other side gets no gradient.",
    kernel=np.where,
    grad=lambda g, out, c, x, y: (None, where(c, g, 0.0), where(c, 0.0, g)),
    onnx=_onnx_where,
    examples=(
        "where([true, false], [1, 2], [3, 4]) == [1, 4]",
        "where([true, false], [true, false], [false, true]) == [true, true]",
    ),
    prepare=_where_into,
    pointwise=True,
    in_place=False,
    smooth=False,
    scalar=lambda c, x, y: x if c else y,
)


def _cast_grad(g: Var, out: Var, x: Var, dtype: str) -> tuple[Var | None, ...]:
    return (cast(g, dtype=x.type.dtype),) if x.type.is_float and out.type.is_float else (None,)


cast = Op(
    "cast(x: [*s], dtype) -> [*s]",
    "x as numbers of another kind; true is 1, and a fraction loses what is behind the point.",
    kernel=lambda x, dtype: x.astype(dtype),
    grad=_cast_grad,
    onnx=lambda o, x, dtype: o.cast(x, dtype),
    examples=(
        "cast([true, false], dtype = float32) == [1, 0]",
        "cast([1.5, -1.5], dtype = int64) == [1, -1]",
        "cast([1.5], dtype = float32) == [1.5]",
    ),
    prepare=lambda out, x, dtype: partial(np.copyto, out, x, "unsafe"),
    pointwise=True,
)
