"""Pooling over images: the largest or the mean of each window. Numbers are never counted."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from nnspec.blas import Call
from nnspec.graph import Mismatch, Op, Shape, Size, Type
from nnspec.graph.types import count
from nnspec.lazy import Module, np
from nnspec.ops.windows import Numbers, grid_of, inside, offsets, padded, padded_shape, unreached, within_images

if TYPE_CHECKING:
    from nnspec.ops import pooling
else:
    pooling = Module("nnspec.ops.pooling")


def _grid(shape: Shape, kernel: Numbers, strides: Numbers, pads: Numbers) -> Shape:
    return grid_of(shape, kernel, strides, pads, (1,) * len(kernel))


def _places(kernel: Numbers, strides: Numbers, grid: Any) -> Iterator[Any]:
    return offsets(kernel, strides, (1,) * len(kernel), grid)


def _seen(x: Any, kernel: Numbers, strides: Numbers, pads: Numbers, value: float) -> list[Any]:
    """What each place of a window sees of an image with pads of this value."""
    whole = padded(x, pads, value)
    return [whole[place] for place in _places(kernel, strides, _grid(x.shape, kernel, strides, pads))]


def _pool_shape(x: Type, kernel: Numbers, strides: Numbers, pads: Numbers) -> Shape:
    grid = _grid(x.shape, kernel, strides, pads)
    if unknown := [n for n in grid if isinstance(n, Size)]:
        raise Mismatch(f"pooling over a size known only at run time, `{unknown[0]}`, is not supported", "x")
    return (*x.shape[:2], *grid)


def _max_pool(x: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Any:
    return np.max(_seen(x, kernel, strides, pads, -np.inf), axis=0)


def _max_pool_grad(g: Any, x: Any, y: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Any:
    whole, free = np.zeros(padded_shape(x.shape, pads), x.dtype), np.ones(y.shape, bool)
    places = _places(kernel, strides, y.shape[2:])
    for value, place in zip(_seen(x, kernel, strides, pads, -np.inf), places, strict=True):
        hit = (value == y) & free
        free &= ~hit
        whole[place] += g * hit
    return inside(whole, pads)


def _pick_max(x: Any, at: Any, y: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Any:
    out, free = np.zeros_like(y), np.ones(y.shape, bool)
    for value, candidate in zip(_seen(x, kernel, strides, pads, 0.0), _seen(at, kernel, strides, pads, -np.inf), strict=True):
        hit = (candidate == y) & free
        free &= ~hit
        out += value * hit
    return out


def _onnx_pool(o: Any, kind: str, x: str, kernel: Numbers, strides: Numbers, pads: Numbers, **more: Any) -> str:
    x = o.apart(x, "Pad", "Cast")  # onnxruntime 1.31 makes zeros right before a pool into the pool's own pads, which are no numbers
    return str(o.node(kind, x, kernel_shape=list(kernel), strides=list(strides), pads=list(pads), **more))


def _onnx_places(o: Any, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    """Where in the whole image the largest of each window is."""
    return str(o.nodes("MaxPool", 2, x, kernel_shape=list(kernel), strides=list(strides), pads=list(pads))[1])


def _onnx_max_pool_grad(o: Any, g: str, x: str, y: str, **a: Any) -> str:
    indices = _onnx_places(o, x, **a)
    flat = o.ints((-1,))
    zeros = o.node("Reshape", o.node("Expand", o.zero(x), o.node("Shape", x)), flat)
    summed = o.node("ScatterElements", zeros, o.node("Reshape", indices, flat), o.node("Reshape", g, flat), reduction="add")
    return str(o.node("Reshape", summed, o.node("Shape", x)))


def _onnx_pick_max(o: Any, x: str, at: str, y: str, **a: Any) -> str:
    return str(o.node("Gather", o.node("Reshape", x, o.ints((-1,))), _onnx_places(o, at, **a), axis=0))


max_pool = Op(
    "max_pool(x: [n, c, *s], kernel, strides, pads) -> [*r]",
    "The largest of each window; the first of equal ones gets the gradient.",
    kernel=_max_pool,
    grad=lambda g, y, x, **a: (max_pool_grad(g, x, y, **a),),
    onnx=lambda o, x, **a: _onnx_pool(o, "MaxPool", x, **a),
    examples=(
        "max_pool([[[[1, 2], [3, 0]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[3]]]]",
        "max_pool([[[[1, 2, 9], [3, 4, 5]]]], kernel = [2, 2], strides = [1, 1], pads = [0, 0, 1, 0]) == [[[[4, 9], [4, 5]]]]",
        "max_pool([[[1, 2, 9, 4]]], kernel = [3], strides = [2], pads = [0, 1]) == [[[9, 9]]]",
        "max_pool([[[[[1, 2]], [[3, 0]]]]], kernel = [2, 1, 1], strides = [1, 1, 1], pads = [0, 0, 0, 0, 0, 0]) == [[[[[3, 2]]]]]",
    ),
    shape=_pool_shape,
    prepare=pooling.max_pool_into,
    strided=True,
    images=True,
    smooth=False,
    flops=lambda out, x, kernel, **_: count(out.shape) * prod(kernel),
    meets=within_images,
)
max_pool_grad: Op = Op(
    "max_pool_grad(g: [n, c, *p], x: [n, c, *s], y: [n, c, *p], kernel, strides, pads) -> [n, c, *s]",
    "The gradient of max_pool for its image x, given its value y.",
    kernel=_max_pool_grad,
    grad=lambda gg, out, g, x, y, **a: (pick_max(gg, x, y, **a), None, None),
    onnx=_onnx_max_pool_grad,
    examples=(
        "max_pool_grad([[[[7]]]], [[[[1, 3], [3, 0]]]], [[[[3]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0])"
        " == [[[[0, 7], [0, 0]]]]",
        "max_pool_grad([[[[1, 2, 4]]]], [[[[3, 3, 5, 1]]]], [[[[3, 5, 5]]]], kernel = [1, 2], strides = [1, 1], pads = [0, 0, 0, 0])"
        " == [[[[1, 0, 6, 0]]]]",
        "max_pool_grad([[[1, 2]]], [[[3, 1, 4, 4]]], [[[4, 4]]], kernel = [3], strides = [2], pads = [0, 1]) == [[[0, 0, 3, 0]]]",
    ),
    prepare=pooling.max_pool_grad_into,
    strided=True,
    images=True,
    choosing=("x", "y"),
    meets=within_images,
)
pick_max: Op = Op(
    "pick_max(x: [n, c, *s], at: [n, c, *s], y: [n, c, *p], kernel, strides, pads) -> [n, c, *p]",
    "x at the largest of each window of `at`, whose value under max_pool is y: the transpose of max_pool_grad.",
    kernel=_pick_max,
    grad=lambda g, out, x, at, y, **a: (max_pool_grad(g, at, y, **a), None, None),
    onnx=_onnx_pick_max,
    examples=(
        "pick_max([[[[5, 6], [7, 8]]]], [[[[1, 3], [3, 0]]]], [[[[3]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0])"
        " == [[[[6]]]]",
        "pick_max([[[5, 6, 7, 8]]], [[[3, 1, 4, 4]]], [[[4, 4]]], kernel = [3], strides = [2], pads = [0, 1]) == [[[7, 7]]]",
    ),
    strided=True,
    images=True,
    choosing=("at", "y"),
    meets=within_images,
)


def pixels_seen(size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers, dtype: Any) -> Any:
    """How many pixels of an image each window sees, pads left out: [1, 1, *grid]."""
    return np.sum(_seen(np.ones((1, 1, *size), dtype), kernel, strides, pads, 0.0), axis=0)


def _avg_pool(x: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Any:
    total = np.sum(_seen(x, kernel, strides, pads, 0.0), axis=0)
    return total / pixels_seen(x.shape[2:], kernel, strides, pads, x.dtype)


def _avg_pool_into(out: Any, x: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    return pooling.avg_pool_into(out, x, pixels_seen(x.shape[2:], kernel, strides, pads, x.dtype), kernel, strides, pads)


def _avg_pool_grad(g: Any, size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers) -> Any:
    share = g / pixels_seen(size, kernel, strides, pads, g.dtype)
    whole = np.zeros(padded_shape((*g.shape[:2], *size), pads), g.dtype)
    for place in _places(kernel, strides, g.shape[2:]):
        whole[place] += share
    return inside(whole, pads)


def _avg_pool_grad_into(out: Any, g: Any, size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    return pooling.avg_pool_grad_into(out, g, pixels_seen(size, kernel, strides, pads, g.dtype), kernel, strides, pads)


def _onnx_avg_pool_grad(o: Any, g: str, size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    """Each pixel gets a share of every window over it: a transposed convolution of g over the counts, channel by channel."""
    dtype, channels = o.type(g).dtype, o.type(g).shape[1]
    counts = pixels_seen(size, kernel, strides, pads, dtype)
    share = o.node("Div", g, o.constant(counts, dtype))
    ones = o.constant(np.ones((channels, 1, *kernel)), dtype)
    missing = unreached(size, o.type(g).shape[2:], kernel, strides, pads, (1,) * len(kernel))
    return str(o.node("ConvTranspose", share, ones, strides=list(strides), pads=list(pads), group=channels, output_padding=missing))


avg_pool = Op(
    "avg_pool(x: [n, c, *s], kernel, strides, pads) -> [*r]",
    "The mean of each window.",
    kernel=_avg_pool,
    grad=lambda g, y, x, **a: (avg_pool_grad(g, size=x.type.shape[2:], **a),),
    onnx=lambda o, x, **a: _onnx_pool(o, "AveragePool", x, **a),
    examples=(
        "avg_pool([[[[1, 2], [3, 6]]]], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[3]]]]",
        "avg_pool([[[[1, 2, 3], [3, 6, 5]]]], kernel = [2, 2], strides = [1, 1], pads = [0, 0, 1, 0]) == [[[[3, 4], [4.5, 5.5]]]]",
        "avg_pool([[[1, 3, 9, 4]]], kernel = [2], strides = [2], pads = [1, 1]) == [[[1, 6, 4]]]",
        "avg_pool([[[[[1, 2]], [[3, 0]]]]], kernel = [2, 1, 1], strides = [1, 1, 1], pads = [0, 0, 0, 0, 0, 0]) == [[[[[2, 1]]]]]",
    ),
    shape=_pool_shape,
    prepare=_avg_pool_into,
    strided=True,
    images=True,
    flops=lambda out, x, kernel, **_: count(out.shape) * prod(kernel),
    meets=within_images,
)
avg_pool_grad: Op = Op(
    "avg_pool_grad(g: [n, c, *p], size, kernel, strides, pads) -> [*r]",
    "The gradient of avg_pool for its image of `size`.",
    kernel=_avg_pool_grad,
    grad=lambda gg, out, g, size, **a: (avg_pool(gg, **a),),
    onnx=_onnx_avg_pool_grad,
    examples=(
        "avg_pool_grad([[[[4]]]], size = [2, 2], kernel = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]) == [[[[1, 1], [1, 1]]]]",
        "avg_pool_grad([[[1, 6, 4]]], size = [4], kernel = [2], strides = [2], pads = [1, 1]) == [[[1, 3, 3, 4]]]",
    ),
    shape=lambda g, size, **_: (*g.shape[:2], *size),
    prepare=_avg_pool_grad_into,
    strided=True,
    images=True,
    flops=lambda out, g, kernel, **_: count(g.shape) * prod(kernel),
    meets=within_images,
)
