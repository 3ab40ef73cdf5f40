"""The loss curve as SVG, drawn without a plotting library so that every run has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 36, 44
MOST_POINTS, MOST_TICKS, FAR = 1000, 6, 20
COLORS = (
    "#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#78350f", "#64748b", "#111827",
)  # fmt: skip


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines of (epoch, y) points, in a chart for each magnitude; points that are not finite are left out."""
    kept = {n: thinned([(x, y) for x, y in pts if abs(y) < float("inf")]) for n, pts in lines.items()}
    xs = [x for pts in kept.values() for x, _ in pts] or [0.0]
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(kept)}
    groups = of_one_magnitude({n: max((abs(y) for _, y in pts), default=0.0) for n, pts in kept.items()})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(groups)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT * len(groups)}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for row, names in enumerate(groups):
        ys = [y for name in names for _, y in kept[name]] or [0.0]
        y_ticks = ticks(min(0.0, *ys), max(ys))
        chart = _Chart((min(xs), max(xs)), (y_ticks[0], y_ticks[-1]), row * HEIGHT)
        parts += [*(chart.horizontal(y) for y in y_ticks), *(chart.below(x) for x in counts(min(xs), max(xs))), chart.epoch()]
        parts += [part for i, name in enumerate(names) for part in chart.line(name, kept[name], colors[name], i)]
    return "\n".join([*parts, "</svg>", ""])


def of_one_magnitude(sizes: Mapping[str, float]) -> list[list[str]]:
    """The names in groups, in which no size is so far above another that one axis would show this as 0.

    >>> of_one_magnitude({"rmse": 5e4, "r2": 0.9, "mae": 3e4, "accuracy": 0.8})
    [['rmse', 'mae'], ['r2', 'accuracy']]
    """
    groups: list[list[str]] = [[]]
    for name, size in sizes.items():
        group = next((g for g in groups if all(_are_near(size, sizes[n]) for n in g)), None)
        if group is None:
            groups.append(group := [])
        group.append(name)
    return groups


def _are_near(a: float, b: float) -> bool:
    """Whether both are seen on one axis, as 0 is on any."""
    return not a or not b or 1 / FAR <= a / b <= FAR


class _Chart:
    """One below others, from `top` on."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], top: int) -> None:
        self.x0, self.dx = x[0], (x[1] - x[0]) or 1.0
        self.y0, self.dy = y[0], (y[1] - y[0]) or 1.0
        self.top, self.bottom = top + TOP, top + HEIGHT - BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - self.x0) / self.dx * (WIDTH - LEFT - RIGHT)
        return across, self.bottom - (y - self.y0) / self.dy * (self.bottom - self.top)

    def horizontal(self, y: float) -> str:
        _, at = self.at(self.x0, y)
        line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e7eb"/>'
        return f'{line}<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>'

    def below(self, x: float) -> str:
        at, _ = self.at(x, self.y0)
        return f'<text x="{at:.1f}" y="{self.bottom + 18}" text-anchor="middle">{x:g}</text>'

    def epoch(self) -> str:
        return f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{self.bottom + BOTTOM - 8}" text-anchor="middle">epoch</text>'

    def line(self, name: str, points: Sequence[tuple[float, float]], color: str, row: int) -> list[str]:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*p) for p in points))
        legend = self.top + 12 + 18 * row
        return [
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>',
            *([f'<circle cx="{path.split(",")[0]}" cy="{path.split(",")[1]}" r="3" fill="{color}"/>'] if len(points) == 1 else []),
            f'<rect x="{WIDTH - RIGHT + 12}" y="{legend - 9}" width="10" height="10" fill="{color}"/>',
            f'<text x="{WIDTH - RIGHT + 28}" y="{legend}">{escape(name if points else f"{name}: nan")}</text>',
        ]


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Evenly fewer points where there are more than the eye can tell apart, the last one kept."""
    every = max(1, len(points) // MOST_POINTS)
    return points[:-1:every] + points[-1:]


def ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """Round numbers, as far apart as each other and at least so far, from at or below `low` to at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** floor(log10(max(span / MOST_TICKS, least)))
    step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= MOST_TICKS)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def counts(low: float, high: float) -> list[float]:
    """The first and the last of what is counted, such as epochs, and round whole numbers between them, none too near to those."""
    round_ = ticks(low, high, least=1.0)
    apart = (round_[1] - round_[0]) / 2
    return [low, *(t for t in round_ if low + apart <= t <= high - apart), *([high] if high > low else [])]
