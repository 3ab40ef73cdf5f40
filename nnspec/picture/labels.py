"""Where the shapes of values are written: beside the lines that carry them, where the fewest lines run through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
        return self.left < point[0] < self.left + width(self.text, NOTE) and self.y - NOTE < point[1] < self.y + 2

    @property
    def left(self) -> float:
        return self.x - ASIDE - width(self.text, NOTE) if self.on_left else self.x + ASIDE

    def meets(self, other: Label) -> bool:
        """Whether two texts lie on each other."""
        apart = self.left + width(self.text, NOTE) <= other.left or other.left + width(other.text, NOTE) <= self.left
        return not apart and abs(self.y - other.y) < NOTE


def placed(text: str, stretches: Stretches, points: Sequence[Point], others: Iterable[Label], right: float) -> Label:
    """The label of a line, at its beginning or else at its end, where it meets least; `points` are those of all lines."""
    others = list(others)
    return min(_places(text, stretches), key=lambda label: _harm(label, points, others, right))


def _places(text: str, stretches: Stretches) -> Iterator[Label]:
    x, y, *_ = stretches[0]
    yield from (Label(text, x, y + NOTE + down, on_left) for down in (4, 1) for on_left in (False, True))
    *_, x, y = stretches[-1]
    yield from (Label(text, x, y - 5, on_left) for on_left in (False, True))
    if len(stretches) > 1:
        yield from (Label(text, x0, y0, on_left) for x0, y0, *_ in stretches[1:] for on_left in (False, True))


def _harm(label: Label, points: Sequence[Point], others: Sequence[Label], right: float) -> int:
    outside = label.left < 0 or label.left + width(label.text, NOTE) > right
    return sum(map(label.holds, points)) + OVERLAP * (outside + sum(map(label.meets, others)))


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
