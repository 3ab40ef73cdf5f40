"""Convolution of every channel by itself: for each place of the kernel a pass over some images, which stay in the cache meanwhile.

There is one product for a number that is read, too few for BLAS. Pixels side by side are one long row with their channels, and so is the
weight of each, laid out once a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

from nnspec.blas import Call, accumulated_product, product
from nnspec.lazy import np
from nnspec.ops.aside import aside, aside_channels_last
from nnspec.ops.columns import Rows, channels_last, chunks
from nnspec.ops.dense import ones
from nnspec.ops.windows import Numbers, inside, offsets, padded_shape

CHUNK_BYTES = 1 << 18
"""Padded images of a chunk; what is computed of them is about as large."""


def fits(weights: Numbers, groups: int) -> bool:
    """Whether each channel has a kernel of its own."""
    return groups > 1 and weights[:2] == (groups, 1)


class Depthwise:
    """Chunks of padded images x, what each place of the kernel sees of them, and its weights; `grid` says how many windows there are."""

    def __init__(self, x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers, grid: Numbers) -> None:
        channels, kernel = x.shape[1], w.shape[2:]
        padded = padded_shape((1, *x.shape[1:]), pads)
        self.number, self.pads = len(x), pads
        self.chunk = min(len(x), max(1, CHUNK_BYTES // (prod(padded) * x.itemsize)))
        self.whole = aside_channels_last((self.chunk, *padded[1:]), x.dtype, ("depthwise", "padded"))
        self.image = inside(self.whole, pads)
        self.seen = [_in_rows(channels_last(self.whole[place])) for place in offsets(kernel, strides, dilations, grid)]
        repeated = (len(self.seen), self.seen[0].shape[-1] // channels, channels)
        self.laid = aside(repeated, x.dtype, key=("depthwise", "weights"))
        self.weights = self.laid.reshape(len(self.seen), -1)
        self.made = aside(self.seen[0].shape, x.dtype, key=("depthwise", "made"))
        self.of_places = w.reshape(channels, -1).T  # [places, channels]

    def load(self) -> Call:
        return partial(np.copyto, self.laid, self.of_places[:, None])

    def begin(self) -> list[Call]:
        """Zeros around the images."""
        return [partial(self.whole.fill, 0)] if any(self.pads) else []

    def parts(self) -> Iterator[tuple[slice, int]]:
        """Chunks of the images, and how many they have."""
        return ((part, part.stop - part.start) for part in chunks(self.number, self.chunk))


def correlate(out: Any, x: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """Every window of every channel times its weights."""
    d = Depthwise(x, w, strides, pads, dilations, out.shape[2:])
    calls = [d.load(), *d.begin()]
    for part, number in d.parts():
        rows, made = Rows(out[part], 1), d.made[:number]
        total = rows.rows.reshape(made.shape)
        calls.append(partial(np.copyto, d.image[:number], x[part]))
        for place, (seen, weights) in enumerate(zip(d.seen, d.weights, strict=True)):
            calls.append(partial(np.multiply, seen[:number], weights, made if place else total))
            calls += [partial(np.add, total, made, total)] if place else []
        calls += rows.store()
    return calls


def input_grad(out: Any, g: Any, w: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """The gradient of every window times its weights, added up where the windows overlap."""
    d = Depthwise(out, w, strides, pads, dilations, g.shape[2:])
    calls = [d.load()]
    for part, number in d.parts():
        rows, made = Rows(g[part], 1), d.made[:number]
        calls += [*rows.load(), partial(d.whole[:number].fill, 0)]
        for seen, weights in zip(d.seen, d.weights, strict=True):
            target = seen[:number]
            calls.append(partial(np.multiply, rows.rows.reshape(made.shape), weights, made))
            calls.append(partial(np.add, target, made, target))
        calls.append(partial(np.copyto, out[part], d.image[:number]))
    return calls


def weight_grad(out: Any, x: Any, g: Any, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[Call]:
    """What each place of the kernel sees times the gradient of its window, added up over all windows."""
    d = Depthwise(x, out, strides, pads, dilations, g.shape[2:])
    calls = d.begin()
    for part, number in d.parts():
        rows, made = Rows(g[part], 1), d.made[:number]
        calls += [*rows.load(), partial(np.copyto, d.image[:number], x[part])]
        matrix = made.reshape(-1, d.weights.shape[1])
        add = accumulated_product if part.start else product
        for seen, total in zip(d.seen, d.weights, strict=True):
            calls.append(partial(np.multiply, seen[:number], rows.rows.reshape(made.shape), made))
            calls.append(add(ones(len(matrix), x.dtype)[None], matrix, total[None]))
    sums = aside(d.of_places.shape, x.dtype, key=("depthwise", "sums"))
    return [*calls, partial(np.add.reduce, d.laid, 1, None, sums), partial(np.copyto, out, sums.T.reshape(out.shape))]


def _in_rows(seen: Any) -> Any:
    """[n, *grid, c] with the pixels of a row and their channels as one axis, where they lie side by side."""
    rows = seen.reshape(*seen.shape[:-2], -1)
    return rows if np.shares_memory(rows, seen) else seen
