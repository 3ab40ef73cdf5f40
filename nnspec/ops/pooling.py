"""The kernels of pools and their gradients, for some images at a time, which stay in the cache.

Windows that overlap are taken axis after axis, the last one first: the largest along an axis, and then of those along the one before, is
the largest of a window, and the first of equal ones stays the first; a sum is one of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any

from nnspec.blas import Call
from nnspec.lazy import np
from nnspec.ops.aside import aside_channels_last
from nnspec.ops.columns import chunks, in_turn
from nnspec.ops.windows import Numbers, inside, offsets, padded_shape

CHUNK_BYTES = 1 << 21
"""Padded images of a chunk; over smaller ones two threads would wait for each other to call."""


class Stage:
    """Windows along some of the axes of images; `shape` is that of what they make of a chunk of images."""

    def __init__(self, before: Numbers, kernel: Numbers, strides: Numbers, grid: Numbers) -> None:
        self.shape = (*before[:2], *grid)
        self.places = [*offsets(kernel, strides, (1,) * len(kernel), grid)]
        self.apart = all(k <= s for k, s in zip(kernel, strides, strict=True))
        self.covers = self.apart and all(n == k * m for n, k, m in zip(before[2:], kernel, grid, strict=True))

    def seen(self, x: Any) -> list[Any]:
        """What each place sees of images."""
        return [x[place] for place in self.places]


def _stages(image: Numbers, kernel: Numbers, strides: Numbers, grid: Numbers) -> list[Stage]:
    """One for all axes where no windows overlap, else one for each, the last one first."""
    whole = Stage(image, kernel, strides, grid)
    if whole.apart:
        return [whole]
    found: list[Stage] = []
    for axis in reversed(range(len(kernel))):
        if kernel[axis] > 1 or strides[axis] > 1:
            before = found[-1].shape if found else image
            size = (*before[2 : 2 + axis], grid[axis], *before[3 + axis :])
            found.append(Stage(before, _only(axis, kernel), _only(axis, strides), size))
    return found


def _only(axis: int, numbers: Numbers) -> Numbers:
    """Them along one axis, and 1 along the others."""
    return tuple(n if i == axis else 1 for i, n in enumerate(numbers))


class Pool:
    """A pool over images [n, c, *size] with the chunks in which it is computed; between two stages values are in memory for one chunk."""

    def __init__(self, shape: Numbers, dtype: Any, kernel: Numbers, strides: Numbers, pads: Numbers, grid: Numbers) -> None:
        image = padded_shape(shape, pads)
        self.number, self.dtype, self.pads = shape[0], dtype, pads
        self.chunk = min(shape[0], max(1, CHUNK_BYTES // (prod(image[1:]) * np.dtype(dtype).itemsize)))
        self.padded_shape = (self.chunk, *image[1:])
        self.stages = _stages(self.padded_shape, kernel, strides, grid)

    def parts(self) -> Iterator[slice]:
        return chunks(self.number, self.chunk)

    def padded(self, what: str) -> Any:
        """Memory for a chunk of padded images; None where there are no pads."""
        return _aside(self.padded_shape, self.dtype, "padded", what) if any(self.pads) else None

    def between(self, what: str) -> list[Any]:
        """Memory for what lies between two stages."""
        return [_aside(stage.shape, self.dtype, what, i) for i, stage in enumerate(self.stages[:-1])]

    def image(self, padded: Any, x: Any, part: slice) -> tuple[list[Call], Any]:
        """A chunk of images with their pads, and what puts it there."""
        if padded is None:
            return [], x[part]
        whole = padded[: part.stop - part.start]
        return [partial(np.copyto, inside(whole, self.pads), x[part])], whole

    def stored(self, padded: Any, x: Any, part: slice) -> list[Call]:
        """What takes a chunk of images out of the memory with pads."""
        return [] if padded is None else [partial(np.copyto, x[part], inside(padded[: part.stop - part.start], self.pads))]


def _reduced(stage: Stage, combine: Callable[..., Any], x: Any, out: Any) -> Iterator[Call]:
    """What all places of a stage see, as one."""
    first, *others = stage.seen(x)
    if not others:
        yield partial(np.copyto, out, first)
    for i, other in enumerate(others):
        yield partial(combine, out if i else first, other, out=out)


def _begun(padded: Any, value: float) -> list[Call]:
    """This number around the images."""
    return [] if padded is None else [partial(padded.fill, value)]


def _pooled(pool: Pool, combine: Callable[..., Any], around: float, out: Any, x: Any) -> Iterator[Call]:
    padded, between = pool.padded("values"), pool.between("values")
    yield from _begun(padded, around)
    for part in pool.parts():
        load, value = pool.image(padded, x, part)
        yield from load
        targets = [*(b[: part.stop - part.start] for b in between), out[part]]
        for stage, target in zip(pool.stages, targets, strict=True):
            yield from _reduced(stage, combine, value, target)
            value = target


def max_pool_into(out: Any, x: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    pool = Pool(x.shape, x.dtype, kernel, strides, pads, out.shape[2:])
    return in_turn(list(_pooled(pool, np.maximum, -np.inf, out, x)))


def max_pool_grad_into(out: Any, g: Any, x: Any, y: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    pool = Pool(x.shape, x.dtype, kernel, strides, pads, y.shape[2:])
    seen, into = pool.padded("values"), pool.padded("grads")
    values, grads = pool.between("values"), pool.between("grads")
    found = [Found(stage.shape, x.dtype) for stage in pool.stages]
    calls = _begun(seen, -np.inf)
    for part in pool.parts():
        images = part.stop - part.start
        load, image = pool.image(seen, x, part)
        calls += load
        steps = [image, *(v[:images] for v in values), y[part]]
        for stage, value, larger in zip(pool.stages[:-1], steps[:-2], steps[1:-1], strict=True):
            calls += _reduced(stage, np.maximum, value, larger)
        target = out[part] if into is None else into[:images]
        slopes = [target, *(s[:images] for s in grads), g[part]]
        for i, stage in reversed([*enumerate(pool.stages)]):
            calls += _routed(stage, slopes[i + 1], steps[i], steps[i + 1], slopes[i], found[i].of(images))
        calls += pool.stored(into, out, part)
    return in_turn(calls)


def _aside(shape: Numbers, dtype: Any, *what: object) -> Any:
    return aside_channels_last(shape, dtype, ("pool", *what))


class Found:
    """Memory for which window has found its largest, where that is, and a part of the gradient."""

    def __init__(self, shape: Numbers, dtype: Any) -> None:
        self.taken, self.hit, self.part = _aside(shape, bool, "taken"), _aside(shape, bool, "hit"), _aside(shape, dtype, "part")

    def of(self, images: int) -> tuple[Any, Any, Any]:
        return self.taken[:images], self.hit[:images], self.part[:images]


def _routed(stage: Stage, g: Any, x: Any, y: Any, out: Any, found: tuple[Any, Any, Any]) -> Iterator[Call]:
    """The gradient of each window to the first of the largest that a stage sees."""
    taken, hit, share = found
    if not stage.covers:
        yield partial(out.fill, 0)
    places = [*zip(stage.seen(x), stage.seen(out), strict=True)]
    for i, (value, target) in enumerate(places):
        if i == 0:
            yield partial(np.equal, value, y, out=taken)
        elif i == len(places) - 1:
            yield partial(np.logical_not, taken, out=hit)
        else:
            yield partial(np.equal, value, y, out=hit)
            yield partial(np.greater, hit, taken, out=hit)
            yield partial(np.logical_or, taken, hit, out=taken)
        where = hit if i else taken
        if stage.apart:
            yield partial(np.multiply, g, where, out=target)
        else:
            yield partial(np.multiply, g, where, out=share)
            yield partial(np.add, target, share, out=target)


def avg_pool_into(out: Any, x: Any, counts: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    pool = Pool(x.shape, x.dtype, kernel, strides, pads, out.shape[2:])
    return in_turn([*_pooled(pool, np.add, 0.0, out, x), partial(np.divide, out, counts, out=out)])


def avg_pool_grad_into(out: Any, g: Any, counts: Any, kernel: Numbers, strides: Numbers, pads: Numbers) -> Call:
    pool = Pool(out.shape, out.dtype, kernel, strides, pads, g.shape[2:])
    into, between, share = pool.padded("grads"), pool.between("grads"), _aside((pool.chunk, *g.shape[1:]), g.dtype, "part")
    calls: list[Call] = []
    for part in pool.parts():
        images = part.stop - part.start
        target = out[part] if into is None else into[:images]
        slopes = [target, *(b[:images] for b in between), share[:images]]
        calls.append(partial(np.divide, g[part], counts, out=slopes[-1]))
        for i, stage in reversed([*enumerate(pool.stages)]):
            calls += _spread(stage, slopes[i + 1], slopes[i])
        calls += pool.stored(into, out, part)
    return in_turn(calls)


def _spread(stage: Stage, g: Any, out: Any) -> Iterator[Call]:
    """The gradient of each window to all that a stage sees of it."""
    if not stage.covers:
        yield partial(out.fill, 0)
    for target in stage.seen(out):
        yield partial(np.copyto, target, g) if stage.apart else partial(np.add, target, g, out=target)
