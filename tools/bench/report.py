"""The result of a race as ratios, and all results as text and as one JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tools.bench.contenders import Column
from tools.bench.rounds import Effort, Figures
from tools.bench.workloads import Workload

Cells = Sequence[str]
HEADINGS = ("workload", "ours", "best peer", "", "ratio", "at least", "aim", "", "pinned", "malloc", "memory", "peer's")


@dataclass(frozen=True)
class Row:
    """A workload and what was measured of everyone."""

    workload: Workload
    figures: Sequence[Figures]

    def best(self, column: Column) -> Figures | None:
        """The one that took least, of time or where the workload is about it of memory; None if none ran."""
        ran = [f for f in self.figures if f.contender.column == column and f.rounds and not f.problem]
        return min(ran, key=self.value, default=None)

    def value(self, figures: Figures) -> float:
        return figures.memory if self.workload.lower else figures.median

    def ratio(self, of: Column = Column.OURS, to: Column = Column.PEER) -> float:
        """The best peer's time over ours, or our memory over the peer's; not a number where one is missing."""
        us, them = self.best(of), self.best(to)
        if us is None or them is None:
            return math.nan
        return self.value(us) / self.value(them) if self.workload.lower else self.value(them) / self.value(us)

    @property
    def reached(self) -> str:
        """How the ratio stands to what is wanted; disturbed rounds do not say."""
        if math.isnan(self.ratio()) or self.doubtful:
            return "?"
        return "aim" if self._as_good_as(self.workload.aim) else "ok" if self._as_good_as(self.workload.at_least) else "BELOW"

    def _as_good_as(self, wanted: float) -> bool:
        return self.ratio() <= wanted if self.workload.lower else self.ratio() >= wanted

    @property
    def doubtful(self) -> bool:
        """Whether a side of the ratio has disturbed rounds only."""
        sides = (self.best(Column.OURS), self.best(Column.PEER))
        return any(f is not None and f.disturbed == len(f.rounds) for f in sides)

    @property
    def shown(self) -> str:
        return "~" * self.doubtful + ratio(self.ratio())

    @property
    def as_json(self) -> dict[str, Any]:
        w = self.workload
        wanted = {"lower_is_better": w.lower, "at_least": w.at_least, "aim": w.aim, "reached": self.reached, "doubtful": self.doubtful}
        ratios = {"ratio": self.ratio(), "pinned": self.ratio(of=Column.PINNED), "malloc_tuned": self.ratio(to=Column.TUNED)}
        return {
            **{"name": w.name, "title": w.title, "batch": w.batch},
            **wanted,
            **{name: _number(value) for name, value in ratios.items()},
            "contenders": list(map(_figures_json, self.figures)),
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _figures_json(figures: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {"name": figures.contender.name, "column": figures.contender.column, "problem": figures.problem or None}
    if figures.rounds:
        found |= {"median_s": figures.median, "least_s": figures.least, "rounds": len(figures.rounds), "disturbed": figures.disturbed}
        found |= {"peak_memory_bytes": figures.memory, "openblas": figures.openblas}
    return found


def document(machine: dict[str, object], effort: Effort, rows: Sequence[Row]) -> dict[str, Any]:
    about = {"rounds": effort.rounds, "seconds_a_round": effort.seconds}
    return {"machine": machine | {"openblas": _openblas(rows)}, **about, "workloads": [r.as_json for r in rows]}


def text(machine: dict[str, Any], effort: Effort, rows: Sequence[Row]) -> str:
    """The machine, the table of ratios, and then every contender."""
    libraries = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine["libraries"].items())
    return "\n".join([
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}",
        f"Python {machine['python']}, {libraries}",
        *(f"OpenBLAS of {name}: {core}" for name, core in _openblas(rows).items()),
        f"medians of {effort.rounds} interleaved rounds of {effort.seconds:g} s",
        "ratio: the best peer's time over ours; ~: one of them was disturbed in every round",
        "pinned: ours with the OpenBLAS settings of this environment; malloc: against torch with a malloc that keeps its memory",
        "",
        *aligned([HEADINGS, *map(_cells, rows)], left={0, 3, 7}),
        "",
        *aligned([("every contender", "", "median", "least", "memory", "disturbed"), *_everyone(rows)], left={0, 1}),
        *_problems(rows),
    ])  # fmt: skip


def _openblas(rows: Iterable[Row]) -> dict[str, str]:
    """The kernels of every environment that NumPy ran in."""
    figures = [f for r in rows for f in r.figures if f.contender.column in (Column.OURS, Column.PINNED)]
    return {f.contender.name: f.openblas for f in figures if f.openblas}


def _cells(row: Row) -> Cells:
    us, them, w = row.best(Column.OURS), row.best(Column.PEER), row.workload
    shown = size if w.lower else duration
    return (
        w.title,
        shown(row.value(us)) if us else "-",
        shown(row.value(them)) if them else "-",
        them.contender.name if them else "",
        row.shown,
        ratio(w.at_least),
        ratio(w.aim),
        row.reached,
        ratio(row.ratio(of=Column.PINNED)),
        ratio(row.ratio(to=Column.TUNED)),
        size(us.memory) if us else "-",
        size(them.memory) if them else "-",
    )


def _everyone(rows: Iterable[Row]) -> Iterator[Cells]:
    for name, f in _contenders(rows):
        if not f.problem:
            yield name, f.contender.name, duration(f.median), duration(f.least), size(f.memory), f"{f.disturbed} of {len(f.rounds)}"


def _problems(rows: Iterable[Row]) -> Iterator[str]:
    return (f"{name} without {f.contender.name}: {f.problem}" for name, f in _contenders(rows) if f.problem)


def _contenders(rows: Iterable[Row]) -> Iterator[tuple[str, Figures]]:
    """With the name of their workload; the row about memory is of the runs of the one before it."""
    return ((row.workload.name, figures) for row in rows if not row.workload.lower for figures in row.figures)


def ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.2f} {unit}"
    return f"{seconds * 1e6:.0f} us"


def size(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


def aligned(rows: Sequence[Cells], left: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip() for r in rows
    ]
