"""Windows over images: how many fit, what each place in one sees, and the pads around.

`kernel`, `strides` and `dilations` have a number for each axis; `pads` has those before every axis and then those after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

from nnspec.blas import Call
from nnspec.graph import Mismatch, Shape, Size, Type
from nnspec.graph.types import Dim
from nnspec.lazy import np

Numbers = tuple[int, ...]


def numbers_of(shape: Sequence[Any]) -> Numbers:
    """A shape of which all sizes are known."""
    return tuple(int(n) for n in shape)


def within_images(*types: Type, **_: Any) -> list[range]:
    """Where elements meet: anywhere in an image, but not from image to image."""
    return [range(1, t.rank) for t in types]


def window_count(size: Dim, kernel: int, stride: int, before: int, after: int, dilation: int) -> Dim:
    """How many windows fit along one axis."""
    reach = dilation * (kernel - 1) + 1
    padded = size + before + after
    if isinstance(padded, Size):
        if stride == 1:
            return padded - reach + 1
        raise Mismatch(f"windows that step by {stride} over a size known only at run time, `{size}`, are not supported", "x")
    if reach > padded:
        raise Mismatch(f"the kernel reaches over {reach}, the image has {padded}", "kernel")
    return (padded - reach) // stride + 1


def beyond(size: int, reach: int, stride: int, before: int, after: int) -> int:
    """How far the last window reaches behind the pads, if each that begins in the image or before it is one (`ceil_mode`)."""
    windows = -(-(size + before + after - reach) // stride) + 1
    windows -= (windows - 1) * stride >= size + before
    return max(0, (windows - 1) * stride + reach - (size + before + after)) if windows > 0 else 0


def grid_of(shape: Shape, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers) -> Shape:
    """How many windows fit along each axis of an image."""
    axes = zip(shape[2:], kernel, strides, pads[: len(kernel)], pads[len(kernel) :], dilations, strict=True)
    return tuple(window_count(*axis) for axis in axes)


def offsets(kernel: Numbers, strides: Numbers, dilations: Numbers, grid: Numbers) -> Iterator[Any]:
    """For each place in the kernel, the part of the padded image it sees over all windows."""
    axes = zip(kernel, strides, dilations, grid, strict=True)
    for seen in product(*([_seen(place, d, windows, s) for place in range(k)] for k, s, d, windows in axes)):
        yield (..., *seen)


def _seen(place: int, dilation: int, windows: int, stride: int) -> slice:
    first = place * dilation
    return slice(first, first + (windows - 1) * stride + 1, stride)


def padded_shape(shape: Numbers, pads: Numbers) -> Numbers:
    axes = len(shape) - 2
    return (*shape[:2], *(n + pads[i] + pads[axes + i] for i, n in enumerate(shape[2:])))


def padded(x: Any, pads: Numbers, value: float = 0.0) -> Any:
    if not any(pads):
        return x
    whole = np.full(padded_shape(x.shape, pads), value, x.dtype)
    inside(whole, pads)[...] = x
    return whole


def inside(padded: Any, pads: Numbers) -> Any:
    axes = padded.ndim - 2
    return padded[(..., *(slice(pads[i], padded.shape[2 + i] - pads[axes + i]) for i in range(axes)))]


def reach(kernel: Numbers, dilations: Numbers) -> Numbers:
    """How many pixels a window spans along each axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))


