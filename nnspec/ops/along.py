"""Running sums and ranks along one axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nnspec.graph import Op
from nnspec.graph.op import along_axis
from nnspec.graph.types import count
from nnspec.lazy import np


def _turned(x: Any, axis: int, reverse: bool) -> Any:
    return np.flip(x, axis) if reverse else x


def _cumsum_into(out: Any, x: Any, axis: int, reverse: bool) -> Callable[[], Any]:
    return partial(np.add.accumulate, _turned(x, axis, reverse), axis, None, _turned(out, axis, reverse))


cumsum: Op = Op(
    "cumsum(x: [*s], axis, reverse) -> [*s]",
    "The sum of each element and those before it along an axis; of those after it, if `reverse`.",
    kernel=lambda x, axis, reverse: _turned(np.cumsum(_turned(x, axis, reverse), axis), axis, reverse),
    grad=lambda g, out, x, axis, reverse: (cumsum(g, axis=axis, reverse=not reverse),),
    onnx=lambda o, x, axis, reverse: o.node("CumSum", x, o.constant(axis, "int64"), reverse=int(reverse)),
    examples=(
        "cumsum([[1, 2, 3], [4, 5, 6]], axis = 1, reverse = false) == [[1, 3, 6], [4, 9, 15]]",
        "cumsum([[1, 2, 3], [4, 5, 6]], axis = 0, reverse = true) == [[5, 7, 9], [4, 5, 6]]",
    ),
    prepare=_cumsum_into,
    strided=True,
    flops=lambda out, x, **_: count(x.shape),
    meets=along_axis,
)


def _rank_of(x: Any, axis: int) -> Any:
    """Equal elements are neighbours once sorted: each gets the mean of the first and last place of its run."""
    order = np.argsort(x, axis, kind="stable")
    ordered = np.moveaxis(np.take_along_axis(x, order, axis), axis, -1)
    place = np.broadcast_to(np.arange(ordered.shape[-1]), ordered.shape)
    starts = np.concatenate([np.ones((*ordered.shape[:-1], 1), bool), ordered[..., 1:] != ordered[..., :-1]], -1)
    ends = np.roll(starts, -1, -1)
    first = np.maximum.accumulate(np.where(starts, place, 0), -1)
    last = np.flip(np.minimum.accumulate(np.flip(np.where(ends, place, ordered.shape[-1]), -1), -1), -1)
    ranks = np.empty(order.shape, x.dtype)
    np.put_along_axis(ranks, order, np.moveaxis((first + last) / 2 + 1, -1, axis).astype(x.dtype), axis)
    return np.where(np.isnan(x), x, ranks)


def _onnx_rank_of(o: Any, x: str, axis: int) -> str:
    """Each against each: one more than are less, and half of those that are equal; of what is no number, itself."""
    dtype, one, other = o.type(x).dtype, o.unsqueeze(x, axis + 1), o.unsqueeze(x, axis)
    less, equal = (o.reduce("ReduceSum", o.cast(o.node(op, other, one), dtype), (axis + 1,), False) for op in ("Less", "Equal"))
    rank = o.node("Add", less, o.node("Mul", o.node("Add", equal, o.constant(1, dtype)), o.constant(0.5, dtype)))
    return str(o.node("Where", o.node("IsNaN", x), x, rank))


rank_of = Op(
    "rank_of(x: [*s], axis) -> [*s]",
    "The place of each element among those along an axis, from 1 for the smallest; equal ones share the mean of their places; what is no"
    " number has none.",
    kernel=_rank_of,
    onnx=_onnx_rank_of,
    examples=(
        "rank_of([0.3, 0.1, 0.3, 0.9], axis = 0) == [2.5, 1, 2.5, 4]",
        "rank_of([[2, 1, 2], [7, 7, 7], [5, 4, 3]], axis = 1) == [[2.5, 1, 2.5], [2, 2, 2], [3, 2, 1]]",
        "rank_of([[2, 1], [7, 0]], axis = 0) == [[1, 2], [2, 1]]",
    ),
    why="a rank does not change until elements change places",
    meets=along_axis,
)
