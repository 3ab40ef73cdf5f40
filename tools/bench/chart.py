"""The ratios as a picture: a bar for every workload, with marks at what it is to reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from tools.bench.report import Row, ratio

LEFT, WIDTH, LINE, TOP = 290, 460, 24, 56
COLOURS = {"aim": "#2a9d5c", "ok": "#4c84c4", "BELOW": "#d9822b", "?": "#999"}


def svg(rows: Sequence[Row], machine: str) -> str:
    rows = [r for r in rows if not math.isnan(r.ratio())]
    longest = max([_times(r, v) for r in rows for v in (r.ratio(), r.workload.aim)], default=1.0)
    height = TOP + LINE * len(rows) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="20" font-size="15">Times as fast as the best peer; of memory, times as little</text>',
        f'<text x="10" y="40" fill="#666">{escape(machine)}; marks: wanted at least, and the aim</text>',
        *(line for i, row in enumerate(rows) for line in _bar(row, TOP + LINE * i, WIDTH / longest)),
        f'<path d="M{LEFT + WIDTH / longest:.1f} {TOP - 4}V{height - 16}" stroke="#333"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _times(row: Row, value: float) -> float:
    """Higher is better, in every row."""
    return 1 / value if row.workload.lower else value


def _bar(row: Row, y: float, scale: float) -> Iterator[str]:
    length = scale * _times(row, row.ratio())
    yield f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(row.workload.title)}</text>'
    yield f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="16" fill="{COLOURS[row.reached]}"/>'
    yield f'<text x="{LEFT + WIDTH + 14}" y="{y + 14}">{ratio(_times(row, row.ratio()))}</text>'
    for wanted, dashes in ((row.workload.at_least, ""), (row.workload.aim, ' stroke-dasharray="3 2"')):
        yield f'<path d="M{LEFT + scale * _times(row, wanted):.1f} {y}v20" stroke="black"{dashes}/>'