def same_pads(size: Shape, spans: Numbers, strides: Numbers) -> tuple[Numbers, Numbers]:
    """Pads before and after by which there are as many windows as pixels, over the stride; an odd one goes after.

    Along an axis whose size is known only at run time these are right for a stride of 1.
    """
    sides = zip(size, spans, strides, strict=True)
    totals = [max((-(-n // s) - 1) * s + r - n, 0) if isinstance(n, int) else r - 1 for n, r, s in sides]
    return halved(totals)


def halved(totals: Sequence[int]) -> tuple[Numbers, Numbers]:
    """As much before as after; an odd one goes after."""
    return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)


def turned_pads(kernel: Numbers, pads: Numbers, dilations: Numbers) -> Numbers:
    """The pads with which windows of what windows of a stride of 1 have left see, for every pixel, all that it has a part in."""
    return tuple(d * (k - 1) - p for d, k, p in zip(dilations * 2, kernel * 2, pads, strict=True))


def phases(out: Any, g: Any, w: Any, strides: Numbers, pads: Numbers) -> Iterator[tuple[Any, Any, Any, Numbers]]:
    """The pixels of an image so many apart, each time with what their gradient is gathered from by windows that move by one: the part of g,
    the weights that reach them, and the pads of g.
    """
    axes = len(strides)
    sides = zip(out.shape[2:], g.shape[2:], w.shape[2:], strides, pads[:axes], strict=True)
    for along in product(*([_phase(*side, first) for first in range(side[3])] for side in sides)):
        pixels, seen, weights, before, after = zip(*along, strict=True)
        yield out[(..., *pixels)], g[(..., *seen)], w[(..., *weights)], (*before, *after)


def _phase(size: int, given: int, kernel: int, stride: int, pad: int, first: int) -> tuple[slice, slice, slice, int, int]:
    """Along one axis, of every so many pixels from the first."""
    begin, place = divmod(first + pad, stride)
    reach, pixels = len(range(place, kernel, stride)), len(range(first, size, stride))
    before, after = reach - 1 - begin, pixels + begin - given
    seen = slice(max(0, -before), given - max(0, -after))
    return slice(first, None, stride), seen, slice(place, None, stride), max(0, before), max(0, after)


def unreached(size: Numbers, grid: Numbers, kernel: Numbers, strides: Numbers, pads: Numbers, dilations: Numbers) -> list[int]:
    """How much of the padded image lies behind the last window along each axis."""
    axes = zip(padded_shape((0, 0, *size), pads)[2:], grid, strides, reach(kernel, dilations), strict=True)
    return [n - ((windows - 1) * s + spanned) for n, windows, s, spanned in axes]


def not_cut_off(pads: Numbers, more: Numbers, strides: Numbers) -> Numbers:
    """Pads that cut off less at the end where `more` is left there: from a stride on it would be another window."""
    axes = len(more)
    return (*pads[:axes], *(max(p - m, 0) if m >= s else p for p, m, s in zip(pads[axes:], more, strides, strict=True)))


def windows(x: Any, kernel: Numbers, strides: Numbers, dilations: Numbers, grid: Numbers) -> Any:
    """[n, c, *grid, *kernel], a view of padded images."""
    seen = np.lib.stride_tricks.sliding_window_view(x, reach(kernel, dilations), axis=tuple(range(2, x.ndim)))
    steps = (*(slice(0, (n - 1) * s + 1, s) for n, s in zip(grid, strides, strict=True)), *(slice(None, None, d) for d in dilations))
    return seen[(slice(None), slice(None), *steps)]


def in_planes(x: Any, planes: Numbers) -> Any:
    """[n, c, *planes, *size / planes, ...], a view of images [n, c, *size, ...]: pixels so far apart along each axis are in one plane."""
    axes = len(planes)
    split = [m for n, b in zip(x.shape[2 : 2 + axes], planes, strict=True) for m in (n // b, b)]
    seen = x.reshape(*x.shape[:2], *split, *x.shape[2 + axes :])
    return seen.transpose(0, 1, *range(3, 2 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2), *range(2 + 2 * axes, seen.ndim))


class Images:
    """Images [n, c, *size] in memory; those that lie in so many planes along each axis are [n, c, planes, *size / planes]."""

    def __init__(self, memory: Any, planes: Numbers = ()) -> None:
        self.memory, self.planes = memory, planes
        self.size = tuple(n * b for n, b in zip(memory.shape[3:], planes, strict=True)) if planes else memory.shape[2:]

    def __len__(self) -> int:
        return len(self.memory)

    def __getitem__(self, part: slice) -> Images:
        return Images(self.memory[part], self.planes)

    def in_rows(self) -> Images:
        """Those of one axis as rows of pixels."""
        if len(self.size) > 1:
            return self
        return Images(np.expand_dims(self.memory, -2), (1, *self.planes) if self.planes else ())

    def beside(self, plain: Any) -> tuple[Any, Any]:
        """Them, and others that lie pixel by pixel, both seen in the same order."""
        if not self.planes:
            return self.memory, plain
        seen = in_planes(plain, self.planes)
        return self.memory.reshape(seen.shape), seen

    def copied_to(self, plain: Any) -> Call:
        images, other = self.beside(plain)
        return partial(np.copyto, other, images)

    def copied_from(self, plain: Any) -> Call:
        images, other = self.beside(plain)
        return partial(np.copyto, images, other)
