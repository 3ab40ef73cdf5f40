"""Convolution by kernels of 3 with fewer multiplications: six pixels give four along an axis, by six products instead of twelve.

Along both axes of images, F(4 x 4, 3 x 3) of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), that is a quarter of
them; along the last axis alone it is a half, and far less to transform, which counts where images have few channels. The other axis is then
within the products: windows over rows, which lie next to each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

from nnspec.blas import Call, accumulated_products, product
from nnspec.lazy import np
from nnspec.ops.aside import aside
from nnspec.ops.columns import Kernel, channels_last, chunks
from nnspec.ops.windows import Images, Numbers

IN, OUT = 6, 4
"""Pixels along an axis of what a tile reads and gives."""
CHUNK_BYTES = {1: 1 << 19, 2: 3 << 18}
"""Of tiles along so many axes: with what becomes of them, a chunk of images stays in the second-level cache."""
WEIGHTS = 8
"""Chunks are larger by such a part of the weights, which each of them reads."""
WINDOW = 42.0
"""What laying out a number of a window costs, in multiplications of large products of matrices."""
PRODUCT, CHANGE = {1: 1.8, 2: 1.25}, {1: 8.0, 2: 4.0}
"""What a multiplication costs for tiles along so many axes, in those of large products: of them, and of what changes them."""
SUMMED = {1: 1.15, 2: 1.25}
"""The share more that the gradient of weights costs, which sums products of few tiles along so many axes."""

_B = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
_G = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # of 24
_A = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


@cache
def _matrix(rows: tuple[tuple[int, ...], ...], of: int, axes: int, dtype: Any) -> Any:
    """A transformation along so many axes as one matrix."""
    one = np.array(rows, np.float64) / of
    return np.ascontiguousarray(one if axes == 1 else np.kron(one, one), dtype)


class Form(NamedTuple):
    """Along how many axes, the last ones, tiles have more than one pixel, and how many rows of the kernel are left to the products."""

    axes: int
    rows: int

    def side(self, along: int) -> Numbers:
        """Of a tile with so many pixels along the axes that are transformed."""
        return (1, along) if self.axes == 1 else (along, along)

    def tiles(self, grid: Numbers) -> Numbers:
        """How many cover a grid of what is given; rows that windows reach over are tiles, too."""
        down, across = (-(-n // side) for n, side in zip(grid, self.side(OUT), strict=True))
        return down + self.rows - 1, across

    def matrix(self, rows: tuple[tuple[int, ...], ...], dtype: Any, of: int = 1) -> Any:
        return _matrix(rows, of, self.axes, dtype)

    def cost(self, channels: Numbers, grid: Numbers) -> float:
        """In multiplications of large products of matrices."""
        given, read = channels
        seen, made = IN**self.axes, OUT**self.axes
        multiplied, changed = seen * self.rows * given * read, seen * (seen * read + made * given)
        of_a_tile = multiplied * PRODUCT[self.axes] + changed * CHANGE[self.axes]
        return float(prod(self.tiles(grid)) * of_a_tile)


def form(
    kernel: Numbers, strides: Numbers, dilations: Numbers, groups: int, channels: Numbers, grid: Numbers, *, summed: bool = False
) -> Form | None:
    """The form that should be fastest for so many channels that are given and read; None where windows are."""
    if len(kernel) > 2 or kernel[-1] != 3 or {*strides, *dilations, groups} != {1}:
        return None
    kernel, grid = _two(kernel), _two(grid)
    given, read = channels
    best, cost = None, prod(grid) * prod(kernel) * read * (given + WINDOW)
    for f in (Form(1, kernel[0]), *([Form(2, 1)] if kernel[0] == 3 else [])):
        if (other := f.cost(channels, grid) * (SUMMED[f.axes] if summed else 1.0)) < cost:
            best, cost = f, other
    return best


def _two(numbers: Numbers) -> Numbers:
    """With one row of pixels where there is no other axis."""
    return (*(1,) * (2 - len(numbers)), *numbers)


class Tiles:
    """Tiles of images as [side, tiles, c], for a chunk of them; those below each other are side by side."""

    def __init__(self, images: Images, form: Form, grid: Numbers, along: int, before: Numbers, chunk: int) -> None:
        self.images, self.side, self.step = images.in_rows(), form.side(along), form.side(OUT)
        self.down, self.across = form.tiles(_two(grid))
        memory, size = self.images.memory, self.images.size
        self.exact = along == OUT and not images.planes and not any(n % step for n, step in zip(size, self.step, strict=True))
        if not self.exact:
            (top, left), (height, width) = (*(0,) * (2 - len(before)), *before), size
            sizes = (step * (n - 1) + side for side, step, n in zip(self.side, self.step, (self.down, self.across), strict=True))
            self.padded = _aside((chunk, *sizes, memory.shape[1]), memory.dtype, f"padded {along}")
            self.inside = np.moveaxis(self.padded[:, top : top + height, left : left + width], -1, 1)

    def _met(self, part: slice, laid: Any) -> tuple[Any, Any]:
        """Pixels of some images, and the same of what is laid out: both as [*side, across, images, down, c]."""
        pixels = channels_last(self.images.memory[part]) if self.exact else self.padded
        down = pixels.shape[1] // self.step[0] if self.exact else self.down
        n, y, x, c = pixels.strides
        shape = (*self.side, self.across, part.stop - part.start, down, pixels.shape[-1])
        seen = np.lib.stride_tricks.as_strided(pixels, shape, (y, x, self.step[1] * x, n, self.step[0] * y, c))
        return seen, laid.reshape(*shape[:4], self.down, shape[-1])[:, :, :, :, :down]

    def begin(self) -> list[Call]:
        """Zeros around the images."""
        return [] if self.exact else [partial(self.padded.fill, 0)]

    def load(self, part: slice, laid: Any) -> list[Call]:
        seen, tiles = self._met(part, laid)
        copy = [] if self.exact else [self.images[part].copied_to(self.inside[: part.stop - part.start])]
        return [*copy, partial(np.copyto, tiles, seen)]

    def store(self, part: slice, laid: Any) -> list[Call]:
        """Of tiles that do not overlap."""
        seen, tiles = self._met(part, laid)
        copy = [] if self.exact else [self.images[part].copied_from(self.inside[: part.stop - part.start])]
        return [partial(np.copyto, seen, tiles), *copy]


class Workspace:
    """Memory for a chunk of so many tiles: what is laid out, and what it is changed to, seen by the products."""

    def __init__(self, form: Form, tiles: int, channels: Numbers, dtype: Any) -> None:
        read, given = channels
        self.form, self.tiles = form, tiles
        seen, made, rows = IN**form.axes, OUT**form.axes, form.rows
        self.windows = -(-tiles // rows)
        self.laid, self.made = _aside((seen, tiles, read), dtype, "laid"), _aside((made, tiles, given), dtype, "made")
        self.read = _aside((seen, rows * self.windows + rows - 1, read), dtype, "read")
        self.sums = _aside((seen, rows * self.windows, given), dtype, "sums")

    def begin(self) -> list[Call]:
        """Zeros where nothing is laid out: rows that windows only reach over."""
        return [partial(self.made.fill, 0), partial(self.read[:, self.tiles :].fill, 0)]

    def change(self) -> Call:
        """What is laid out to what is multiplied."""
        return product(self.form.matrix(_B, self.read.dtype), _flat(self.laid), _flat(self.read[:, : self.tiles]))

    def sum(self, weights: Any) -> Call:
        """Windows of rows times weights [side, rows * d, u]: every so many lie side by side, and the next ones begin a row further on."""
        rows = self.form.rows
        return product(_from(self.read, rows, self.windows, rows, rows), weights, _from(self.sums, rows, self.windows, rows))

    def sum_back(self, total: Any) -> list[Call]:
        """Adds to the gradient of weights [rows, side, d, u]."""
        read, sums = _from(self.read, self.form.rows, self.tiles), self.sums[:, : self.tiles]
        several = np.broadcast_to(sums, (self.form.rows, *sums.shape))
        return accumulated_products(read.mT, several, total, _aside(total.shape, total.dtype, "products"))

    def finish(self) -> Call:
        """Sums to what is given."""
        return product(self.form.matrix(_A, self.sums.dtype), _flat(self.sums[:, : self.tiles]), _flat(self.made))

    def finish_back(self) -> Call:
        """What is given to the gradient of the sums."""
        return product(self.form.matrix(_A, self.sums.dtype).T, _flat(self.made), _flat(self.sums[:, : self.tiles]))


def _from(numbers: Any, begins: int, windows: int, step: int = 1, reach: int = 1) -> Any:
    """[begins, side, windows, reach * c]: of so many rows each, a step apart, that begin at one row after the other."""
    across, down, number = numbers.strides
    shape = (begins, len(numbers), windows, reach * numbers.shape[-1])
    return np.lib.stride_tricks.as_strided(numbers, shape, (down, across, step * down, number))


def _aside(shape: Numbers, dtype: Any, name: str) -> Any:
    return aside(shape, dtype, key=("winograd", name))


def _flat(matrices: Any) -> Any:
    return matrices.reshape(len(matrices), -1)


class Weights:
    """Weights as [*kernel of tiles, rows, d, u], and what they are multiplied as, [side, rows * d, u]."""

    def __init__(self, kernel: Kernel, form: Form) -> None:
        seen = kernel.seen[0]
        seen = seen.reshape(*_two(seen.shape[:-2]), *seen.shape[-2:])
        self.form = form
        self.seen = seen.swapaxes(0, 1) if form.axes == 1 else seen
        self.laid = _aside(self.seen.shape, seen.dtype, "weights")
        d, u = seen.shape[-2:]
        self.changed = _aside((IN**form.axes, form.rows * d, u), seen.dtype, "changed")
        self.matrix = form.matrix(_G, seen.dtype, 24)

    def _places(self) -> Any:
        return self.laid.reshape(3**self.form.axes, -1)

    def by_row(self) -> Any:
        """[rows, side, d, u]."""
        return self.changed.reshape(len(self.changed), self.form.rows, -1, self.changed.shape[-1]).swapaxes(0, 1)

    def load(self) -> list[Call]:
        return [partial(np.copyto, self.laid, self.seen), product(self.matrix, self._places(), _flat(self.changed))]

    def store(self) -> list[Call]:
        """Of the gradient."""
        return [product(self.matrix.T, _flat(self.changed), self._places()), partial(np.copyto, self.seen, self.laid)]


class Chunks:
    """The images that are read and given, so many at a time that their tiles stay in the second-level cache."""

    def __init__(self, form: Form, given: Images, read: Images) -> None:
        self.form, self.images, self.dtype = form, len(read), read.memory.dtype
        self.tiles, self.channels = prod(form.tiles(_two(given.size))), (read.memory.shape[1], given.memory.shape[1])
        most = CHUNK_BYTES[form.axes] // self.dtype.itemsize + IN**form.axes * form.rows * prod(self.channels) // WEIGHTS
        self.size = min(self.images, max(1, most // (IN**form.axes * self.tiles * max(self.channels))))

    def spaces(self) -> Iterator[tuple[slice, Workspace, list[Call]]]:
        """Chunks with the memory for each, and what is to be done in it first: those of one size have the same."""
        for size, parts in groupby(chunks(self.images, self.size), lambda part: part.stop - part.start):
            space = Workspace(self.form, size * self.tiles, self.channels, self.dtype)
            first = space.begin()
            for part in parts:
                yield part, space, first
                first = []


def correlate(out: Images, x: Images, kernel: Kernel, form: Form, before: Numbers) -> list[Call]:
    """The convolution of x, with so many zeros before it, into out."""
    cut = Chunks(form, out, x)
    seen, given = Tiles(x, form, out.size, IN, before, cut.size), Tiles(out, form, out.size, OUT, (), cut.size)
    weights = Weights(kernel, form)
    calls = [*weights.load(), *seen.begin()]
    for part, space, first in cut.spaces():
        calls += [*first, *seen.load(part, space.laid), space.change(), space.sum(weights.changed)]
        calls += [space.finish(), *given.store(part, space.made)]
    return calls


def weight_grad(total: Kernel, x: Images, g: Images, form: Form, before: Numbers) -> list[Call]:
    """The gradient of such a convolution for its weights."""
    cut = Chunks(form, g, x)
    seen, given = Tiles(x, form, g.size, IN, before, cut.size), Tiles(g, form, g.size, OUT, (), cut.size)
    weights = Weights(total, form)
    calls: list[Call] = [partial(weights.changed.fill, 0), *seen.begin(), *given.begin()]
    for part, space, first in cut.spaces():
        calls += [*first, *seen.load(part, space.laid), space.change(), *given.load(part, space.made), space.finish_back()]
        calls += space.sum_back(weights.by_row())
    return [*calls, *weights.store()]
