"""Convolution of every channel by itself: one sum of products over all places of the kernel, for a few images at a time, to stay in cache.

There is one product for a number that is read, too few for BLAS. Pixels side by side are one long row with their channels, and so is the
weight of each, laid out once a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from math import prod
from typing import Any

from nnspec.blas import Call
from nnspec.lazy import np
from nnspec.ops.aside import aside, aside_channels_last
from nnspec.ops.columns import Rows, chunks
from nnspec.ops.windows import Numbers, inside, padded_shape, windows

CHUNK_BYTES = 1 << 19
"""Padded images of a chunk."""


def fits(weights: Numbers, groups: int) -> bool:
    """Whether each channel has a kernel of its own."""
    return groups > 1 and weights[:2] == (groups, 1)


class Depthwise:
    """Windows of a chunk of padded images [n, *grid, *kernel, row], and the weights of their rows.

    A row is the channels of a pixel, or of all pixels side by side where windows move by one.
    """

    def __init__(self, images: int, w: Any, size: Numbers, strides: Numbers, dilations: Numbers, grid: Numbers, begin: Numbers) -> None:
        channels, kernel = len(w), w.shape[2:]
        self.number, self.axes = images, len(grid)
        self.chunk = min(images, max(1, CHUNK_BYTES // (prod(size) * channels * w.itemsize)))
        self.whole = aside_channels_last((self.chunk, channels, *size), w.dtype, ("depthwise", "padded"))
        seen = windows(self.whole[(..., *(slice(first, None) for first in begin))], kernel, strides, dilations, grid)
        places = range(2 + self.axes, seen.ndim)
        side_by_side = strides[-1] == 1
        self.outer = grid[:-1] if side_by_side else grid
        ordered = seen.transpose(0, *range(2, 2 + len(self.outer)), *places, *range(2 + len(self.outer), 2 + self.axes), 1)
        self.seen = ordered.reshape(*ordered.shape[: 1 + len(self.outer) + self.axes], -1)
        self.laid = aside((*kernel, grid[-1] if side_by_side else 1, channels), w.dtype, key=("depthwise", "weights"))
        self.weights = self.laid.reshape(*kernel, -1)
        self.of_places = np.moveaxis(w[:, 0], 0, -1)  # [*kernel, channels]

    def load(self, *, back: bool = False) -> Call:
        of_places = np.flip(self.of_places, tuple(range(self.axes))) if back else self.of_places
        return partial(np.copyto, self.laid, of_places[..., None, :])

    def parts(self) -> Iterator[tuple[slice, int]]:
        """Chunks of the images, and how many they have."""
        return ((part, part.stop - part.start) for part in chunks(self.number, self.chunk))

    def correlated(self, number: int, rows: Any) -> Call:
        """The rows of so many images: every window times the weights."""
        image, place, row = self._labels()
        total = rows.reshape(number, *self.outer, -1)
        return partial(np.einsum, self.seen[:number], [*image, *place, row], self.weights, [*place, row], [*image, row], out=total)

    def summed(self, number: int, rows: Any, out: Any) -> Iterator[Call]:
        """What each place of the kernel sees times the rows of so many images; place by place along the last axis, which is fastest."""
        image, place, row = self._labels()
        given = rows.reshape(number, *self.outer, -1)
        for last in range(self.seen.shape[-2]):
            seen = self.seen[:number, ..., last, :]
            yield partial(np.einsum, seen, [*image, *place[:-1], row], given, [*image, row], [*place[:-1], row], out=out[..., last, :])

    def _labels(self) -> tuple[list[int], list[int], int]:
        labels = count()
        return list(islice(labels, 1 + len(self.outer))), list(islice(labels, self.axes)), next(labels)


def _of_padded(x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers, grid: Numbers) -> tuple[Depthwise, Any, list[Call]]:
    """With where in the padded images those of x are, and what puts zeros around them."""
    size = padded_shape(x.shape, pads)[2:]
    d = Depthwise(len(x), w, size, strides, dilations, grid, (0,) * len(size))
    zeros: list[Call] = [partial(d.whole.fill, 0)] if any(pads) else []
    return d, inside(d.whole, pads), zeros


def correlate(out: Any, x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """Every window of every channel times its weights."""
    d, image, begin = _of_padded(x, w, strides, pads, dilations, out.shape[2:])
    calls = [d.load(), *begin]
    for part, number in d.parts():
        rows = Rows(out[part], 1)
        calls += [partial(np.copyto, image[:number], x[part]), d.correlated(number, rows.rows), *rows.store()]
    return calls


def input_grad(out: Any, g: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """The gradient of a pixel is a window of g, with zeros between its pixels where windows move by more than one."""
    size, kernel, grid = out.shape[2:], w.shape[2:], g.shape[2:]
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    ahead = [r - p for r, p in zip(reach, pads, strict=False)]
    lies = [slice(max(a, 0), max(a, 0) + (m - 1) * s + 1, s) for a, m, s in zip(ahead, grid, strides, strict=True)]
    begin = tuple(max(-a, 0) for a in ahead)
    whole = tuple(max(b + n + r, at.stop) for b, n, r, at in zip(begin, size, reach, lies, strict=True))
    d = Depthwise(len(g), w, whole, (1,) * len(size), dilations, size, begin)
    image = d.whole[(..., *lies)]
    calls: list[Call] = [d.load(back=True), partial(d.whole.fill, 0)]
    for part, number in d.parts():
        rows = Rows(out[part], 1)
        calls += [partial(np.copyto, image[:number], g[part]), d.correlated(number, rows.rows), *rows.store()]
    return calls


def weight_grad(out: Any, x: Any, g: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """What each place of the kernel sees times the gradient of its window, added up over all windows."""
    d, image, calls = _of_padded(x, out, strides, pads, dilations, g.shape[2:])
    made = aside(d.weights.shape, x.dtype, key=("depthwise", "made"))
    for part, number in d.parts():
        rows = Rows(g[part], 1)
        calls += [*rows.load(), partial(np.copyto, image[:number], x[part])]
        calls += d.summed(number, rows.rows, made if part.start else d.weights)
        calls += [partial(np.add, d.weights, made, d.weights)] if part.start else []
    sums = aside(d.of_places.shape, x.dtype, key=("depthwise", "sums"))
    return [*calls, partial(np.add.reduce, d.laid, -2, None, sums), partial(np.copyto, d.of_places, sums)]
