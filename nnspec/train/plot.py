"""The loss curve as SVG, drawn without a plotting library so that every run has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 36, 44
MOST_POINTS = 1000
COLORS = (
    "#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#78350f", "#64748b", "#111827",
)  # fmt: skip


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], x_label: str = "epoch") -> str:
    """Lines of (x, y) points in one chart; points that are not finite are left out."""
    kept = {n: thinned([(x, y) for x, y in pts if abs(y) < float("inf")]) for n, pts in lines.items()}
    points = [p for pts in kept.values() for p in pts] or [(0.0, 0.0)]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x_ticks = [x for x in ticks(min(xs), max(xs)) if x >= min(xs)]
    y_ticks = ticks(min(0.0, *ys), max(ys))
    chart = _Chart((min(xs), max(xs)), (y_ticks[0], max(y_ticks[-1], *ys)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        *(chart.horizontal(y) for y in y_ticks),
        *(chart.below(x) for x in x_ticks),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>',
    ]
    for i, (name, pts) in enumerate(kept.items()):
        parts += chart.line(name, pts, COLORS[i % len(COLORS)], i)
    return "\n".join([*parts, "</svg>", ""])


class _Chart:
    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x0, self.dx = x[0], (x[1] - x[0]) or 1.0
        self.y0, self.dy = y[0], (y[1] - y[0]) or 1.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - self.x0) / self.dx * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - self.y0) / self.dy * (HEIGHT - TOP - BOTTOM)

    def horizontal(self, y: float) -> str:
        _, at = self.at(self.x0, y)
        line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e7eb"/>'
        return f'{line}<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>'

    def below(self, x: float) -> str:
        at, _ = self.at(x, self.y0)
        return f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>'

    def line(self, name: str, points: Sequence[tuple[float, float]], color: str, row: int) -> list[str]:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*p) for p in points))
        legend = TOP + 12 + 18 * row
        return [
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>',
            *([f'<circle cx="{path.split(",")[0]}" cy="{path.split(",")[1]}" r="3" fill="{color}"/>'] if len(points) == 1 else []),
            f'<rect x="{WIDTH - RIGHT + 12}" y="{legend - 9}" width="10" height="10" fill="{color}"/>',
            f'<text x="{WIDTH - RIGHT + 28}" y="{legend}">{escape(name)}</text>',
        ]


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Evenly fewer points where there are more than the eye can tell apart, the last one kept."""
    every = max(1, len(points) // MOST_POINTS)
    return points[:-1:every] + points[-1:]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from at or below `low` up to `high`."""
    span = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** floor(log10(span / most))
    step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= most)
    first = floor(low / step)
    return [round((first + i) * step, 12) for i in range(int((high - first * step) / step + 1e-9) + 1)]
