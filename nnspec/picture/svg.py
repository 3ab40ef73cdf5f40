"""A figure as SVG, drawn with plain attributes, so that every reader of SVG shows it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from nnspec.diagnostics import printable
from nnspec.picture.again import Again, rounded
from nnspec.picture.diagram import Diagram
from nnspec.picture.figure import LINE_HEIGHT, PAD, Figure, Line, Shape, figure_of
from nnspec.picture.labels import Label
from nnspec.picture.look import AGAIN_LINE, BACKWARD_LINE, COLORS, FAINT, FONT, INK, LINE, NOTE, PAPER, TITLE

MARGIN = 20.0
DASHED = ' stroke-dasharray="4 3"'


def svg(diagram: Diagram, title: str) -> str:
    """The picture, with a white ground."""
    figure = figure_of(diagram)
    width, height = figure.width + 2 * MARGIN, figure.height + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}"'
            f" font-family={quoteattr(FONT)}>",
            f"<title>{escape(printable(title))}</title>",
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *_drawn(figure, MARGIN, MARGIN),
            "</svg>",
            "",
        ]
    )


def _drawn(figure: Figure, x: float, y: float) -> Iterator[str]:
    """Boxes first, then lines, then what the lines carry, so that text lies on top."""
    for shape in figure.shapes:
        yield from _box(shape, x, y)
    for line in figure.lines:
        yield _line(line, x, y)
    for way in figure.again:
        yield _way(way, x, y)
    for line in figure.lines:
        if line.label:
            yield from _label(line.label, x, y)


def _box(shape: Shape, x: float, y: float) -> Iterator[str]:
    x, y = x + shape.x, y + shape.y
    if shape.box.role == "port":
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{LINE}"/>'
        return
    fill, outline = COLORS["block" if shape.inner else shape.box.role]
    rounded = shape.height / 2 if shape.box.role in ("input", "output") else 6
    yield f"<g><title>{escape(printable(' '.join(filter(None, (shape.box.title, shape.box.note)))))}</title>"
    yield _rect(x, y, shape.front_width, shape.height, rounded, fill, outline)
    if shape.inner:
        yield from _texts(shape.lines, (x + PAD, "start"), y + PAD / 2)
    else:
        yield from _texts(shape.lines, (x + shape.front_width / 2, "middle"), y + _above(shape, shape.lines))
    if shape.back_width:
        left = x + shape.width - shape.back_width
        yield _rect(left, y, shape.back_width, shape.height, 6, *COLORS["backward"])
        yield from _texts(shape.back_lines, (left + shape.back_width / 2, "middle"), y + _above(shape, shape.back_lines))
    yield "</g>"
    if shape.inner:
        dx, dy = shape.inside
        yield from _drawn(shape.inner, x - shape.x + dx, y - shape.y + dy)


def _rect(x: float, y: float, width: float, height: float, rounded: float, fill: str, outline: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="{rounded:.1f}" fill="{fill}" stroke="{outline}"/>'


def _above(shape: Shape, lines: tuple[str, ...]) -> float:
    """The room above lines that stand in the middle of a box."""
    return (shape.height - LINE_HEIGHT * len(lines)) / 2


def _texts(lines: tuple[str, ...], at: tuple[float, str], y: float) -> Iterator[str]:
    """Title and note."""
    x, anchor = at
    for i, (text, size, color) in enumerate(zip(lines, (TITLE, NOTE), (INK, FAINT), strict=False)):
        place = f'x="{x:.1f}" y="{y + LINE_HEIGHT * (i + 0.75):.1f}" text-anchor="{anchor}"'
        yield f'<text {place} font-size="{size}" fill="{color}">{escape(text)}</text>'


def _line(line: Line, x: float, y: float) -> str:
    """A curve that leaves and arrives upright; an arrow at its end, unless that is a port."""
    x0, y0, *_ = line.stretches[0]
    path = [f"M{x + x0:.1f},{y + y0:.1f}"]
    for number, (x1, y1, x2, y2) in enumerate(line.stretches):
        if number:
            path.append(f"L{x + x1:.1f},{y + y1:.1f}")
        bend = (y2 - y1) / 2
        path.append(f"C{x + x1:.1f},{y + y1 + bend:.1f} {x + x2:.1f},{y + y2 - bend:.1f} {x + x2:.1f},{y + y2:.1f}")
    *_, x2, y2 = line.stretches[-1]
    color = BACKWARD_LINE if line.is_back else LINE
    curve = f'<path d="{" ".join(path)}" fill="none" stroke="{color}"{DASHED if line.is_back else ""}/>'
    head = f'<path d="M{x + x2:.1f},{y + y2:.1f} l-3.5,{7 if line.is_back else -7} h7 z" fill="{color}"/>'
    return curve if line.to_port else curve + head


def _way(way: Again, x: float, y: float) -> str:
    """A line into the next round, in the colour of what is carried."""
    corners = [(x + dx, y + dy) for dx, dy in way.corners]
    color = BACKWARD_LINE if way.is_back else AGAIN_LINE
    style = DASHED if way.is_back else ' stroke-width="1.6"'
    (end_x, end_y), up = corners[-1], 7 if way.is_back else -7
    head = f'<path d="M{end_x:.1f},{end_y:.1f} l-3.5,{up} h7 z" fill="{color}"/>'
    return f'<path d="{rounded(corners)}" fill="none" stroke="{color}"{style}/>{head}'


def _label(label: Label, x: float, y: float) -> Iterator[str]:
    """Text on a ground of its own, behind which a line may pass."""
    at, anchor = (x + label.right, "end") if label.on_left else (x + label.left, "start")
    ground = f'x="{x + label.left - 1:.1f}" y="{y + label.y - NOTE:.1f}" width="{label.width + 2:.1f}" height="{NOTE + 3}"'
    yield f'<rect {ground} rx="2" fill="{PAPER}"/>'
    yield f'<text x="{at:.1f}" y="{y + label.y:.1f}" font-size="{NOTE}" text-anchor="{anchor}" fill="{FAINT}">{escape(label.text)}</text>'
