"""Pooling over images: the largest or the mean of each window. Pads are never counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnspec.graph import Op, Shape, Type
from nnspec.graph.types import count
from nnspec.lazy import np
from nnspec.ops.image import Pads, Pair, grid_of, inside, offsets, padded

_ONE = (1, 1)


def _pool_shape(x: Type, kernel: Pair, strides: Pair, pads: Pads) -> Shape:
    return (*x.shape[:2], *grid_of(x, kernel, strides, pads, _ONE))


def _same_shape(x: Type, *_: Any, **__: Any) -> Shape:
    return x.shape


class _Padded:
    """A padded image in memory of its own, and the slices of it that the places of a window see."""

    def __init__(self, x: Any, kernel: Pair, strides: Pair, pads: Pads, grid: Pair, value: float) -> None:
        top, left, bottom, right = pads
        size = (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)
        self.whole = np.full(size, value, x.dtype) if any(pads) else x
        self.image = inside(self.whole, pads)
        self.slices = [self.whole[:, :, rows, cols] for rows, cols in offsets(kernel, strides, _ONE, grid)]


def _max_pool(x: Any, kernel: Pair, strides: Pair, pads: Pads) -> Any:
    grid = grid_of(Type("", x.shape), kernel, strides, pads, _ONE)
    p = padded(x, pads, -np.inf)
    return np.max([p[:, :, rows, cols] for rows, cols in offsets(kernel, strides, _ONE, grid)], axis=0)


def _max_pool_into(out: Any, x: Any, kernel: Pair, strides: Pair, pads: Pads) -> Callable[[], Any]:
    p = _Padded(x, kernel, strides, pads, out.shape[2:], -np.inf)

    def run() -> None:
        if p.whole is not x:
            np.copyto(p.image, x)
        np.copyto(out, p.slices[0])
        for part in p.slices[1:]:
            np.maximum(out, part, out=out)

    return run


def _max_pool_grad(g: Any, x: Any, y: Any, kernel: Pair, strides: Pair, pads: Pads) -> Any:
    out = np.empty_like(x)
    _max_pool_grad_into(out, g, x, y, kernel, strides, pads)()
    return out


def _max_pool_grad_into(out: Any, g: Any, x: Any, y: Any, kernel: Pair, strides: Pair, pads: Pads) -> Callable[[], Any]:
    seen = _Padded(x, kernel, strides, pads, y.shape[2:], -np.inf)
    into = _Padded(np.empty_like(x), kernel, strides, pads, y.shape[2:], 0.0)
    free, hit, part = np.empty(y.shape, bool), np.empty(y.shape, bool), np.empty_like(g)

    def run() -> None:
        if seen.whole is not x:
            np.copyto(seen.image, x)
        into.whole.fill(0)
        free.fill(True)
        for value, target in zip(seen.slices, into.slices, strict=True):
            np.equal(value, y, hit)
            np.logical_and(hit, free, hit)
            np.greater(free, hit, free)  # free and not hit: the first of equal ones takes all
            np.multiply(g, hit, part)
            np.add(target, part, target)
        np.copyto(out, into.image)

    return run


def _onnx_pool(o: Any, kind: str, x: str, kernel: Pair, strides: Pair, pads: Pads, **more: Any) -> str:
    return str(o.node(kind, x, kernel_shape=list(kernel), strides=list(strides), pads=list(pads), **more))


def _onnx_max_pool_grad(o: Any, g: str, x: str, y: str, kernel: Pair, strides: Pair, pads: Pads) -> str:
    _, indices = o.nodes("MaxPool", 2, x, kernel_shape=list(kernel), strides=list(strides), pads=list(pads))
    flat = o.ints((-1,))
    zeros = o.node("Reshape", o.node("Expand", o.zero(x), o.node("Shape", x)), flat)
    summed = o.node("ScatterElements", zeros, o.node("Reshape", indices, flat), o.node("Reshape", g, flat), reduction="add")
    return str(o.node("Reshape", summed, o.node("Shape", x)))


max_pool = Op(
    "max_pool(x: [n, c, h, v], kernel, strides, pads) -> [*r]",
    "The largest of each window; the first of equal ones gets the gradient.",
    kernel=_max_pool,
    grad=lambda g, y, x, **a: (max_pool_grad(g, x, y, **a),),
    onnx=lambda o, x, **a: _onnx_pool(o, "MaxPool", x, **a),
    examples=(
        "max_pool([[[[1, 2], [3, 0]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[3]]]]",
        "max_pool([[[[1, 2, 9], [3, 4, 5]]]], kernel = [2, 2], strides = [1, 1], pads = [0, 0, 1, 0]) == [[[[4, 9], [4, 5]]]]",
    ),
    shape=_pool_shape,
    prepare=_max_pool_into,
    smooth=False,
    flops=lambda out, x, kernel, **_: count(out.shape) * kernel[0] * kernel[1],
)
max_pool_grad: Op = Op(
    "max_pool_grad(g: [n, c, p, q], x: [n, c, h, v], y: [n, c, p, q], kernel, strides, pads) -> [n, c, h, v]",
    "The gradient of max_pool for its image x, given its value y.",
    kernel=_max_pool_grad,
    onnx=_onnx_max_pool_grad,
    examples=(
        "max_pool_grad([[[[7]]]], [[[[1, 3], [3, 0]]]], [[[[3]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0])"
        " == [[[[0, 7], [0, 0]]]]",
        "max_pool_grad([[[[1, 2, 4]]]], [[[[3, 3, 5, 1]]]], [[[[3, 5, 5]]]], kernel = [1, 2], strides = [1, 1], pads = [0, 0, 0, 0])"
        " == [[[[1, 0, 6, 0]]]]",
    ),
    prepare=_max_pool_grad_into,
    smooth=False,
    why="max_pool is piecewise linear, so nothing asks for its second derivative yet",
)


def _counts(shape: tuple[int, ...], kernel: Pair, strides: Pair, pads: Pads, dtype: Any) -> Any:
    """How many real pixels each window sees."""
    ones = np.ones((1, 1, *shape[2:]), dtype)
    grid = grid_of(Type("", shape), kernel, strides, pads, _ONE)
    p = padded(ones, pads)
    return np.sum([p[:, :, rows, cols] for rows, cols in offsets(kernel, strides, _ONE, grid)], axis=0)


def _avg_pool(x: Any, kernel: Pair, strides: Pair, pads: Pads) -> Any:
    grid = grid_of(Type("", x.shape), kernel, strides, pads, _ONE)
    p = padded(x, pads)
    total = np.sum([p[:, :, rows, cols] for rows, cols in offsets(kernel, strides, _ONE, grid)], axis=0)
    return total / _counts(x.shape, kernel, strides, pads, x.dtype)


def _avg_pool_into(out: Any, x: Any, kernel: Pair, strides: Pair, pads: Pads) -> Callable[[], Any]:
    p = _Padded(x, kernel, strides, pads, out.shape[2:], 0.0)
    counts = _counts(x.shape, kernel, strides, pads, x.dtype)

    def run() -> None:
        if p.whole is not x:
            np.copyto(p.image, x)
        np.copyto(out, p.slices[0])
        for part in p.slices[1:]:
            np.add(out, part, out)
        np.divide(out, counts, out)

    return run


def _avg_pool_grad(g: Any, size: Pair, kernel: Pair, strides: Pair, pads: Pads) -> Any:
    out = np.empty((*g.shape[:2], *size), g.dtype)
    _avg_pool_grad_into(out, g, size, kernel, strides, pads)()
    return out


def _avg_pool_grad_into(out: Any, g: Any, size: Pair, kernel: Pair, strides: Pair, pads: Pads) -> Callable[[], Any]:
    into = _Padded(np.empty_like(out), kernel, strides, pads, g.shape[2:], 0.0)
    counts, share = _counts(out.shape, kernel, strides, pads, g.dtype), np.empty_like(g)

    def run() -> None:
        np.divide(g, counts, share)
        into.whole.fill(0)
        for part in into.slices:
            np.add(part, share, part)
        np.copyto(out, into.image)

    return run


def _onnx_avg_pool_grad(o: Any, g: str, size: Pair, kernel: Pair, strides: Pair, pads: Pads) -> str:
    """Each pixel gets a share of every window over it: a transposed convolution of g over the counts, channel by channel."""
    dtype, channels = o.type(g).dtype, o.type(g).shape[1]
    counts = _counts((1, 1, *size), kernel, strides, pads, dtype)
    share = o.node("Div", g, o.constant(counts, dtype))
    ones = o.constant(np.ones((channels, 1, *kernel)), dtype)
    grid = o.type(g).shape[2:]
    missing = [size[i] + pads[i] + pads[2 + i] - ((grid[i] - 1) * strides[i] + kernel[i]) for i in (0, 1)]
    return str(o.node("ConvTranspose", share, ones, strides=list(strides), pads=list(pads), group=channels, output_padding=missing))


avg_pool = Op(
    "avg_pool(x: [n, c, h, v], kernel, strides, pads) -> [*r]",
    "The mean of each window.",
    kernel=_avg_pool,
    grad=lambda g, y, x, **a: (avg_pool_grad(g, size=x.type.shape[2:], **a),),
    onnx=lambda o, x, **a: _onnx_pool(o, "AveragePool", x, **a),
    examples=(
        "avg_pool([[[[1, 2], [3, 6]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[3]]]]",
        "avg_pool([[[[1, 2, 3], [3, 6, 5]]]], kernel = [2, 2], strides = [1, 1], pads = [0, 0, 1, 0]) == [[[[3, 4], [4.5, 5.5]]]]",
    ),
    shape=_pool_shape,
    prepare=_avg_pool_into,
    flops=lambda out, x, kernel, **_: count(out.shape) * kernel[0] * kernel[1],
)
avg_pool_grad: Op = Op(
    "avg_pool_grad(g: [n, c, p, q], size, kernel, strides, pads) -> [*r]",
    "The gradient of avg_pool for its image of `size` (height, width).",
    kernel=_avg_pool_grad,
    grad=lambda gg, out, g, size, **a: (avg_pool(gg, **a),),
    onnx=_onnx_avg_pool_grad,
    examples=("avg_pool_grad([[[[4]]]], size = [2, 2], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[1, 1], [1, 1]]]]",),
    shape=lambda g, size, **_: (*g.shape[:2], *size),
    prepare=_avg_pool_grad_into,
    flops=lambda out, g, kernel, **_: count(g.shape) * kernel[0] * kernel[1],
)
