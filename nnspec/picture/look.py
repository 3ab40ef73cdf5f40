"""How pictures look: the colours of roles, and how much room text takes."""

from __future__ import annotations

from nnspec.diagnostics import columns, printable

COLORS = {
    "input": ("#f1f5f9", "#475569"),
    "output": ("#f1f5f9", "#475569"),
    "param": ("#fef9c3", "#a16207"),
    "state": ("#f3e8ff", "#7e22ce"),
    "weights": ("#dbeafe", "#1d4ed8"),
    "forward": ("#ffffff", "#64748b"),
    "loss": ("#fee2e2", "#b91c1c"),
    "update": ("#dcfce7", "#15803d"),
    "backward": ("#ffedd5", "#c2410c"),
    "block": ("#f8fafc", "#94a3b8"),
}
"""Fill and outline by role."""
INK, FAINT, PAPER = "#0f172a", "#475569", "#ffffff"
LINE, BACKWARD_LINE, AGAIN_LINE = "#64748b", "#c2410c", "#7e22ce"

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
TITLE, NOTE = 13, 10
ADVANCE = 0.603
"""How wide a column of these fonts is, for a size of 1."""
MOST_COLUMNS = 52


def width(text: str, size: int) -> float:
    """How wide a line is."""
    return columns(text) * ADVANCE * size


def short(text: str, most: int = MOST_COLUMNS) -> str:
    """Text as it may be shown: nothing in it acts, and it is not too long."""
    text = printable(text)
    while columns(text) > most:
        text = text[:-2] + "…"
    return text
