"""Numbers of double precision out of the operations that onnxruntime has for them: it has no convolution, no mean of a pool, no erf, and in
its older versions no cosine.

A convolution is a product over the windows of an image, which are slices of it, one for each place in the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nnspec.double import DOUBLE
from nnspec.graph import Shape
from nnspec.graph.types import count
from nnspec.ops.error import BORDER, FAR, NEAR, ONE_FROM
from nnspec.ops.pool import pixels_seen
from nnspec.ops.windows import Numbers, grid_of, numbers_of, unreached
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.interchange.lowering import Lowering

LAST = -(2**63)
"""Where a slice ends that goes down to the first."""


def _number(o: Lowering, value: Any) -> str:
    return o.constant(value, DOUBLE)


# ---- products


def _matmul(o: Lowering, x: str, y: str) -> str:
    """A product that stays by itself: onnxruntime joins a MatMul with a constant factor of x, of y or of it, rounded to a float32."""
    if o.type(x).rank == o.type(y).rank == 2:
        return o.node("Gemm", x, y)
    return o.view(o.node("MatMul", o.view(x), o.view(y)))


def _gemm(o: Lowering, x: str, y: str, c: str, keep: float) -> str:
    return o.node("Add", _matmul(o, x, y), o.node("Mul", c, _number(o, keep)))


# ---- windows over images


@dataclass(frozen=True)
class Image:
    """A value of the shape [batch, channels, *size]."""

    value: str
    shape: Shape


def _image(o: Lowering, x: str) -> Image:
    return Image(x, o.type(x).shape)


def _padded(o: Lowering, x: Image, pads: Numbers) -> Image:
    """Pads below 0 cut off."""
    axes = len(pads) // 2
    if not any(pads):
        return x
    around = o.ints((0, 0, *pads[:axes], 0, 0, *pads[axes:]))
    size = (n + before + after for n, before, after in zip(x.shape[2:], pads[:axes], pads[axes:], strict=True))
    return Image(o.node("Pad", x.value, around), (*x.shape[:2], *size))


def _spread(o: Lowering, x: Image, strides: Numbers) -> Image:
    """With zeros behind each pixel, so that windows one pixel apart see those that were `strides` apart."""
    if {*strides} == {1}:
        return x
    axes = len(strides)
    single = o.reshape(x.value, (*x.shape[:2], *(d for n in x.shape[2:] for d in (n, 1))))
    zeros = (0, 0, *(d for s in strides for d in (0, s - 1)))
    shape = (*x.shape[:2], *(n * s for n, s in zip(x.shape[2:], strides, strict=True)))
    return Image(o.reshape(o.node("Pad", single, o.ints((*(0,) * (2 + 2 * axes), *zeros))), shape), shape)


def _turned_pads(size: Shape, grid: Shape, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers) -> Numbers:
    """The pads of spread windows with which each pixel sees all windows that see it."""
    rest = unreached(size, grid, kernel, strides, pads, dilations)  # type: ignore[arg-type]  # what sizes of run time have in common goes
    reach = tuple(d * (k - 1) for d, k in zip(dilations, kernel, strict=True))
    before = (r - p for r, p in zip(reach, pads, strict=False))
    after = (r - p + more + 1 - s for r, p, more, s in zip(reach, pads[len(kernel) :], rest, strides, strict=True))
    return (*before, *after)


def _seen(o: Lowering, x: Image, kernel: Numbers, strides: Numbers, dilations: Numbers, grid: Shape) -> Iterator[str]:
    """What each place of a window sees: [batch, channels, *grid]."""
    axes = o.ints(tuple(range(2, 2 + len(kernel))))
    for place in product(*map(range, kernel)):
        first = tuple(p * d for p, d in zip(place, dilations, strict=True))
        ends = tuple(f + (n - 1) * s + 1 for f, n, s in zip(first, grid, strides, strict=True))
        yield o.node("Slice", x.value, o.ints(first), o.shape(ends), axes, o.ints(strides))


def _columns(o: Lowering, x: Image, kernel: Numbers, strides: Numbers, dilations: Numbers, grid: Shape, groups: int) -> str:
    """[batch, groups, channels * places, windows]."""
    batch, channels = x.shape[:2]
    shape = (batch, groups, count((channels, *kernel)) // groups, count(grid))
    if {*kernel, *strides} == {1}:
        return o.reshape(x.value, shape)
    seen = [o.unsqueeze(part, 2) for part in _seen(o, x, kernel, strides, dilations, grid)]
    return o.reshape(o.node("Concat", *seen, axis=2), shape)


def _correlated(o: Lowering, x: Image, w: Image, strides: Numbers, dilations: Numbers, groups: int) -> str:
    units, kernel = w.shape[0], numbers_of(w.shape[2:])
    grid = grid_of(x.shape, kernel, strides, (0,) * 2 * len(kernel), dilations)
    weights = o.reshape(w.value, (groups, units // groups, count(w.shape[1:])))
    y = o.node("MatMul", weights, _columns(o, x, kernel, strides, dilations, grid, groups))
    return o.reshape(y, (x.shape[0], units, *grid))


def _conv(o: Lowering, x: str, w: str, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    return _correlated(o, _padded(o, _image(o, x), pads), _image(o, w), strides, dilations, groups)


def _conv_bias(o: Lowering, x: str, w: str, b: str, **attributes: Any) -> str:
    ones = (1,) * (len(o.type(x).shape) - 2)
    return o.node("Add", _conv(o, x, w, **attributes), o.reshape(b, (*o.type(b).shape, *ones)))


def _conv_input_grad(o: Lowering, g: str, w: str, size: Shape, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    """Of the windows that see a pixel, the first sees it with its last place: a convolution with the kernel the other way round."""
    image, turned = _image(o, g), _turned(o, _image(o, w), groups)
    around = _turned_pads(size, image.shape[2:], numbers_of(turned.shape[2:]), strides, pads, dilations)
    return _correlated(o, _padded(o, _spread(o, image, strides), around), turned, (1,) * len(strides), dilations, groups)


def _turned(o: Lowering, w: Image, groups: int) -> Image:
    """[channels, units of the group, *kernel], the last place first."""
    units, part, *kernel = w.shape
    axes = len(kernel)
    apart = o.reshape(w.value, (groups, units // groups, part, *kernel))
    swapped = o.node("Transpose", apart, perm=[0, 2, 1, *range(3, 3 + axes)])
    shape = (groups * part, units // groups, *kernel)
    backwards = (o.ints((n,) * axes) for n in (-1, LAST))
    steps = o.ints((-1,) * axes)
    return Image(o.node("Slice", o.reshape(swapped, shape), *backwards, o.ints(tuple(range(2, 2 + axes))), steps), shape)


def _conv_weight_grad(
    o: Lowering, x: str, g: str, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int
) -> str:
    batch, units, *grid = o.type(g).shape
    columns = _columns(o, _padded(o, _image(o, x), pads), kernel, strides, dilations, tuple(grid), groups)
    rows = o.reshape(g, (batch, groups, units // groups, count(grid)))
    w = o.node("Einsum", rows, columns, equation="ngup,ngcp->guc")
    return o.reshape(w, (units, o.type(x).shape[1] // groups, *kernel))


def _avg_pool(o: Lowering, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    whole, seen = _padded(o, _image(o, x), pads), pixels_seen(numbers_of(o.type(x).shape[2:]), kernel, strides, pads, DOUBLE)
    total = o.node("Sum", *_seen(o, whole, kernel, strides, (1,) * len(kernel), seen.shape[2:]))
    return o.node("Div", total, _number(o, seen))


def _avg_pool_grad(o: Lowering, g: str, size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    """A pixel gets a share of each window that sees it."""
    ones, grid = (1,) * len(kernel), o.type(g).shape[2:]
    share = o.node("Div", g, _number(o, pixels_seen(size, kernel, strides, pads, DOUBLE)))
    windows = _spread(o, Image(share, o.type(g).shape), strides)
    whole = _padded(o, windows, _turned_pads(size, grid, kernel, strides, pads, ones))
    return o.node("Sum", *_seen(o, whole, kernel, ones, ones, size))


# ---- elements


def _softplus(o: Lowering, x: str) -> str:
    """max(x, 0) + log(1 + e^-|x|); of 1 + t the log over what of t is left in it, times t, is as right as t is (Kahan)."""
    one = _number(o, 1)
    t = o.node("Exp", o.node("Neg", o.node("Abs", x)))
    u = o.node("Add", one, t)
    rest = o.node("Div", o.node("Log", u), o.node("Sub", u, one))
    log = o.node("Where", o.node("Equal", u, one), t, o.node("Mul", t, rest))
    return o.node("Add", o.node("Max", x, o.zero(x)), log)


def _cos(o: Lowering, x: str) -> str:
    """1 - 2 sin²(x/2): as near to it as to 1, where a sum of x and a quarter turn would round away what x is of many turns."""
    half = o.node("Sin", o.node("Mul", x, _number(o, 0.5)))
    return o.node("Sub", _number(o, 1), o.node("Mul", _number(o, 2), o.node("Mul", half, half)))


def _atan(o: Lowering, x: str) -> str:
    """That of float32, and what is left of the angle, which is as small as its tangent."""
    most = np.finfo(DOUBLE).max / 2
    near = o.cast(o.node("Atan", o.cast(x, "float32")), DOUBLE)
    finite = o.node("Clip", x, _number(o, -most), _number(o, most))
    sin, cos = o.node("Sin", near), _cos(o, near)
    above = o.node("Sub", o.node("Mul", finite, cos), sin)
    below = o.node("Add", o.node("Mul", finite, sin), cos)
    return o.node("Add", near, o.node("Div", above, below))


def _erf(o: Lowering, x: str) -> str:
    """As the row's kernel computes it."""
    distance = o.node("Min", o.node("Abs", x), _number(o, ONE_FROM))
    squared = o.node("Mul", distance, distance)
    near = o.node("Mul", x, _ratio(o, o.node("Min", squared, _number(o, BORDER**2)), NEAR))
    tail = o.node("Mul", o.node("Exp", o.node("Neg", squared)), _ratio(o, distance, FAR))
    far = o.node("Mul", o.node("Sign", x), o.node("Sub", _number(o, 1), tail))
    return o.node("Where", o.node("LessOrEqual", distance, _number(o, BORDER)), near, far)


def _ratio(o: Lowering, x: str, fraction: tuple[Sequence[float], Sequence[float]]) -> str:
    above, below = (_polynomial(o, x, coefficients) for coefficients in fraction)
    return o.node("Div", above, below)


def _polynomial(o: Lowering, x: str, coefficients: Sequence[float]) -> str:
    """From the highest power down."""
    first, *others = (_number(o, c) for c in coefficients)
    return reduce(lambda total, c: o.node("Add", o.node("Mul", total, x), c), others, first)


def _one_hot(o: Lowering, i: str, size: int, dtype: str) -> str:
    return o.cast(o.node("Equal", o.unsqueeze(i, -1), o.ints(tuple(range(size)))), dtype)


IN_DOUBLE: Mapping[str, Callable[..., str]] = {
    "matmul": _matmul,
    "gemm": _gemm,
    "conv": _conv,
    "conv_bias": _conv_bias,
    "conv_input_grad": _conv_input_grad,
    "conv_weight_grad": _conv_weight_grad,
    "avg_pool": _avg_pool,
    "avg_pool_grad": _avg_pool_grad,
    "softplus": _softplus,
    "cos": _cos,
    "atan": _atan,
    "erf": _erf,
    "one_hot": _one_hot,
}
"""By the name of the op."""
