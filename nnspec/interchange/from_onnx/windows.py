"""Convolution and pooling: how ONNX says where windows lie, and the operations of the catalogue that it comes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from math import prod

import numpy as np

from nnspec.graph import Shape, Size, Type, Var
from nnspec.graph.types import count
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import aligned, around, as_value, between, counting, every, flat, full
from nnspec.interchange.from_onnx.roots import root
from nnspec.ops import pointwise as p
from nnspec.ops import reduce as r
from nnspec.ops.arrange import concat, reshape, transpose
from nnspec.ops.image import conv, conv_input_grad
from nnspec.ops.index import pick, put_rows
from nnspec.ops.pool import avg_pool, max_pool
from nnspec.ops.windows import Numbers, beyond, halved, not_cut_off, reach, same_pads, window_count
from nnspec.record import dataclass


@dataclass(frozen=True)
class Windows:
    """Where the windows of a node lie: a number for each axis of an image, `pads` before every axis and then after."""

    kernel: Numbers
    strides: Numbers
    dilations: Numbers
    pads: Numbers

    @property
    def reach(self) -> Numbers:
        return reach(self.kernel, self.dilations)

    @property
    def plain(self) -> bool:
        return set(self.dilations) <= {1}


def _windows(c: Call, x: Type, kernel: Numbers) -> Windows:
    axes = len(kernel)
    ones = (1,) * axes
    strides, dilations = c.attr("strides", ones), c.attr("dilations", ones)
    seen = Windows(kernel, strides, dilations, c.attr("pads", (0,) * 2 * axes))
    auto = c.attr("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return Windows(kernel, strides, dilations, _same(c, x, seen, auto == "SAME_UPPER"))
    return seen if auto == "NOTSET" else Windows(kernel, strides, dilations, (0,) * 2 * axes)


def _same(c: Call, x: Type, seen: Windows, upper: bool) -> Numbers:
    """Pads by which there are as many windows as pixels, over the stride; an odd one goes behind, or in front."""
    for size, stride in zip(x.shape[2:], seen.strides, strict=True):
        if isinstance(size, Size) and stride > 1:
            raise c.fault("E523", f"`auto_pad` with strides needs to know the size `{size}`")
    less, more = same_pads(x.shape[2:], seen.reach, seen.strides)
    return (*less, *more) if upper else (*more, *less)


def _padded(x: Var, pads: Numbers, value: float) -> Var:
    axes, border = len(pads) // 2, None if value == 0 else x.graph.constant(value, x.type.dtype)
    for axis in range(axes):
        x = around(x, axis + 2, pads[axis], pads[axes + axis], "constant", border)
    return x


# ---- convolution


def _with_bias(x: Var, b: Var | None) -> Var:
    return x if b is None else x + aligned(b, 1, x.type.rank)


def _conv(c: Call, x: Var, w: Var, b: Var | None = None) -> Var:
    seen = _windows(c, x.type, c.fixed(w.type.shape[2:]))
    x, pads = (_padded(x, seen.pads, 0), (0,) * len(seen.pads)) if min(seen.pads) < 0 else (x, seen.pads)
    y = conv(x, w, strides=seen.strides, pads=pads, dilations=seen.dilations, groups=c.attr("group", 1))
    return _with_bias(y, b)


def _conv_transpose(c: Call, x: Var, w: Var, b: Var | None = None) -> Var:
    kernel = c.fixed(w.type.shape[2:])
    axes, ones = len(kernel), (1,) * len(kernel)
    seen = Windows(kernel, c.attr("strides", ones), c.attr("dilations", ones), c.attr("pads", (0,) * 2 * axes))
    more = c.attr("output_padding", (0,) * axes)
    grid = zip(x.type.shape[2:], seen.strides, seen.reach, more, strict=True)
    whole = tuple((n - 1) * stride + reach + extra for n, stride, reach, extra in grid)
    pads, size = _transposed_pads(c, x.type, seen, whole)
    left = not_cut_off(pads, more, seen.strides)
    behind = [extra - cut + still for extra, cut, still in zip(more, pads[axes:], left[axes:], strict=True)]
    unreached = tuple(n if n >= stride else 0 for n, stride in zip(behind, seen.strides, strict=True))
    size = tuple(n - zeros for n, zeros in zip(size, unreached, strict=True))
    y = conv_input_grad(x, w, size=size, strides=seen.strides, pads=left, dilations=seen.dilations, groups=c.attr("group", 1))
    return _with_bias(_padded(y, (*(0,) * axes, *unreached), 0), b)


def _transposed_pads(c: Call, x: Type, seen: Windows, whole: Shape) -> tuple[Numbers, Shape]:
    """What is cut off around a transposed convolution, and the size that is left."""
    axes, auto, wanted = len(seen.kernel), c.attr("auto_pad", "NOTSET"), c.attributes.get("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = tuple(n * s for n, s in zip(x.shape[2:], seen.strides, strict=True))
    if wanted is None:
        return seen.pads, tuple(n - a - b for n, a, b in zip(whole, seen.pads[:axes], seen.pads[axes:], strict=True))
    wanted = tuple(wanted)[-axes:]
    off = [n - w for n, w in zip(whole, wanted, strict=True)]
    if any(isinstance(n, Size) for n in off):
        raise c.fault("E523", "`output_shape` needs to know the size of the image")
    less, more = halved([max(0, n) for n in off if isinstance(n, int)])
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less), wanted


# ---- pooling


def _pooling(c: Call, x: Var) -> tuple[Windows, Numbers]:
    """The windows, and how much further behind the image the last of them reach where `ceil_mode` says so."""
    kernel = c.attr("kernel_shape", ())
    seen = _windows(c, x.type, kernel)
    axes = len(kernel)
    if not c.attr("ceil_mode", 0):
        return seen, (0,) * 2 * axes
    extra = []
    for i, size in enumerate(x.type.shape[2:]):
        if isinstance(size, Size):
            raise c.fault("E523", f"`ceil_mode` needs to know the size `{size}`")
        extra.append(beyond(size, seen.reach[i], seen.strides[i], seen.pads[i], seen.pads[axes + i]))
    return seen, (*(0,) * axes, *extra)


def _sum(a: Numbers, b: Numbers) -> Numbers:
    return tuple(i + j for i, j in zip(a, b, strict=True))


def _parts(x: Var, seen: Windows, pads: Numbers, value: float) -> list[Var]:
    """What each place of a window sees over all windows."""
    axes = len(seen.kernel)
    around_ = zip(x.type.shape[2:], seen.kernel, seen.strides, pads[:axes], pads[axes:], seen.dilations, strict=True)
    grid = [window_count(*axis) for axis in around_]
    whole, parts = _padded(x, pads, value), []
    for place in product(*map(range, seen.kernel)):
        part = whole
        for axis, (at, d, stride, windows) in enumerate(zip(place, seen.dilations, seen.strides, grid, strict=True), 2):
            part = every(between(part, axis, at * d, at * d + (windows - 1) * stride + 1), axis, stride)
        parts.append(part)
    return parts


def _max_pool(c: Call, x: Var) -> Var | tuple[Var, Var]:
    seen, extra = _pooling(c, x)
    pads = _sum(seen.pads, extra)
    if seen.plain and not c.has(1):
        return max_pool(x, kernel=seen.kernel, strides=seen.strides, pads=pads)
    parts = _parts(x, seen, pads, -np.inf)
    if not c.has(1):
        return reduce(lambda a, b: p.maximum(a, b), parts)
    side_by_side = _stacked(parts)
    at = r.argmax(side_by_side, axis=side_by_side.type.rank - 1)
    return pick(side_by_side, at), pick(_stacked(_parts(_numbers(c, x), seen, pads, 0)), at)


def _stacked(parts: list[Var]) -> Var:
    return concat(*(reshape(v, shape=(*v.type.shape, 1)) for v in parts), axis=parts[0].type.rank)


def _numbers(c: Call, x: Var) -> Var:
    """The number of every element of images, which counts the pixels of one row by row, or column by column."""
    n, channels, *size = x.type.shape
    pixels = counting(c.graph, count(size))
    if c.attr("storage_order", 0):
        pixels = transpose(reshape(pixels, shape=tuple(reversed(size))), axes=tuple(reversed(range(len(size)))))
    first = counting(c.graph, n * channels) * as_value(c.graph, count(size))
    return reshape(first, shape=(n, channels, *(1,) * len(size))) + reshape(pixels, shape=tuple(size))


def _avg_pool(c: Call, x: Var) -> Var:
    seen, extra = _pooling(c, x)
    counted = bool(c.attr("count_include_pad", 0))
    pads = _sum(seen.pads, extra)
    if counted:
        x, pads = _padded(x, seen.pads, 0), extra
    if seen.plain:
        return avg_pool(x, kernel=seen.kernel, strides=seen.strides, pads=pads)
    there = reduce(p.add, _parts(full(c.graph, 1.0, x.type.shape, x.type.dtype), seen, pads, 0))
    return reduce(p.add, _parts(x, seen, pads, 0)) / there


def _lp_pool(c: Call, x: Var) -> Var:
    seen, extra = _pooling(c, x)
    return _norm(c, lambda y: reduce(p.add, _parts(y, seen, _sum(seen.pads, extra), 0)), x)


def _norm(c: Call, total: Callable[[Var], Var], x: Var) -> Var:
    power = float(c.attr("p", 2))
    return root(total(p.abs(x) ** power), 1.0 / power) if power != 2 else root(total(p.square(x)))


def _spatial(x: Var) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


def _max_unpool(c: Call, x: Var, i: Var, _: Var | None = None) -> Var:
    kernel = c.attr("kernel_shape", ())
    seen, axes = _windows(c, x.type, kernel), len(kernel)
    sizes = zip(x.type.shape[2:], seen.strides, kernel, seen.pads[:axes], seen.pads[axes:], strict=True)
    shape = (*x.type.shape[:2], *((n - 1) * s + k - a - b for n, s, k, a, b in sizes))
    into = c.dims("output_shape", 2) or shape
    if into == shape:
        return reshape(put_rows(flat(x), flat(i), size=count(shape)), shape=shape)
    # The numbers count the smaller image that was pooled.
    return reshape(put_rows(flat(x), flat(_renumbered(c, i, shape, into)), size=count(into)), shape=into)


def _renumbered(c: Call, i: Var, shape: Shape, into: Shape) -> Var:
    """The numbers of elements in a larger image, from those in a smaller one."""
    out, rest = c.graph.constant(0, "int64"), i
    for axis in range(len(shape)):
        inner = as_value(c.graph, count(shape[axis + 1 :]))
        out = out + p.quotient(rest, inner) * as_value(c.graph, count(into[axis + 1 :]))
        rest = p.mod(rest, inner)
    return out


def _col2im(c: Call, x: Var, *_: Var) -> Var:
    """Every column a window of the image, added up where they overlap: the way back of a convolution that looks at one pixel each."""
    size, kernel = c.ints("image_shape", 1) or (), c.ints("block_shape", 2) or ()
    seen = _windows(c, x.type, kernel)
    axes = zip(size, kernel, seen.strides, seen.pads[: len(size)], seen.pads[len(size) :], seen.dilations, strict=True)
    grid, places = [window_count(*axis) for axis in axes], prod(kernel)
    n, channels = x.type.shape[0], x.type.shape[1] // places
    images = reshape(x, shape=(n * channels, places, *grid))
    one_pixel = c.builder.constant(np.eye(places).reshape(places, 1, *kernel), x.type.dtype)
    attributes = {"strides": seen.strides, "pads": seen.pads, "dilations": seen.dilations, "groups": 1}
    return reshape(conv_input_grad(images, one_pixel, size=size, **attributes), shape=(n, channels, *size))


RULES: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _avg_pool,
    "LpPool": _lp_pool,
    "GlobalMaxPool": lambda c, x: r.max(x, axes=_spatial(x), keep=True),
    "GlobalAveragePool": lambda c, x: r.mean(x, axes=_spatial(x), keep=True),
    "GlobalLpPool": lambda c, x: _norm(c, lambda y: r.sum(y, axes=_spatial(y), keep=True), x),
    "MaxUnpool": _max_unpool,
    "Col2Im": _col2im,
}
