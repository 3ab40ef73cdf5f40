"""Reductions over axes, the softmax family, and the largest along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nnspec.graph import Var
from nnspec.graph.types import count
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import as_value, elements, full
from nnspec.interchange.from_onnx.roots import root
from nnspec.ops import pointwise as p
from nnspec.ops import reduce as r
from nnspec.ops.along import cumsum
from nnspec.ops.arrange import cut, flip, moved, pad, reshape
from nnspec.ops.index import one_hot, top

SINCE_SOFTMAX_OF_ONE_AXIS = 13


def _axes(c: Call, x: Var) -> tuple[int, ...]:
    """The axes that are reduced: all where none are named, unless that is to mean none."""
    axes = c.axes("axes", 1, x.type.rank)
    if not axes:
        return () if c.attr("noop_with_empty_axes", 0) else tuple(range(x.type.rank))
    return tuple(sorted(axes))


def _reduction(op: Callable[..., Var]) -> Rule:
    def rule(c: Call, x: Var, _: Var | None = None) -> Var:
        axes = _axes(c, x)
        return op(x, axes=axes, keep=bool(c.attr("keepdims", 1))) if axes or x.type.rank == 0 else x

    return rule


def _formula(before: Callable[[Var], Var], op: Any, after: Callable[[Var], Var] = lambda x: x) -> Rule:
    """A reduction of a function of x; both functions hold without axes too."""

    def rule(c: Call, x: Var, _: Var | None = None) -> Var:
        axes = _axes(c, x)
        value = before(x)
        return after(op(value, axes=axes, keep=bool(c.attr("keepdims", 1))) if axes else value)

    return rule


def _extreme(op: Any, nothing: float) -> Rule:
    """One that is infinite over no elements at all."""

    def rule(c: Call, x: Var, _: Var | None = None) -> Var:
        axes, keep = _axes(c, x), bool(c.attr("keepdims", 1))
        if axes and count(x.type.shape[a] for a in axes) == 0:
            least: Any = nothing if x.type.is_float else nothing > 0
            return full(c.graph, least, r.reduced(x.type, axes, keep), x.type.dtype)
        return op(x, axes=axes, keep=keep) if axes else x

    return rule


def _arg(sign: int) -> Rule:
    def rule(c: Call, x: Var) -> Var:
        axis = c.axis_of(x, 0)
        x = -x if sign < 0 else x
        found = r.argmax(x, axis=axis)
        if c.attr("select_last_index", 0):
            found = as_value(c.graph, x.type.shape[axis] - 1) - r.argmax(flip(x, axis=axis), axis=axis)
        return reshape(found, shape=r.kept(x.type, (axis,))) if c.attr("keepdims", 1) else found

    return rule


# ---- along one axis


def _over(op: Callable[..., Var]) -> Rule:
    """A function over the last axis, or in older versions over all axes from one on."""

    def rule(c: Call, x: Var) -> Var:
        if c.opset >= SINCE_SOFTMAX_OF_ONE_AXIS:
            return op(x, axes=(c.axis_of(x, -1),))
        return op(x, axes=tuple(range(c.axis_of(x, 1), x.type.rank)))

    return rule


def _hard_max_of(x: Var, axes: tuple[int, ...]) -> Var:
    first = (
        moved(x, axes[0], x.type.rank - 1)
        if len(axes) == 1
        else reshape(x, shape=(*x.type.shape[: axes[0]], count(x.type.shape[axes[0] :])))
    )
    hot = one_hot(r.argmax(first, axis=first.type.rank - 1), size=first.type.shape[-1], dtype=x.type.dtype)
    return moved(hot, x.type.rank - 1, axes[0]) if len(axes) == 1 else reshape(hot, shape=x.type.shape)


def _cumsum(c: Call, x: Var, _: Var) -> Var:
    (axis,) = c.axes("axis", 1, x.type.rank) or (0,)
    reverse, length = bool(c.attr("reverse", 0)), x.type.shape[axis]
    if c.attr("exclusive", 0):
        kept = cut(x, axis=axis, start=int(reverse), stop=length - 1 + reverse)
        x = pad(kept, axis=axis, before=1 - reverse, after=int(reverse))
    return cumsum(x, axis=axis, reverse=reverse)


def _top_k(c: Call, x: Var, _: Var | None = None) -> tuple[Var, ...]:
    axis = c.axis_of(x, -1)
    (k,) = c.ints("k", 1) or (1,)
    last = moved(x, axis, x.type.rank - 1)
    numbers = top(last if c.attr("largest", 1) else -last, size=k)
    return tuple(moved(v, x.type.rank - 1, axis) for v in (elements(last, numbers, x.type.rank - 1), numbers))


RULES: dict[str, Rule] = {
    "ReduceSum": _reduction(r.sum),
    "ReduceMean": _reduction(r.mean),
    "ReduceProd": _reduction(r.prod),
    "ReduceMax": _extreme(r.max, -math.inf),
    "ReduceMin": _extreme(r.min, math.inf),
    "ReduceLogSumExp": _extreme(r.logsumexp, -math.inf),
    "ReduceL1": _formula(p.abs, r.sum),
    "ReduceL2": _formula(p.square, r.sum, root),
    "ReduceSumSquare": _formula(p.square, r.sum),
    "ReduceLogSum": _formula(lambda x: x, r.sum, p.log),
    "ArgMax": _arg(1),
    "ArgMin": _arg(-1),
    "Softmax": _over(r.softmax),
    "LogSoftmax": _over(r.log_softmax),
    "Hardmax": _over(_hard_max_of),
    "CumSum": _cumsum,
    "TopK": _top_k,
}
