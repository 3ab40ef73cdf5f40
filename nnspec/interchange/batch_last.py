"""Images with the batch as their last axis, `[channels, *size, batch]`: how a session that trains computes convolution and pooling.

What a window sees is a row of numbers for all examples, so columns are gathered by whole rows and every product is one of two matrices.
onnxruntime's own convolution is faster only where the weights are constants. Forms begin and end with a transpose; between two of them
onnxruntime cancels both. All sizes have to be numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.interchange.lowering import Lowering
from nnspec.ops.windows import Numbers, grid_of, numbers_of

NOWHERE = -1
MANY, LARGEST, MOST_PIECES = 1 << 24, 1 << 22, 64
"""From how many numbers on they are gathered in pieces, how large these are, about, and how many at most."""


def _last(o: Lowering, x: str) -> str:
    """The batch from the first axis to the last."""
    return o.node("Transpose", x, perm=[*range(1, o.type(x).rank), 0])


def _first(o: Lowering, x: str, rank: int) -> str:
    return o.node("Transpose", x, perm=[rank - 1, *range(rank - 1)])


def _reshape(o: Lowering, x: str, *shape: int) -> str:
    return o.node("Reshape", x, o.ints(shape))


def _places(size: Numbers, grid: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers) -> Array:
    """[places in the kernel, windows]: the number of the pixel that is seen, or NOWHERE in the pads."""
    axes = zip(size, grid, kernel, strides, pads[: len(size)], dilations, strict=True)
    seen = [np.arange(windows) * s - before + np.arange(k)[:, None] * d for _, windows, k, s, before, d in axes]
    number, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
    for n, at in zip(size, seen, strict=True):
        there = (at >= 0) & (at < n)
        number = _crossed(number * n, np.where(there, at, 0), np.add)
        inside = _crossed(inside, there, np.logical_and)
    return np.where(inside, number, NOWHERE)


def _crossed(a: Array, b: Array, op: Any) -> Array:
    """Each row and column of one table with each of another."""
    return np.asarray(op(a[:, None, :, None], b[None, :, None, :])).reshape(len(a) * len(b), -1)


def _readers(places: Array, pixels: int, nobody: int) -> Array:
    """[most, pixels]: the entries of a table of places that see each pixel, and where there are no more, `nobody`."""
    entries = np.flatnonzero(places.reshape(-1) != NOWHERE)
    seen = places.reshape(-1)[entries]
    entries = entries[np.argsort(seen, kind="stable")]
    seen = np.sort(seen)
    rank = np.arange(len(seen)) - np.searchsorted(seen, seen)
    table = np.full((rank.max(initial=0) + 1, pixels), nobody)  # all windows may lie in the pads
    table[rank, seen] = entries
    return table


def _rows(o: Lowering, x: str, chosen: Array) -> str:
    """Rows of [channels, rows, batch] in the order of a table."""
    return o.node("Gather", x, o.constant(chosen.reshape(-1), "int32"), axis=1)


def _with_zeros(o: Lowering, x: str) -> str:
    """[channels, rows, batch] with a row of zeros at the end."""
    return o.node("Pad", x, o.ints((0, 0, 0, 0, 1, 0)))


def _matrix(o: Lowering, x: str, groups: int, rows: int) -> str:
    return _reshape(o, x, groups, rows // groups, -1) if groups > 1 else _reshape(o, x, rows, -1)


def _turned(o: Lowering, x: str, groups: int) -> str:
    return o.node("Transpose", x, perm=[0, 2, 1] if groups > 1 else [1, 0])


def _sizes(o: Lowering, x: str) -> tuple[int, int, Numbers]:
    """Batch, channels and size of an image."""
    batch, channels, *size = o.type(x).numbers
    return batch, channels, tuple(size)


def _columns(o: Lowering, x: str, places: Array, groups: int, more: int = 0) -> Iterator[tuple[slice, str]]:
    """[channels * places, windows * batch] of an image, by pieces of the windows: as a whole it is many times the image."""
    batch, channels, size = _sizes(o, x)
    rows = _reshape(o, _last(o, x), channels, prod(size), batch)
    if np.array_equal(places, np.arange(prod(size))[None]):
        yield slice(0, prod(size)), _matrix(o, rows, groups, channels)
        return
    if (places == NOWHERE).any():
        rows, places = _with_zeros(o, rows), np.where(places == NOWHERE, prod(size), places)
    for part in _pieces(channels * places.size * batch, places.shape[1], more):
        yield part, _matrix(o, _rows(o, rows, places[:, part]), groups, channels * len(places))


def _pieces(numbers: int, length: int, more: int = 0) -> Iterator[slice]:
    """Where to part so many numbers along an axis of a length, so that no part is large; where there are parts, so many `more`."""
    count = min(-(-numbers // LARGEST), MOST_PIECES, length) if numbers > MANY else 1
    ends = np.linspace(0, length, count + (more if count > 1 else 0) + 1).astype(int).tolist()
    return (slice(start, end) for start, end in pairwise(ends) if start < end)


def _joined(o: Lowering, parts: Sequence[str], axis: int) -> str:
    return o.node("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]


def conv(o: Lowering, x: str, w: str, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    batch, _, size = _sizes(o, x)
    units, _, kernel = _sizes(o, w)
    grid = numbers_of(grid_of(o.type(x).shape, kernel, strides, pads, dilations))
    weights, places = _matrix(o, w, groups, units), _places(size, grid, kernel, strides, pads, dilations)
    parts = [o.node("MatMul", weights, columns) for _, columns in _columns(o, x, places, groups)]
    return _first(o, _reshape(o, _joined(o, parts, -1), units, *grid, batch), len(grid) + 2)


def conv_weight_grad(o: Lowering, x: str, g: str, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    batch, channels, size = _sizes(o, x)
    _, units, grid = _sizes(o, g)
    slopes, places, parts = _matrix(o, _last(o, g), groups, units), _places(size, grid, kernel, strides, pads, dilations), list[str]()
    # In other pieces than those of the way forward, which onnxruntime would keep until here.
    for part, columns in _columns(o, x, places, groups, more=1):
        whole = part == slice(0, prod(grid))
        those = slopes if whole else o.along(slopes, 2 if groups > 1 else 1, part.start * batch, part.stop * batch)
        parts.append(o.node("MatMul", those, _turned(o, columns, groups)))
    w = o.node("Sum", *parts) if len(parts) > 1 else parts[0]
    return _reshape(o, w, units, channels // groups, *kernel)


def conv_input_grad(o: Lowering, g: str, w: str, size: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers, groups: int) -> str:
    batch, units, grid = _sizes(o, g)
    _, part, kernel = _sizes(o, w)
    # One window more, of zeros, for the pixels that fewer windows see than others.
    windows = _with_zeros(o, _reshape(o, _last(o, g), units, prod(grid), batch))
    weights, slopes = _turned(o, _matrix(o, w, groups, units), groups), _matrix(o, windows, groups, units)
    places = np.pad(_places(size, grid, kernel, strides, pads, dilations), ((0, 0), (0, 1)), constant_values=NOWHERE)
    readers, images, each = _readers(places, prod(size), prod(grid)), list[str](), len(places)
    for piece in _pieces(part * places.size * batch, part) if groups == 1 else [slice(0, part)]:
        own = weights if piece == slice(0, part) else o.along(weights, 0, piece.start * each, piece.stop * each)
        rows = _reshape(o, o.node("MatMul", own, slopes), (piece.stop - piece.start) * groups, places.size, batch)
        images.append(_added_up(o, rows, readers))
    return _as_image(o, _joined(o, images, 0), size)


def _added_up(o: Lowering, x: str, readers: Array) -> str:
    """The pixels of an image, as sums of the rows of [channels, rows, batch] that a table has for each."""
    rows = _rows(o, x, readers)
    return o.reduce("ReduceSum", _reshape(o, rows, 0, *readers.shape, -1), (1,), False) if len(readers) > 1 else rows


def _as_image(o: Lowering, pixels: str, size: Numbers) -> str:
    return _first(o, _reshape(o, pixels, 0, *size, -1), len(size) + 2)


# ---- pooling


def _seen(o: Lowering, x: str, grid: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers, value: float) -> Iterator[str]:
    """What each place of a window sees: [channels, *grid, batch]."""
    rank, whole = o.type(x).rank, _last(o, x)
    if any(pads):
        around = (0, *pads[: len(grid)], 0, 0, *pads[len(grid) :], 0)
        whole = o.node("Pad", whole, o.ints(around), o.constant(value, o.type(x).dtype))
    for place in product(*map(range, kernel)):
        ends = tuple(p + (n - 1) * s + 1 for p, n, s in zip(place, grid, strides, strict=True))
        yield o.node("Slice", whole, o.ints(place), o.ints(ends), o.ints(tuple(range(1, rank - 1))), o.ints(strides))


def _grid(o: Lowering, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> Numbers:
    return numbers_of(grid_of(o.type(x).shape, kernel, strides, pads, (1,) * len(kernel)))


def max_pool(o: Lowering, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    grid = _grid(o, x, kernel, strides, pads)
    return _first(o, o.node("Max", *_seen(o, x, grid, kernel, strides, pads, -np.inf)), len(grid) + 2)


def max_pool_grad(o: Lowering, g: str, x: str, y: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    """The first place that sees the largest takes all, so the next have nothing left to take."""
    batch, channels, size = _sizes(o, x)
    grid, dtype = _grid(o, x, kernel, strides, pads), o.type(g).dtype
    left, largest, taken = _last(o, g), _last(o, y), []
    for part in _seen(o, x, grid, kernel, strides, pads, -np.inf):
        took = o.node("Mul", left, o.cast(o.node("Equal", part, largest), dtype))
        left = o.node("Sub", left, took)
        taken.append(_reshape(o, took, channels, -1, batch))
    places = _places(size, grid, kernel, strides, pads, (1,) * len(grid))
    readers = _readers(places, prod(size), places.size)
    if (readers == places.size).any():
        taken.append(o.constant(np.zeros((channels, 1, batch)), dtype))
    return _as_image(o, _added_up(o, o.node("Concat", *taken, axis=1), readers), size)


def _shares(o: Lowering, places: Array, grid: Numbers, dtype: str) -> str:
    """One over the number of pixels that each window sees."""
    return o.constant(1 / (places != NOWHERE).sum(axis=0).reshape(*grid, 1), dtype)


def avg_pool(o: Lowering, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    _, _, size = _sizes(o, x)
    grid = _grid(o, x, kernel, strides, pads)
    total = o.node("Sum", *_seen(o, x, grid, kernel, strides, pads, 0.0))
    shares = _shares(o, _places(size, grid, kernel, strides, pads, (1,) * len(grid)), grid, o.type(x).dtype)
    return _first(o, o.node("Mul", total, shares), len(grid) + 2)


def avg_pool_grad(o: Lowering, g: str, size: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    batch, channels, grid = _sizes(o, g)
    places = _places(size, grid, kernel, strides, pads, (1,) * len(grid))
    share = o.node("Mul", _last(o, g), _shares(o, places, grid, o.type(g).dtype))
    windows = np.pad(places, ((0, 0), (0, 1)), constant_values=NOWHERE)
    readers = _readers(windows, prod(size), prod(grid)) % windows.shape[1]
    return _as_image(o, _added_up(o, _with_zeros(o, _reshape(o, share, channels, prod(grid), batch)), readers), size)


FORMS: Mapping[str, Callable[..., str]] = {
    f.__name__: f for f in (conv, conv_input_grad, conv_weight_grad, max_pool, max_pool_grad, avg_pool, avg_pool_grad)
}
"""By the name of the op."""
