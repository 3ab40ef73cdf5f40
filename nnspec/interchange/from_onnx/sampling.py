"""Fourier transforms, as products with matrices of sines and cosines; and images looked at where data says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.graph import Var
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import as_kind, as_value, between, counting, joined, unsqueezed
from nnspec.ops import pointwise as p
from nnspec.ops.arrange import moved, reshape, transpose
from nnspec.ops.index import take

SINCE_AXIS_AS_INPUT = 20
CUBIC = -0.75


# ---- Fourier transforms


def _dft(c: Call, x: Var, *_: Var | None) -> Var:
    """The last axis holds real numbers, or real and imaginary parts."""
    [number] = c.ints("axis", 2) or (1 if c.opset < SINCE_AXIS_AS_INPUT else -2,)
    at, parts = c.axis(number, x.type.rank), x.type.rank - 1
    (n,), (kinds,) = c.fixed(x.type.shape[at : at + 1]), c.fixed(x.type.shape[-1:])
    inverse, onesided = bool(c.attr("inverse", 0)), bool(c.attr("onesided", 0))
    [whole] = c.ints("dft_length", 1) or (2 * (n - 1) if inverse and onesided else n,)
    cos, sin = (c.builder.constant(m, x.type.dtype, f"{c.node.output[0]}.{k}") for k, m in _waves(n, whole, inverse, onesided).items())
    seen = between(x, at, 0, cos.type.numbers[0])
    re, *im = (moved(between(seen, parts, i, i + 1), at, parts) for i in range(kinds))
    found = [re @ cos, re @ sin]
    if im:
        found = [found[0] - im[0] @ sin, found[1] + im[0] @ cos]
    return joined([moved(v, parts, at) for v in (found[:1] if inverse and onesided else found)], parts)


def _waves(n: int, whole: int, inverse: bool, onesided: bool) -> dict[str, Array]:
    """What e to the power of the angles is, real and imaginary, for each number that is seen and each that comes out.

    From one side back, all frequencies but the first, and the last of an even number, stand for two.
    """
    first = min(n, whole // 2 + 1 if inverse and onesided else whole)
    last = whole // 2 + 1 if onesided and not inverse else whole
    angles = (1 if inverse else -1) * 2 * np.pi * np.outer(np.arange(first), np.arange(last)) / whole
    times = np.ones((first, 1))
    if inverse and onesided:
        times[1 : (whole + 1) // 2] = 2
    scale = times / whole if inverse else times
    return {"cos": scale * np.cos(angles), "sin": scale * np.sin(angles)}


# ---- images looked at where data says


def _grid_sample(c: Call, x: Var, grid: Var) -> Var:
    """A weighted sum of the pixels around each place, numbered along the last axes of the image."""
    n, channels, *size = x.type.shape
    sizes, places = c.fixed(size), grid.type.shape[1:-1]
    taps = [list(_taps(c, _place(c, grid, i, s), s)) for i, s in enumerate(sizes)]
    pixels = reshape(transpose(x, axes=(0, *range(2, x.type.rank), 1)), shape=(n * prod(sizes), channels))
    first = reshape(counting(c.graph, n) * as_value(c.graph, prod(sizes)), shape=(n, *(1,) * len(places)))
    total = []
    for chosen in product(*taps):
        number, weight = first, reduce(p.mul, (w for _, w in chosen))
        for axis, (i, _) in enumerate(chosen):
            number = number + i * prod(sizes[axis + 1 :])
        total.append(take(pixels, number) * unsqueezed(weight, [weight.type.rank]))
    return moved(reduce(p.add, total), total[0].type.rank - 1, 1)


def _place(c: Call, grid: Var, axis: int, size: int) -> Var:
    """Where along an axis of the image; a grid has its last axis first."""
    last, at = grid.type.rank - 1, c.fixed(grid.type.shape[-1:])[0] - 1 - axis
    v = reshape(between(grid, last, at, at + 1), shape=grid.type.shape[:-1])
    place = (v + 1.0) * ((size - 1) / 2) if c.attr("align_corners", 0) else ((v + 1.0) * float(size) - 1.0) * 0.5
    if c.attr("mode", "linear") == "nearest":
        place = p.round(place)
    low, high = _border(c, size)
    match c.attr("padding_mode", "zeros"):
        case "border":
            inside = p.minimum(p.maximum(place, 0.0), float(size - 1))
        case "reflection":
            inside = _reflected(place, low, high)
        case _:
            return place
    return p.where(p.less(place, low), inside, p.where(p.greater(place, high), inside, place))


def _border(c: Call, size: int) -> tuple[float, float]:
    return (0.0, size - 1.0) if c.attr("align_corners", 0) else (-0.5, size - 0.5)


def _reflected(x: Var, low: float, high: float) -> Var:
    """Back and forth between two mirrors."""
    width = high - low
    return (low + width) - p.abs(p.mod(x - low, 2 * width) - width) if width else x * 0.0 + low


def _taps(c: Call, place: Var, size: int) -> Iterator[tuple[Var, Var]]:
    """The pixels around a place, each with its weight."""
    below = p.floor(place)
    for offset, weight in _weights(c, place - below):
        yield _pixel(c, below + offset, weight, size)


def _weights(c: Call, past: Var) -> Iterator[tuple[float, Var]]:
    """How far each pixel is from the one below, and its weight, by how far the place is past that."""
    match c.attr("mode", "linear"):
        case "nearest":
            yield 0.0, past * 0.0 + 1.0
        case "cubic" | "bicubic":
            for offset in (-1.0, 0.0, 1.0, 2.0):
                d = p.abs(past - offset)
                near = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1.0
                far = ((d - 5.0) * d + 8.0) * d * CUBIC - 4 * CUBIC
                yield offset, near if offset in (0.0, 1.0) else far
        case _:
            yield 0.0, 1.0 - past
            yield 1.0, past


def _pixel(c: Call, number: Var, weight: Var, size: int) -> tuple[Var, Var]:
    """A pixel of the image in the place of one that may be outside of it, whose weight is none where that counts as zero."""
    padding = c.attr("padding_mode", "zeros")
    if padding == "reflection":
        number = _reflected(number, *_border(c, size))
    inside = p.minimum(p.maximum(number, 0.0), float(size - 1))
    if padding == "zeros":
        weight = p.where(p.equal(number, inside), weight, 0.0)
    return as_kind(inside, "int64"), weight


RULES: dict[str, Rule] = {"DFT": _dft, "GridSample": _grid_sample}
