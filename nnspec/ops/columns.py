"""Convolution as products of matrices, whose rows are the windows of images: so few at a time that they stay in the cache.

Images are [n, c, *size]; everything is fastest where their channels come last in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

from nnspec.blas import Call, product
from nnspec.lazy import np
from nnspec.ops.aside import aside, aside_channels_last
from nnspec.ops.windows import Images, Numbers, in_planes, inside, padded_shape, windows
from nnspec.record import dataclass

# Windows of a chunk of images stay in the second-level cache, with what they are multiplied by and what becomes of them.
CHUNK_BYTES = 1 << 19
# An image whose windows have more is computed in bands, each of so many bytes.
LARGE_IMAGE, BAND_BYTES = 1 << 20, 1 << 18
# With fewer numbers side by side than this, windows are laid out pixel after pixel instead of window after window.
NARROW = 16


def in_turn(calls: Sequence[Call]) -> Call:
    """One after the other."""

    def run() -> None:
        for call in calls:
            call()

    return run


def chunks(number: int, most: int) -> Iterator[slice]:
    """So many images, at most so many at a time."""
    return (slice(i, min(i + most, number)) for i in range(0, number, most))


def channels_last(x: Any) -> Any:
    return np.moveaxis(x, 1, -1)


@dataclass(frozen=True, eq=False)
class Part:
    """Some images, or a band of one: of the grid of their windows, these along the first axis."""

    images: slice
    band: slice


class Windows:
    """The windows of images as matrices [groups, images * grid, kernel * channels], for a part of them in memory of its own.

    Their rows are in the order of images of the grid, if these lie in `planes`.
    """

    def __init__(
        self,
        images: Images,
        kernel: Numbers,
        strides: Numbers,
        pads: Numbers,
        dilations: Numbers,
        grid: Numbers,
        groups: int,
        planes: Numbers = (),
    ) -> None:
        x = images.memory
        n, c = x.shape[:2]
        self.images, self.pads, self.grid, self.groups = images, pads, grid, groups
        self.kernel, self.strides, self.dilations = kernel, strides, dilations
        self.planes = planes or (1,) * len(grid)
        self.width = prod(kernel) * c // groups
        image = prod(grid) * self.width * groups * x.itemsize
        self.chunk = min(n, max(1, CHUNK_BYTES // image))
        bands = -(-image // BAND_BYTES) if image > LARGE_IMAGE and {*self.planes} == {1} else 1
        self.band = -(-grid[0] // bands)
        as_they_lie = {*kernel, *strides, groups} == {1} and not any(pads) and images.planes == planes
        self.plain = as_they_lie and channels_last(x).flags.c_contiguous
        self.narrow = groups == 1 and kernel[-1] * c < NARROW
        if not self.plain:
            self.padded = self._padded(padded_shape((self.chunk, c, *images.size), pads)) if any(pads) or images.planes else None
            self.memory = aside((self.chunk * self.band * prod(grid[1:]) * self.width * groups,), x.dtype, key=("windows", "columns"))

    def _padded(self, shape: Numbers) -> Any:
        dtype, key = self.images.memory.dtype, ("windows", "padded")
        return aside(shape, dtype, key=key) if self.narrow else aside_channels_last(shape, dtype, key)

    def begin(self) -> list[Call]:
        """Zeros around the images."""
        return [] if self.plain or self.padded is None else [partial(self.padded.fill, 0)]

    def parts(self) -> Iterator[Part]:
        for images in chunks(len(self.images), self.chunk):
            yield from (Part(images, band) for band in chunks(self.grid[0], self.band))

    def part_of(self, x: Any, part: Part) -> Any:
        """What lies there of images as large as the grid."""
        return x[part.images] if self.band == self.grid[0] else x[part.images, :, part.band]

    def gathered(self, part: Part) -> tuple[list[Call], Any]:
        """What lays out the windows of some images, and the matrices where they then are."""
        if self.plain:
            return [], channels_last(self.part_of(self.images.memory, part)).reshape(1, -1, self.width)
        images, calls = self.images[part.images], list[Call]()
        x = images.memory
        if self.padded is not None:
            x = self.padded[: len(x)]
            calls += [images.copied_to(inside(x, self.pads))] if part.band.start == 0 else []
        calls.append(partial(np.copyto, self.columns(part), self._seen(x, part.band)))
        return calls, self.matrices(part)

    def _seen(self, x: Any, band: slice) -> Any:
        """The windows as a view of padded images, laid out as `columns`."""
        seen = in_planes(windows(x, self.kernel, self.strides, self.dilations, self.grid)[:, :, band], self.planes)
        grouped = seen.reshape(len(x), self.groups, -1, *seen.shape[2:])
        return grouped.transpose(1, 0, *range(3, grouped.ndim), 2)

    def lattice(self, part: Part) -> Numbers:
        """The planes, and how large each is."""
        grid = (part.band.stop - part.band.start, *self.grid[1:])
        return *self.planes, *(m // b for m, b in zip(grid, self.planes, strict=True))

    def columns(self, part: Part) -> Any:
        """[groups, images, *lattice, *kernel, channels], of the memory."""
        ahead = (self.groups, part.images.stop - part.images.start, *self.lattice(part))
        behind = (*self.kernel, self.width // prod(self.kernel))
        if not self.narrow:
            return self._used(part).reshape(*ahead, *behind)
        turned = self._used(part).reshape(*behind, *ahead)
        return turned.transpose(*range(len(behind), turned.ndim), *range(len(behind)))

    def matrices(self, part: Part) -> Any:
        used = self._used(part)
        return used.reshape(1, self.width, -1).mT if self.narrow else used.reshape(self.groups, -1, self.width)

    def _used(self, part: Part) -> Any:
        pixels = (part.images.stop - part.images.start) * prod(self.lattice(part))
        return self.memory[: pixels * self.width * self.groups]


class Rows:
    """The pixels of images as matrices [groups, images * size, channels]; a copy aside where channels do not come last in memory."""

    def __init__(self, x: Any, groups: int) -> None:
        self.image = channels_last(x)
        last = self.image.flags.c_contiguous
        rows = self.image if last else aside(self.image.shape, x.dtype, key=("windows", "rows"))
        self.rows, self.copy = rows, not last
        self.matrices = np.moveaxis(rows.reshape(-1, groups, x.shape[1] // groups), 1, 0)

    def load(self) -> list[Call]:
        return [partial(np.copyto, self.rows, self.image)] if self.copy else []

    def store(self) -> list[Call]:
        return [partial(np.copyto, self.image, self.rows)] if self.copy else []


class Kernel:
    """Weights [u, d, *kernel] as matrices [groups, *kernel * d, u]; or [groups, *kernel * u, d], turned round, for the way back."""

    def __init__(self, w: Any, groups: int, *, back: bool = False) -> None:
        axes = w.ndim - 2
        grouped = w.reshape(groups, len(w) // groups, *w.shape[1:])
        places = tuple(range(3, 3 + axes))
        self.seen = np.flip(grouped, places).transpose(0, *places, 1, 2) if back else grouped.transpose(0, *places, 2, 1)
        self.laid = aside(self.seen.shape, w.dtype, key=("windows", "weights"))
        self.matrices = self.laid.reshape(groups, -1, self.laid.shape[-1])

    def load(self) -> Call:
        return partial(np.copyto, self.laid, self.seen)

    def store(self) -> Call:
        return partial(np.copyto, self.seen, self.laid)


def only(matrices: Any) -> Any:
    """A matrix where there is one group."""
    return matrices[0] if len(matrices) == 1 else matrices


def correlate(out: Any, windows: Windows, kernel: Kernel) -> list[Call]:
    """Every window of every image times the weights."""
    calls = [kernel.load(), *windows.begin()]
    for part in windows.parts():
        gather, matrices = windows.gathered(part)
        rows = Rows(windows.part_of(out, part), windows.groups)
        calls += [*gather, product(only(matrices), only(kernel.matrices), only(rows.matrices)), *rows.store()]
    return calls
