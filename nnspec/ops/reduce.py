"""Reductions over axes, and the softmax family. `axes` counts from 0; `keep` leaves axes of length 1 behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nnspec.graph import Op, Shape, Type, Var
from nnspec.graph.op import along_axes, along_axis
from nnspec.graph.types import Dim, count
from nnspec.lazy import np
from nnspec.ops.arrange import expand, reshape
from nnspec.ops.pointwise import cast, equal, exp, where
from nnspec.ops.softmax import log_softmax_into, softmax_into
from nnspec.ops.source import size_of
from nnspec.ops.totals import Axes, exactly, sum_into


def reduced(x: Type, axes: Axes, keep: bool) -> Shape:
    return tuple(1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes)


def kept(x: Type, axes: Axes) -> Shape:
    return reduced(x, axes, True)


def _spread(g: Var, x: Var, axes: Axes) -> Var:
    """A reduced value laid back over the axes it was reduced from."""
    return expand(reshape(g, shape=kept(x.type, axes)), shape=x.type.shape)


def _number(x: Type, axes: Axes) -> Dim:
    return count(x.shape[a] for a in axes)


def size_var(like: Var, size: Dim) -> Var:
    """A size as a scalar of the graph."""
    if isinstance(size, int):
        return like.graph.constant(float(size), like.type.dtype)
    return like.graph.call(size_of, size=size, dtype=like.type.dtype)


def _reduce_into(ufunc: Any) -> Callable[..., Callable[[], Any]]:
    """The ufunc's own reduction: np.sum and its like spend longer on the way to it than on 64 numbers."""
    return lambda out, x, axes, keep: partial(ufunc.reduce, x, axes, None, out, keep)


def _mean_into(out: Any, x: Any, axes: Axes, keep: bool) -> Callable[[], Any]:
    total, number = sum_into(out, x, axes, keep), x.size / (out.size or 1)
    array = np.asarray(number, x.dtype)

    def run() -> None:
        total()
        np.divide(out, array, out)

    def run_one() -> None:
        total()
        out[()] = out.item() / number

    return run_one if out.ndim == 0 else run


def _onnx(kind: str) -> Callable[..., str]:
    return lambda o, x, axes, keep: str(o.reduce(kind, x, axes, keep))


def _work(out: Type, x: Type, **_: Any) -> Dim:
    return count(x.shape)


sum = Op(
    "sum(x: [*s], axes, keep) -> [*r]",
    "The sum over axes.",
    kernel=lambda x, axes, keep: exactly(np.sum, x, axes, keep),
    grad=lambda g, y, x, axes, keep: (_spread(g, x, axes),),
    onnx=_onnx("ReduceSum"),
    examples=("sum([[1, 2], [3, 4]], axes = [0], keep = false) == [4, 6]", "sum([[1, 2], [3, 4]], axes = [0, 1], keep = true) == [[10]]"),
    shape=reduced,
    prepare=sum_into,
    strided=True,
    flops=_work,
    meets=along_axes,
    adds_up=True,
)
mean = Op(
    "mean(x: [*s], axes, keep) -> [*r]",
    "The mean over axes.",
    kernel=lambda x, axes, keep: exactly(np.mean, x, axes, keep),
    grad=lambda g, y, x, axes, keep: (_spread(g / size_var(g, _number(x.type, axes)), x, axes),),
    onnx=_onnx("ReduceMean"),
    examples=("mean([[1, 2], [3, 4]], axes = [0], keep = false) == [2, 3]", "mean([1, 3], axes = [0], keep = true) == [2]"),
    shape=reduced,
    prepare=_mean_into,
    strided=True,
    flops=_work,
    meets=along_axes,
)


def _prod_grad(g: Var, y: Var, x: Var, axes: Axes, keep: bool) -> tuple[Var]:
    """Each factor gets the product of the others, that of those other than 0 where it is the only one that is 0."""
    zero = equal(x, 0.0)
    rest, mine = where(zero, 1.0, x), cast(zero, dtype=x.type.dtype)
    alone = equal(sum(mine, axes=axes, keep=True), mine)
    return (_spread(g, x, axes) * where(alone, prod(rest, axes=axes, keep=True) / rest, 0.0),)


prod: Op = Op(
    "prod(x: [*s], axes, keep) -> [*r]",
    "The product over axes; its second derivative needs factors other than 0.",
    kernel=lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep),
    grad=_prod_grad,
    onnx=_onnx("ReduceProd"),
    examples=("prod([[1, 2], [3, 4]], axes = [1], keep = false) == [2, 12]",),
    shape=reduced,
    prepare=lambda *a, **k: _reduce_into(np.multiply)(*a, **k),
    strided=True,
    flops=_work,
    meets=along_axes,
    domain=(0.5, 2.0),
)


def _extreme_grad(g: Var, y: Var, x: Var, axes: Axes, keep: bool) -> tuple[Var]:
    hit = cast(equal(x, _spread(y, x, axes)), dtype=x.type.dtype)
    return (_spread(g, x, axes) * hit / sum(hit, axes=axes, keep=True),)


