"""Convolution by 3 x 3 kernels with a quarter of the multiplications: F(4 x 4, 3 x 3) of Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks (2016), as products of matrices over tiles of 6 x 6 pixels that give 4 x 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from math import prod
from typing import Any

from nnspec.blas import Call, accumulated_product, product
from nnspec.lazy import np
from nnspec.ops.columns import Kernel, chunks
from nnspec.ops.windows import Images, Numbers

IN, OUT = 6, 4
"""Pixels along a side of what a tile reads and gives."""
# Tiles of a chunk of images stay in the second-level cache.
CHUNK_BYTES = 5 << 18
# Its multiplications are in smaller products: it has to save this share of those over windows.
WORTH_IT = 0.4

_B = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
_G = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # of 24
_A = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


@cache
def _both_ways(rows: tuple[tuple[int, ...], ...], of: int, dtype: Any) -> Any:
    """A transformation of columns and rows as one matrix."""
    one = np.array(rows, np.float64) / of
    return np.ascontiguousarray(np.kron(one, one), dtype)


def fits(kernel: Numbers, strides: Numbers, dilations: Numbers, groups: int, channels: Numbers, grid: Numbers) -> bool:
    """Whether it is faster than windows: multiplications of a tile, with those of its transformations, against those of its pixels."""
    if kernel != (3, 3) or {*strides, *dilations, groups} != {1}:
        return False
    given, read = channels
    tile = IN**2 * (given * read + IN**2 * read + OUT**2 * given)
    return prod(map(_tiles, grid)) * tile <= (1 - WORTH_IT) * prod(grid) * 9 * given * read


def _tiles(pixels: int) -> int:
    return -(-pixels // OUT)


class Tiles:
    """Tiles of images as [side * side, tiles, c], for a chunk of them."""

    def __init__(self, images: Images, grid: Numbers, side: int, before: Numbers, chunk: int) -> None:
        self.images, self.grid, self.side, self.before, self.chunk = images, grid, side, before, chunk
        self.down, self.across = (_tiles(n) for n in grid)
        c, edge, dtype = images.memory.shape[1], side - OUT, images.memory.dtype
        self.padded = np.zeros((chunk, OUT * self.down + edge, OUT * self.across + edge, c), dtype)
        self.laid = np.empty(side * side * chunk * self.down * self.across * c, dtype)

    def _seen(self, images: int) -> Any:
        """The tiles as a view of the padded images, [side, side, images, down, across, c]."""
        n, y, x, c = self.padded.strides
        shape = (self.side, self.side, images, self.down, self.across, self.padded.shape[-1])
        return np.lib.stride_tricks.as_strided(self.padded, shape, (y, x, n, OUT * y, OUT * x, c))

    def _inside(self, images: int) -> Any:
        (height, width), (top, left) = self.images.size, self.before
        return np.moveaxis(self.padded[:images, top : top + height, left : left + width], -1, 1)

    def laid_out(self, images: int) -> Any:
        channels = self.padded.shape[-1]
        tiles = images * self.down * self.across
        return self.laid[: self.side**2 * tiles * channels].reshape(self.side**2, tiles, channels)

    def load(self, part: slice) -> list[Call]:
        images = part.stop - part.start
        seen = self._seen(images)
        laid = self.laid_out(images).reshape(seen.shape)
        return [self.images[part].copied_to(self._inside(images)), partial(np.copyto, laid, seen)]

    def store(self, part: slice) -> list[Call]:
        """Of tiles that do not overlap."""
        images = part.stop - part.start
        seen = self._seen(images)
        laid = self.laid_out(images).reshape(seen.shape)
        return [partial(np.copyto, seen, laid), self.images[part].copied_from(self._inside(images))]


def _flat(matrices: Any) -> Any:
    return matrices.reshape(len(matrices), -1)


def _chunk(images: int, grid: Numbers, channels: int, itemsize: int) -> int:
    return min(images, max(1, CHUNK_BYTES // (IN * IN * prod(map(_tiles, grid)) * channels * itemsize)))


def _tiled(x: Images, before: Numbers, given: Images) -> tuple[Tiles, Tiles]:
    """Tiles of what is read, with so many zeros above and to the left, and of what is given."""
    channels, itemsize = max(x.memory.shape[1], given.memory.shape[1]), x.memory.itemsize
    chunk = _chunk(len(x), given.size, channels, itemsize)
    return Tiles(x, given.size, IN, before, chunk), Tiles(given, given.size, OUT, (0, 0), chunk)


def _in_chunks(seen: Tiles, given: Tiles, channels: Numbers) -> Iterator[tuple[slice, Any, Any, Any, Any]]:
    """Of each chunk of images the tiles that are read and given, and both transformed, in memory that all chunks share."""
    dtype = seen.laid.dtype
    read, sums = (np.empty((IN * IN, seen.chunk * seen.down * seen.across, c), dtype) for c in channels)
    for part in chunks(len(seen.images), seen.chunk):
        tiles, made = seen.laid_out(part.stop - part.start), given.laid_out(part.stop - part.start)
        v, m = (np.ndarray((IN * IN, tiles.shape[1], a.shape[2]), dtype, a) for a in (read, sums))
        yield part, tiles, made, v, m


def correlate(out: Images, x: Images, kernel: Kernel, before: Numbers) -> list[Call]:
    """The convolution of x, with so many zeros above and to the left, into out."""
    dtype = x.memory.dtype
    seen, given = _tiled(x, before, out)
    weights = np.empty((IN * IN, *kernel.laid.shape[-2:]), dtype)
    calls = [kernel.load(), product(_both_ways(_G, 24, dtype), kernel.laid.reshape(9, -1), _flat(weights))]
    for part, tiles, made, v, m in _in_chunks(seen, given, kernel.laid.shape[-2:]):
        calls += [*seen.load(part), product(_both_ways(_B, 1, dtype), _flat(tiles), _flat(v)), product(v, weights, m)]
        calls += [product(_both_ways(_A, 1, dtype), _flat(m), _flat(made)), *given.store(part)]
    return calls


def weight_grad(total: Kernel, x: Images, g: Images, before: Numbers) -> list[Call]:
    """The gradient of such a convolution for its weights."""
    dtype = x.memory.dtype
    seen, given = _tiled(x, before, g)
    channels = x.memory.shape[1], g.memory.shape[1]
    weights = np.empty((IN * IN, *channels), dtype)
    calls: list[Call] = []
    for part, tiles, made, v, m in _in_chunks(seen, given, channels):
        calls += [*seen.load(part), product(_both_ways(_B, 1, dtype), _flat(tiles), _flat(v))]
        calls += [*given.load(part), product(_both_ways(_A, 1, dtype).T, _flat(made), _flat(m))]
        if part.start:
            calls += [accumulated_product(a.T, b, w) for a, b, w in zip(v, m, weights, strict=True)]
        else:
            calls.append(product(v.mT, m, weights))
    return [*calls, product(_both_ways(_G, 24, dtype).T, _flat(weights), total.laid.reshape(9, -1)), total.store()]
