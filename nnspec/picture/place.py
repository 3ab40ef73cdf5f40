"""Rows of boxes to coordinates: the second half of a layered layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nnspec.picture.layers import Place, Rows

ROUNDS = 16
STRAIGHT, DIRECT, SLANTED = 8.0, 1.0, 0.01
"""How much an edge wants to go straight down: between two bends, between boxes, from a box into a bend."""

UNPULLED = 0.001


def columns_of(rows: Rows, widths: Mapping[Place, float], shifts: Mapping[tuple[Place, Place], float], gap: float) -> dict[Place, float]:
    """The middle of every place from left to right: edges as straight as can be, boxes at least `gap` apart.

    `shifts` says how far right of the upper place the lower one stands when the edge between them is straight, where that is not 0.
    Every row in turn is put where the medians of its neighbours want it, downwards and upwards; what is too near is moved apart evenly.
    """
    at: dict[Place, float] = {}
    for row in rows.rows:
        left = 0.0
        for place in row:
            at[place] = left + widths[place] / 2
            left += widths[place] + gap
    for number in range(ROUNDS):
        down = number % 2 == 1  # downwards at last, so that a way without branches is one straight line
        for row in rows.rows if down else reversed(rows.rows):
            _settle(row, {p: _pulls(p, rows, at, shifts, down=down) for p in row}, at, widths, gap)
    least = min((at[p] - widths[p] / 2 for p in at), default=0.0)
    return {p: x - least for p, x in at.items()}


def _pulls(
    place: Place, rows: Rows, at: Mapping[Place, float], shifts: Mapping[tuple[Place, Place], float], *, down: bool
) -> list[tuple[float, float]]:
    """Where the neighbours above a place, or those below it, want it, and how much."""
    if down:
        return [(at[n] + shifts.get((n, place), 0.0), _weight(n, place)) for n in rows.above.get(place, ())]
    return [(at[n] - shifts.get((place, n), 0.0), _weight(place, n)) for n in rows.below.get(place, ())]


def _settle(
    row: Sequence[Place],
    pulls: Mapping[Place, list[tuple[float, float]]],
    at: dict[Place, float],
    widths: Mapping[Place, float],
    gap: float,
) -> None:
    """Put one row where it is wanted."""
    wishes = [weighted_median(pulls[p]) if pulls[p] else at[p] for p in row]
    weights = [max((w for _, w in pulls[p]), default=UNPULLED) for p in row]
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + gap)
    fitted = nondecreasing([w - o for w, o in zip(wishes, offsets, strict=True)], weights)
    at.update({p: x + o for p, x, o in zip(row, fitted, offsets, strict=True)})


def _weight(a: Place, b: Place) -> float:
    bends = isinstance(a, tuple) + isinstance(b, tuple)
    return (DIRECT, SLANTED, STRAIGHT)[bends]


def weighted_median(pulls: Sequence[tuple[float, float]]) -> float:
    """Where as much weight lies to the left as to the right; the middle, where that is a stretch."""
    ordered, half, below = sorted(pulls), sum(w for _, w in pulls) / 2, 0.0
    for i, (x, weight) in enumerate(ordered):
        below += weight
        if below > half + 1e-9:
            return x
        if abs(below - half) <= 1e-9:
            return (x + ordered[i + 1][0]) / 2
    return ordered[-1][0]


def nondecreasing(wishes: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest numbers to the wishes, by weighted squares, that never fall (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for wish, weight in zip(wishes, weights, strict=True):
        value, total, size = wish, weight, 1
        while pools and pools[-1][0] > value:
            other, other_total, other_size = pools.pop()
            value = (value * total + other * other_total) / (total + other_total)
            total, size = total + other_total, size + other_size
        pools.append((value, total, size))
    return [value for value, _, size in pools for _ in range(size)]
