"""Boxes in rows, with few crossings: the first half of a layered layout (Sugiyama, Tagawa and Toda 1981)."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import field
from itertools import pairwise

from nnspec.record import dataclass

SWEEPS = 12

Bend = tuple[int, int]
"""Where the edge of this number goes through a row: (edge, row)."""
Place = str | Bend
"""What takes up room in a row: a box by its name, or an edge that passes."""


@dataclass
class Rows:
    """Rows of boxes from top to bottom, with a place in between for every edge that passes.

    `above` are neighbours one row up; `paths` the places that each edge goes through, its ends among them.
    """

    rows: list[list[Place]]
    paths: list[list[Place]] = field(default_factory=list)
    above: dict[Place, list[Place]] = field(default_factory=dict)
    below: dict[Place, list[Place]] = field(default_factory=dict)


def rows_of(boxes: Sequence[str], edges: Sequence[tuple[str, str]], first: Sequence[str] = (), last: Sequence[str] = ()) -> Rows:
    """Every edge goes down; boxes that nothing comes to stand right above what they go to, but `first` and `last` in those rows."""
    ranks = _ranks(boxes, edges, first, last)
    rows = Rows([[] for _ in range(max(ranks.values(), default=-1) + 1)])
    for name in boxes:
        rows.rows[ranks[name]].append(name)
    for number, (source, target) in enumerate(edges):
        bends: list[Bend] = [(number, r) for r in range(ranks[source] + 1, ranks[target])]
        for bend in bends:
            rows.rows[bend[1]].append(bend)
        rows.paths.append([source, *bends, target])
        for upper, lower in pairwise(rows.paths[-1]):
            rows.above.setdefault(lower, []).append(upper)
            rows.below.setdefault(upper, []).append(lower)
    _uncross(rows)
    return rows


def _ranks(boxes: Sequence[str], edges: Sequence[tuple[str, str]], first: Sequence[str], last: Sequence[str]) -> dict[str, int]:
    """Rows by the longest way to each box; `boxes` come before what they go to."""
    sources: dict[str, list[str]] = {b: [] for b in boxes}
    targets: dict[str, list[str]] = {b: [] for b in boxes}
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    ranks: dict[str, int] = {}
    for name in boxes:
        ranks[name] = max((ranks[s] + 1 for s in sources[name]), default=0)
    for name in boxes:
        if not sources[name] and targets[name] and name not in first:
            ranks[name] = min(ranks[t] for t in targets[name]) - 1
    bottom = max(ranks.values(), default=0)
    return ranks | dict.fromkeys(last, bottom)


def _uncross(rows: Rows) -> None:
    """Order rows by the medians of neighbours, downwards and upwards in turn, and keep the best order met."""
    best, fewest = [list(r) for r in rows.rows], crossings(rows)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        _sweep(rows, rows.above if down else rows.below, range(1, len(rows.rows)) if down else range(len(rows.rows) - 2, -1, -1))
        _exchange(rows)
        if (now := crossings(rows)) < fewest:
            best, fewest = [list(r) for r in rows.rows], now
    rows.rows = best


def _sweep(rows: Rows, neighbours: Mapping[Place, list[Place]], order: Iterable[int]) -> None:
    at = _positions(rows.rows)
    for r in order:
        before = {p: i for i, p in enumerate(rows.rows[r])}
        rows.rows[r].sort(key=lambda p: (_median([at[n] for n in neighbours.get(p, ())], before[p]), before[p]))
        at |= {p: i for i, p in enumerate(rows.rows[r])}


def _median(positions: list[int], otherwise: float) -> float:
    ordered, middle = sorted(positions), len(positions) // 2
    if not ordered:
        return otherwise
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _exchange(rows: Rows) -> None:
    """Exchange neighbours of a row where that takes crossings away."""
    at = _positions(rows.rows)
    for row in rows.rows:
        for i in range(len(row) - 1):
            left, right = row[i], row[i + 1]
            if _pairs_crossed(rows, left, right, at) > _pairs_crossed(rows, right, left, at):
                row[i], row[i + 1] = right, left
                at[left], at[right] = i + 1, i


def _pairs_crossed(rows: Rows, left: Place, right: Place, at: Mapping[Place, int]) -> int:
    """How often the edges of two places cross when they stand in this order."""
    return sum(
        at[a] > at[b] for neighbours in (rows.above, rows.below) for a in neighbours.get(left, ()) for b in neighbours.get(right, ())
    )


def crossings(rows: Rows) -> int:
    """How many pairs of edges cross between one row and the next."""
    at = _positions(rows.rows)
    total = 0
    for row in rows.rows:
        met: list[int] = []
        for place in row:
            ends = [at[b] for b in rows.below.get(place, ())]
            total += sum(len(met) - bisect_right(met, e) for e in ends)
            for e in ends:
                insort(met, e)
    return total


def _positions(rows: Iterable[Iterable[Hashable]]) -> dict[Place, int]:
    return {place: i for row in rows for i, place in enumerate(row)}  # type: ignore[misc]  # rows hold places
