"""Ops that move or choose elements and compute nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nnspec.graph import Op, Shape, Type, Var
from nnspec.graph.op import along_axis, nowhere
from nnspec.graph.shapes import Mismatch
from nnspec.graph.types import Dim, broadcast, count, replaced, show
from nnspec.lazy import np


def _expand_shape(x: Type, shape: Shape) -> Shape:
    if broadcast(x.shape, shape) != shape:
        raise Mismatch(f"{show(x.shape)} does not broadcast to {show(shape)}", "x")
    return shape


def _reshape_shape(x: Type, shape: Shape) -> Shape:
    if count(x.shape) != count(shape):
        raise Mismatch(f"{show(x.shape)} has {count(x.shape)} elements, {show(shape)} has {count(shape)}", "shape")
    return shape


reshape: Op = Op(
    "reshape(x: [*s], shape) -> [*r]",
    "The same elements, row by row, in another shape.",
    kernel=lambda x, shape: np.reshape(x, shape),
    grad=lambda g, out, x, shape: (reshape(g, shape=x.type.shape),),
    onnx=lambda o, x, shape: o.reshape(x, shape),
    examples=("reshape([[1, 2], [3, 4]], shape = [4]) == [1, 2, 3, 4]",),
    shape=_reshape_shape,
    view=True,
    meets=nowhere,
)
expand = Op(
    "expand(x: [*s], shape) -> [*r]",
    "x repeated along new axes and axes of length 1.",
    kernel=lambda x, shape: np.broadcast_to(x, shape),
    grad=lambda g, out, x, shape: (g,),
    onnx=lambda o, x, shape: o.node("Expand", x, o.shape(shape)),
    examples=("expand([[1], [2]], shape = [2, 2]) == [[1, 1], [2, 2]]",),
    shape=_expand_shape,
    view=True,
    meets=nowhere,
)
transpose: Op = Op(
    "transpose(x: [*s], axes) -> [*r]",
    "Axis i of the result is axis `axes[i]` of x.",
    kernel=lambda x, axes: np.transpose(x, axes),
    grad=lambda g, out, x, axes: (transpose(g, axes=tuple(axes.index(i) for i in range(len(axes)))),),
    onnx=lambda o, x, axes: o.node("Transpose", x, perm=list(axes)),
    examples=("transpose([[1, 2], [3, 4]], axes = [1, 0]) == [[1, 3], [2, 4]]",),
    shape=lambda x, axes: tuple(x.shape[a] for a in axes),
    view=True,
    meets=nowhere,
)
flip: Op = Op(
    "flip(x: [*s], axis) -> [*s]",
    "The elements of one axis from the last to the first.",
    kernel=lambda x, axis: np.flip(x, axis),
    grad=lambda g, out, x, axis: (flip(g, axis=axis),),
    onnx=lambda o, x, axis: o.node("Slice", x, o.ints((-1,)), o.ints((-(2**63),)), o.ints((axis,)), o.ints((-1,))),
    examples=("flip([[1, 2], [3, 4]], axis = 0) == [[3, 4], [1, 2]]", "flip([1, 2, 3], axis = 0) == [3, 2, 1]"),
    view=True,
    meets=along_axis,
)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _pad(x: Any, axis: int, before: int, after: int) -> Any:
    return np.pad(x, [(before, after) if i == axis else (0, 0) for i in range(x.ndim)])


def _pad_into(out: Any, x: Any, axis: int, before: int, after: int) -> Callable[[], Any]:
    inside = _cut(out, axis, before, before + x.shape[axis])

    def run() -> None:
        out.fill(0)
        np.copyto(inside, x)

    return run


def _onnx_pad(o: Any, x: str, axis: int, before: Dim, after: Dim) -> str:
    rank = o.type(x).rank
    return str(o.node("Pad", x, o.shape(tuple(amount if i == axis else 0 for amount in (before, after) for i in range(rank)))))


cut: Op = Op(
    "cut(x: [*s], axis, start, stop) -> [*r]",
    "The elements from `start` up to `stop` along one axis.",
    kernel=_cut,
    grad=lambda g, out, x, axis, start, stop: (pad(g, axis=axis, before=start, after=x.type.shape[axis] - stop),),
    onnx=lambda o, x, axis, start, stop: o.node("Slice", x, o.shape((start,)), o.shape((stop,)), o.ints((axis,))),
    examples=("cut([1, 2, 3], axis = 0, start = 1, stop = 3) == [2, 3]",),
    shape=lambda x, axis, start, stop: replaced(x.shape, axis, stop - start),
    view=True,
    meets=along_axis,
)
pad: Op = Op(
    "pad(x: [*s], axis, before, after) -> [*r]",
    "x with zeros before and after it along one axis.",
    kernel=_pad,
    grad=lambda g, out, x, axis, before, after: (cut(g, axis=axis, start=before, stop=before + x.type.shape[axis]),),
    onnx=_onnx_pad,
    examples=("pad([1, 2], axis = 0, before = 1, after = 2) == [0, 1, 2, 0, 0]",),
    shape=lambda x, axis, before, after: replaced(x.shape, axis, x.shape[axis] + before + after),
    prepare=_pad_into,
    meets=along_axis,
)

# ---- several values as one


def _concat_shape(*xs: Type, axis: int) -> Shape:
    first = xs[0].shape
    for x in xs[1:]:
        if replaced(x.shape, axis, 0) != replaced(first, axis, 0):
            raise Mismatch(f"{show(first)} and {show(x.shape)} differ in more than axis {axis}, along which they are joined", "xs")
    total: Dim = 0
    for x in xs:
        total = x.shape[axis] + total
    return replaced(first, axis, total)


def _stretches(xs: Iterable[Any], axis: int) -> Iterator[tuple[Any, Any]]:
    """Where each value starts and stops along the axis of the whole; of arrays or of types."""
    start: Dim = 0
    for x in xs:
        stop = x.shape[axis] + start
        yield start, stop
        start = stop


def _concat_into(out: Any, *xs: Any, axis: int) -> Callable[[], Any]:
    parts = [_cut(out, axis, *stretch) for stretch in _stretches(xs, axis)]

    def run() -> None:
        for part, x in zip(parts, xs, strict=True):
            np.copyto(part, x)

    return run


def _concat_grad(g: Var, out: Var, *xs: Var, axis: int) -> tuple[Var, ...]:
    return tuple(cut(g, axis=axis, start=start, stop=stop) for start, stop in _stretches((x.type for x in xs), axis))


concat = Op(
    "concat(xs: [*s], axis) -> [*r]",
    "Any number of values one after another along an axis that is there already.",
    kernel=lambda *xs, axis: np.concatenate(xs, axis),
    grad=_concat_grad,
    onnx=lambda o, *xs, axis: o.node("Concat", *xs, axis=axis),
    examples=(
        "concat([1, 2], [3], [4, 5], axis = 0) == [1, 2, 3, 4, 5]",
        "concat([[1, 2], [3, 4]], [[5], [6]], axis = 1) == [[1, 2, 5], [3, 4, 6]]",
        "concat([[1, 2]], axis = 1) == [[1, 2]]",
    ),
    shape=_concat_shape,
    prepare=_concat_into,
    variadic=True,
    strided=True,
    meets=along_axis,
)


def moved(x: Var, axis: int, to: int) -> Var:
    """One axis in another place, the order of the others kept."""
    order = [i for i in range(x.type.rank) if i != axis]
    order.insert(to, axis)
    return x if axis == to else transpose(x, axes=tuple(order))