max = Op(
    "max(x: [*s], axes, keep) -> [*r]",
    "The largest element over axes; equal ones share the gradient.",
    kernel=lambda x, axes, keep: np.max(x, axis=axes, keepdims=keep),
    grad=_extreme_grad,
    onnx=_onnx("ReduceMax"),
    examples=("max([[1, 5], [3, 4]], axes = [1], keep = false) == [5, 4]",),
    shape=reduced,
    prepare=lambda *a, **k: _reduce_into(np.maximum)(*a, **k),
    strided=True,
    smooth=False,
    flops=_work,
    meets=along_axes,
)
min = Op(
    "min(x: [*s], axes, keep) -> [*r]",
    "The smallest element over axes; equal ones share the gradient.",
    kernel=lambda x, axes, keep: np.min(x, axis=axes, keepdims=keep),
    grad=_extreme_grad,
    onnx=_onnx("ReduceMin"),
    examples=("min([[1, 5], [3, 4]], axes = [1], keep = false) == [1, 3]",),
    shape=reduced,
    prepare=lambda *a, **k: _reduce_into(np.minimum)(*a, **k),
    strided=True,
    smooth=False,
    flops=_work,
    meets=along_axes,
)
argmax = Op(
    "argmax(x: [*s], axis) -> int[*r]",
    "The position of the largest element along an axis; the first of equal ones.",
    kernel=lambda x, axis: np.argmax(x, axis=axis),
    onnx=lambda o, x, axis: o.node("ArgMax", x, axis=axis, keepdims=0),
    examples=("argmax([[1, 5, 5], [3, 4, 0]], axis = 1) == [1, 1]",),
    shape=lambda x, axis: reduced(x, (axis,), False),
    dtype="int64",
    prepare=lambda out, x, axis: partial(np.argmax, x, axis, out),
    why="its output is not a float",
    meets=along_axis,
)

# ---- the softmax family: what the formulas of the library become, without overflow


def _shifted(x: Any, axes: Axes) -> Any:
    return x - np.max(x, axis=axes, keepdims=True) if x.size else x


def _softmax(x: Any, axes: Axes) -> Any:
    e = np.exp(_shifted(x, axes))
    return e / np.sum(e, axis=axes, keepdims=True)


def _log_sum_exp(x: Any, axes: Axes, keep: bool) -> Any:
    top = np.max(x, axis=axes, keepdims=True) if x.size else 0.0
    y = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
    return y if keep else np.squeeze(y, axes)


def _onnx_softmax(o: Any, x: str, axes: Axes) -> str:
    if len(axes) == 1:
        return str(o.node("Softmax", x, axis=axes[0]))
    e = o.node("Exp", o.node("Sub", x, o.reduce("ReduceMax", x, axes, True)))
    return str(o.node("Div", e, o.reduce("ReduceSum", e, axes, True)))


def _onnx_log_softmax(o: Any, x: str, axes: Axes) -> str:
    if len(axes) == 1:
        return str(o.node("LogSoftmax", x, axis=axes[0]))
    return str(o.node("Sub", x, o.reduce("ReduceLogSumExp", x, axes, True)))


def _softmax_grad(g: Var, y: Var, x: Var, axes: Axes) -> tuple[Var]:
    return (y * (g - sum(g * y, axes=axes, keep=True)),)


def _log_softmax_grad(g: Var, y: Var, x: Var, axes: Axes) -> tuple[Var]:
    return (g - exp(y) * sum(g, axes=axes, keep=True),)


softmax = Op(
    "softmax(x: [*s], axes) -> [*s]",
    "e^x over its sum over axes.",
    kernel=_softmax,
    grad=_softmax_grad,
    onnx=_onnx_softmax,
    examples=("softmax([0, 0], axes = [0]) == [0.5, 0.5]", "softmax([[1, 1], [800, 800]], axes = [1]) == [[0.5, 0.5], [0.5, 0.5]]"),
    prepare=softmax_into,
    flops=lambda out, x, axes: 5 * count(x.shape),
    meets=along_axes,
)
log_softmax = Op(
    "log_softmax(x: [*s], axes) -> [*s]",
    "The logarithm of softmax over axes.",
    kernel=lambda x, axes: (s := _shifted(x, axes)) - np.log(np.sum(np.exp(s), axis=axes, keepdims=True)),
    grad=_log_softmax_grad,
    onnx=_onnx_log_softmax,
    examples=("log_softmax([[0, 0]], axes = [1]) ~= [[-0.69315, -0.69315]]",),
    prepare=log_softmax_into,
    flops=lambda out, x, axes: 5 * count(x.shape),
    meets=along_axes,
)
logsumexp = Op(
    "logsumexp(x: [*s], axes, keep) -> [*r]",
    "The logarithm of the sum of e^x over axes.",
    kernel=_log_sum_exp,
    grad=lambda g, y, x, axes, keep: (_spread(g, x, axes) * exp(x - _spread(y, x, axes)),),
    onnx=_onnx("ReduceLogSumExp"),
    examples=(
        "logsumexp([[0, 0]], axes = [1], keep = false) ~= [0.69315]",
        "logsumexp([[0, 0], [1, 1]], axes = [1], keep = true) ~= [[0.69315], [1.69315]]",
    ),
    shape=reduced,
    flops=lambda out, x, axes, keep: 4 * count(x.shape),
    meets=along_axes,
)
