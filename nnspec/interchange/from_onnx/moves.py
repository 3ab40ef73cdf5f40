"""What several rules say of elements and axes, in operations of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnspec.array import Array
from nnspec.graph import Dim, Graph, Shape, Size, Var
from nnspec.graph.types import count, replaced
from nnspec.interchange.narrow import limits
from nnspec.ops.arrange import concat, cut, expand, flip, moved, pad, reshape, transpose
from nnspec.ops.index import take
from nnspec.ops.pointwise import cast, less, mod, where
from nnspec.ops.source import iota, size_of


def unsqueezed(x: Var, axes: Sequence[int]) -> Var:
    """With axes of length 1 at these places of the result."""
    shape = list(x.type.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return reshape(x, shape=tuple(shape))


def squeezed(x: Var, axes: Sequence[int]) -> Var:
    return reshape(x, shape=tuple(d for i, d in enumerate(x.type.shape) if i not in axes))


def aligned(x: Var, axis: int, rank: int) -> Var:
    """A vector along one axis of so many."""
    return reshape(x, shape=(1,) * axis + x.type.shape + (1,) * (rank - axis - 1))


def full(graph: Graph, value: float, shape: Shape, dtype: str) -> Var:
    """A value for every place of a shape."""
    return expand(graph.constant(value, dtype), shape=shape)


def as_value(graph: Graph, dim: Dim) -> Var:
    """A dimension as a value."""
    return graph.call(size_of, size=dim, dtype="int64") if isinstance(dim, Size) else graph.constant(dim, "int64")


# ---- stretches of an axis


def between(x: Var, axis: int, start: Dim, stop: Dim) -> Var:
    whole = start == 0 and stop == x.type.shape[axis]
    return x if whole else cut(x, axis=axis, start=start, stop=stop)


def every(x: Var, axis: int, step: int) -> Var:
    """Every so manieth element from the first on; an axis whose size is not known then has to be divisible."""
    length = x.type.shape[axis]
    if step == 1:
        return x
    if isinstance(length, int) and length % step:
        x = pad(x, axis=axis, before=0, after=-length % step)
    windows = x.type.shape[axis] // step
    split = reshape(x, shape=(*x.type.shape[:axis], windows, step, *x.type.shape[axis + 1 :]))
    return reshape(cut(split, axis=axis + 1, start=0, stop=1), shape=replaced(x.type.shape, axis, windows))


def around(x: Var, axis: int, before: int, after: int, mode: str, value: Var | None) -> Var:
    """More elements before and after those of an axis, or fewer where a number is negative."""
    length = x.type.shape[axis]
    x = between(x, axis, max(0, -before), length - max(0, -after))
    before, after = max(0, before), max(0, after)
    if mode == "constant":
        if value is None:
            return pad(x, axis=axis, before=before, after=after) if before or after else x
        parts = [expand(value, shape=replaced(x.type.shape, axis, n)) if n else None for n in (before, after)]
        return joined([parts[0], x, parts[1]], axis)
    length = x.type.shape[axis]
    if isinstance(length, int):
        return rows(x, np.pad(np.arange(length), (before, after), mode=mode), axis)  # type: ignore[call-overload]  # NumPy's names
    ends = _ends(x, axis, before, after, mode, length)
    return joined([ends[0], x, ends[1]], axis)


def _ends(x: Var, axis: int, before: int, after: int, mode: str, length: Dim) -> tuple[Var | None, Var | None]:
    """What stands before and after an axis whose length is known only at run time."""
    if mode == "edge":
        first, last = between(x, axis, 0, 1), between(x, axis, length - 1, length)
        shapes = [replaced(x.type.shape, axis, n) for n in (before, after)]
        return expand(first, shape=shapes[0]) if before else None, expand(last, shape=shapes[1]) if after else None
    starts: tuple[Dim, Dim] = (length - before, 0) if mode == "wrap" else (1, length - 1 - after)
    ends = [between(x, axis, s, s + n) if n else None for s, n in zip(starts, (before, after), strict=True)]
    if mode == "reflect":
        ends = [end and flip(end, axis=axis) for end in ends]
    return ends[0], ends[1]


def joined(parts: Sequence[Var | None], axis: int) -> Var:
    there = [p for p in parts if p is not None]
    return there[0] if len(there) == 1 else concat(*there, axis=axis)


# ---- elements by their number


def rows(x: Var, numbers: Array, axis: int) -> Var:
    """The elements of these known numbers along an axis."""
    first, last = int(numbers[0]) if len(numbers) else 0, int(numbers[-1]) if len(numbers) else 0
    if np.array_equal(numbers, np.arange(first, last + 1)):
        return between(x, axis, first, last + 1)
    return gathered(x, x.graph.constant(tuple(map(int, numbers)), "int64"), axis)


def gathered(x: Var, i: Var, axis: int) -> Var:
    """The slices of x of these numbers along an axis, in the place of that axis."""
    if axis == 0:
        return take(x, i)
    front = take(moved(x, axis, 0), i)
    order = tuple(range(i.type.rank, i.type.rank + axis)) + tuple(range(i.type.rank)) + tuple(range(i.type.rank + axis, front.type.rank))
    return transpose(front, axes=order)


def counting(graph: Graph, length: Dim) -> Var:
    """The numbers 0, 1, 2, ..."""
    return graph.call(iota, length=length, dtype="int64")


def number_of(i: Var, shape: Shape, axis: int) -> Var:
    """The number of each element in a flat array of this shape: its own place, but for one axis, where `i` says it."""
    total = i * as_value(i.graph, count(shape[axis + 1 :]))
    for other, length in enumerate(i.type.shape):
        if other != axis:
            along = counting(i.graph, length) * as_value(i.graph, count(shape[other + 1 :]))
            total = total + aligned(along, other, i.type.rank)
    return total


def elements(x: Var, i: Var, axis: int) -> Var:
    """For each element of i, that of x of this number along one axis and of its own place along the others."""
    return take(flat(x), number_of(i, x.type.shape, axis))


def from_start(i: Var, length: Dim) -> Var:
    """Numbers counted from the start where some are negative and count from the end."""
    return where(less(i, 0), i + as_value(i.graph, length), i)


def flat(x: Var) -> Var:
    return reshape(x, shape=(count(x.type.shape),))


def as_kind(x: Var, dtype: str) -> Var:
    return x if x.type.dtype == dtype else cast(x, dtype=dtype)


def wrapped(x: Var, dtype: str) -> Var:
    """The whole numbers that are left of x in so few bits."""
    low, high = limits(dtype)
    return mod(x - low, high - low + 1) + low if low else mod(x, high + 1)
