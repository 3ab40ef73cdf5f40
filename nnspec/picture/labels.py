"""Where the shapes of values are written: beside the lines that carry them, where the fewest lines run through."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from math import inf

from nnspec.picture.look import NOTE, width
from nnspec.record import dataclass

Stretches = tuple[tuple[float, float, float, float], ...]
Point = tuple[float, float]
ASIDE, APART = 4.0, 4.0
"""Between a line and its text, and between the points by which lines are known."""
OVERLAP = 1000


@dataclass(frozen=True)
class Label:
    """A text beside its line; on the left it ends at x."""

    text: str
    x: float
    y: float
    on_left: bool

    def holds(self, point: Point) -> bool:
        """Whether a point is where the text is."""
        return self.left < point[0] < self.right and self.y - NOTE < point[1] < self.y + 2

    def meets(self, other: Label) -> bool:
        """Whether two texts lie on each other."""
        return self.left < other.right and other.left < self.right and abs(self.y - other.y) < NOTE

    @cached_property
    def width(self) -> float:
        return width(self.text, NOTE)

    @cached_property
    def left(self) -> float:
        return self.x - ASIDE - self.width if self.on_left else self.x + ASIDE

    @property
    def right(self) -> float:
        return self.left + self.width


class Drawn:
    """What is drawn already: the `points` of all lines, and labels, which are found by how far down they stand."""

    def __init__(self, points: Iterable[Point], right: float) -> None:
        self.right = right
        self._points: dict[int, list[Point]] = {}
        self._labels: dict[int, list[Label]] = {}
        for point in points:
            self._points.setdefault(_strip(point[1]), []).append(point)
        for strip in self._points.values():
            strip.sort()

    def placed(self, text: str, stretches: Stretches) -> Label:
        """The label of a line, at its beginning or else at its end, where it meets least."""
        label = min(places(text, stretches), key=self._harm)
        self._labels.setdefault(_strip(label.y), []).append(label)
        return label

    def _harm(self, label: Label) -> int:
        outside = label.left < 0 or label.right > self.right
        return self._held(label) + OVERLAP * (outside + self._met(label))

    def _held(self, label: Label) -> int:
        """How many points are where the text is."""
        found = 0
        for number in range(_strip(label.y - NOTE), _strip(label.y + 2) + 1):
            strip = self._points.get(number, [])
            near = strip[bisect_right(strip, (label.left, inf)) : bisect_left(strip, (label.right, -inf))]
            found += sum(map(label.holds, near))
        return found

    def _met(self, label: Label) -> int:
        """How many texts it would lie on."""
        others = (o for number in range(_strip(label.y) - 1, _strip(label.y) + 2) for o in self._labels.get(number, ()))
        return sum(map(label.meets, others))


def _strip(y: float) -> int:
    """The part of the picture, from top to bottom, that is as high as a text."""
    return int(y // NOTE)


def places(text: str, stretches: Stretches) -> Iterator[Label]:
    """Where the label of a line may stand, the best place first."""
    x, y, *_ = stretches[0]
    yield from (Label(text, x, y + NOTE + down, on_left) for down in (4, 1) for on_left in (False, True))
    *_, x, y = stretches[-1]
    yield from (Label(text, x, y - 5, on_left) for on_left in (False, True))
    if len(stretches) > 1:
        yield from (Label(text, x0, y0, on_left) for x0, y0, *_ in stretches[1:] for on_left in (False, True))


def sampled(stretches: Stretches) -> Iterator[Point]:
    """Points along a line: in every stretch a cubic with both its handles in the middle, and straight down between two."""
    for number, (x0, y0, x1, y1) in enumerate(stretches):
        if number:
            yield from along(stretches[number - 1][2:], (x0, y0))
        for t in _shares((x0, y0), (x1, y1)):
            yield x0 + (x1 - x0) * t * t * (3 - 2 * t), y0 + (y1 - y0) * (1.5 * t * (1 - t) + t**3)


def along(start: Point, end: Point) -> Iterator[Point]:
    """Points of a straight line."""
    for t in _shares(start, end):
        yield start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t


def _shares(start: Point, end: Point) -> Iterator[float]:
    number = 1 + int((abs(end[0] - start[0]) + abs(end[1] - start[1])) / APART)
    return (i / number for i in range(number + 1))
