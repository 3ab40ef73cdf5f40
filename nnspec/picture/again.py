"""Ways into the next round of a loop: out below the row of one box, up beside everything, and in above the row of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnspec.picture.diagram import Diagram, Edge
from nnspec.record import dataclass

LANE, GAP, ROOM = 14.0, 9.0, 22.0
"""Between two ways beside each other, from a row of boxes to a way along it, and what the first row leaves for one above it."""


@dataclass(frozen=True)
class Door:
    """Where a box is left or entered, by a value or its gradient, and where its row ends there."""

    x: float
    back_x: float
    y: float
    edge_of_row: float


@dataclass(frozen=True)
class Again:
    """A way into the next round as the corners that it turns at, or that of its gradient back."""

    edge: Edge
    corners: tuple[tuple[float, float], ...]
    is_back: bool = False


def ways(diagram: Diagram, leaves: Mapping[str, Door], enters: Mapping[str, Door], right: float) -> tuple[Again, ...]:
    """Every way in a lane of its own, right of everything; that of a gradient beside the way there."""
    found: list[Again] = []
    for e in diagram.again:
        for is_back in (False, True)[: 1 + e.goes_back]:
            found.append(Again(e, _corners(leaves[e.source], enters[e.target], right, len(found), is_back), is_back))
    return tuple(found)


def _corners(start: Door, end: Door, right: float, number: int, is_back: bool) -> tuple[tuple[float, float], ...]:
    aside, lane = 5.0 * is_back, right + LANE * (number + 1)
    low, high = start.edge_of_row + GAP + aside, end.edge_of_row - GAP - aside
    x0, x1 = (start.back_x, end.back_x) if is_back else (start.x, end.x)
    there = ((x0, start.y), (x0, low), (lane, low), (lane, high), (x1, high), (x1, end.y))
    return there[::-1] if is_back else there


def rounded(corners: Sequence[tuple[float, float]], radius: float = 5.0) -> str:
    """The way as the data of a path, its corners rounded."""
    (x, y), *rest = corners
    path = [f"M{x:.1f},{y:.1f}"]
    for before, at, after in zip(corners, rest, rest[1:], strict=False):
        (x0, y0), (x1, y1) = _toward(at, before, radius), _toward(at, after, radius)
        path.append(f"L{x0:.1f},{y0:.1f} Q{at[0]:.1f},{at[1]:.1f} {x1:.1f},{y1:.1f}")
    x, y = corners[-1]
    return " ".join([*path, f"L{x:.1f},{y:.1f}"])


def _toward(at: tuple[float, float], other: tuple[float, float], distance: float) -> tuple[float, float]:
    """A point so far from one corner, or half of the way, to the next."""
    length = abs(other[0] - at[0]) + abs(other[1] - at[1])
    share = min(distance / length, 0.5) if length else 0.0
    return at[0] + (other[0] - at[0]) * share, at[1] + (other[1] - at[1]) * share
