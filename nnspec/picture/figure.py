"""A diagram with coordinates: every box a rectangle, every edge a line from row to row, blocks laid out before what they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from nnspec.picture.again import GAP, LANE, ROOM, Again, Door, ways
from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.picture.labels import Drawn, Label, Stretches, along, sampled
from nnspec.picture.layers import Place, Rows, rows_of
from nnspec.picture.look import NOTE, TITLE, short, width
from nnspec.picture.place import columns_of
from nnspec.record import dataclass

PAD, ASIDE, BETWEEN = 10.0, 24.0, 40.0
"""Room beside text, beside boxes and between rows."""
LINE_HEIGHT, HEADER = 16.0, 20.0
BLOCK = 16.0
TWINS, ASIDE_BACK = 8.0, 12.0
"""Between what a box computes forward and backward, and between the two lines of an edge."""


@dataclass(frozen=True)
class Shape:
    """A box where it stands: the left upper corner, and the size.

    An open block has its figure inside, at its own corner. What is computed backward stands at the right, `back_width` wide.
    """

    box: Box
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    inner: Figure | None = None
    back_lines: tuple[str, ...] = ()
    back_width: float = 0.0

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def front_width(self) -> float:
        return self.width - self.back_width - TWINS if self.back_width else self.width

    @property
    def inside(self) -> tuple[float, float]:
        """Where the figure in an open block begins."""
        assert self.inner
        return self.x + (self.width - self.inner.width) / 2, self.y + self.height - self.inner.height


@dataclass(frozen=True)
class Line:
    """An edge, or its gradient on the way back: a stretch across every gap between rows, (x, y) to (x, y)."""

    edge: Edge
    stretches: Stretches
    to_port: bool
    is_back: bool = False
    label: Label | None = None


@dataclass(frozen=True)
class Figure:
    """A diagram with coordinates from its own left upper corner."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]
    again: tuple[Again, ...] = ()

    def middle_of(self, box: str) -> float:
        return next(s.middle for s in self.shapes if s.box.name == box)


def figure_of(diagram: Diagram) -> Figure:
    """Boxes placed in rows."""
    sized = {b.name: _sized(b) for b in diagram.boxes}
    pairs = [(e.source, e.target) for e in diagram.edges]
    rows = rows_of([b.name for b in diagram.boxes], pairs, diagram.inputs, diagram.outputs)
    widths = {p: _room(sized[p], diagram) if isinstance(p, str) else NOTE for row in rows.rows for p in row}
    at = columns_of(rows, widths, _shifts(diagram, sized, rows), ASIDE)
    if len(diagram.inputs) == len(diagram.outputs) == 1:  # so that blocks in a row stand below each other
        at[diagram.outputs[0]] = at[diagram.inputs[0]]
    tops, bottoms = _levels(rows, sized, ROOM if any(e.target in rows.rows[0] for e in diagram.again) else 0.0)
    shapes = {n: replace(s, x=at[n] - s.width / 2, y=tops[n]) for n, s in sized.items()}
    right = max((at[p] + widths[p] / 2 for p in at), default=0.0)
    again = ways(diagram, *_doors(diagram, rows, shapes), right)
    lines = _labelled(list(_lines(diagram, rows, shapes, at, (tops, bottoms))), again, shapes, right)
    height = max((s.y + s.height for s in shapes.values()), default=0.0)
    return Figure(right + LANE * len(again) + GAP * bool(again), height, tuple(shapes.values()), lines, again)


def _doors(diagram: Diagram, rows: Rows, shapes: Mapping[str, Shape]) -> tuple[dict[str, Door], dict[str, Door]]:
    """Where ways into the next round leave boxes and enter them."""
    above, below = dict[str, float](), dict[str, float]()
    for row in rows.rows:
        boxes = [shapes[p] for p in row if isinstance(p, str)]
        above |= {b.box.name: min(b.y for b in boxes) for b in boxes}
        below |= {b.box.name: max(b.y + b.height for b in boxes) for b in boxes}
    leaves, enters = dict[str, Door](), dict[str, Door]()
    for e in diagram.again:
        source, target = shapes[e.source], shapes[e.target]
        x, back_x = (source.middle + _attached(source, source.box.port_out(e.value), back=b) + ASIDE_BACK for b in (False, True))
        leaves[e.source] = Door(x, back_x, source.y + source.height, below[e.source])
        x, back_x = (target.middle + _attached(target, "", back=b) for b in (False, True))
        enters[e.target] = Door(x, back_x, target.y, above[e.target])
    return leaves, enters


def _sized(box: Box) -> Shape:
    """A box with its size, not yet in its place."""
    if box.role == "port":
        return Shape(box, 0, 0, 0, 0, ())
    lines, text = _text(box.title, box.note)
    if not (box.inner and box.is_open):
        back_lines, back = _text(box.back, box.back_note) if box.back else ((), 0.0)
        height = PAD + LINE_HEIGHT * max(len(lines), len(back_lines))
        return Shape(box, 0, 0, text + back + TWINS * bool(back), height, lines, None, back_lines, back)
    inner = figure_of(box.inner)
    return Shape(box, 0, 0, max(text, inner.width + 2 * BLOCK), HEADER * len(lines) + inner.height, lines, inner)


def _text(title: str, note: str) -> tuple[tuple[str, ...], float]:
    """The lines in a box, and how wide it is for them."""
    lines = tuple(short(t) for t in (title, note) if t)
    return lines, max(30.0, *(width(t, size) + 2 * PAD for t, size in zip(lines, (TITLE, NOTE), strict=False)))


def _room(shape: Shape, diagram: Diagram) -> float:
    """The width of a box, or more if the label beside the line from it is wider."""
    labels = [width(e.label, NOTE) for e in diagram.edges if e.source == shape.box.name]
    return max(shape.width, 2 * max(labels, default=0.0) + PAD)


def _attached(shape: Shape, port: str, *, back: bool = False) -> float:
    """How far right of the middle of a box a line to it, or to this port of it, ends."""
    if shape.inner and port:
        return shape.inside[0] + shape.inner.middle_of(port) - shape.middle + back * ASIDE_BACK
    if shape.back_width:
        return (shape.width - shape.back_width) / 2 if back else (shape.front_width - shape.width) / 2
    return back * ASIDE_BACK


def _shifts(diagram: Diagram, sized: Mapping[str, Shape], rows: Rows) -> dict[tuple[Place, Place], float]:
    """What is between the middles of the ends of a straight line."""
    shifts: dict[tuple[Place, Place], float] = {}
    for e, path in zip(diagram.edges, rows.paths, strict=True):
        source, target = sized[e.source], sized[e.target]
        shifts[path[0], path[1]] = _attached(source, source.box.port_out(e.value))
        shifts[path[-2], path[-1]] = shifts.get((path[-2], path[-1]), 0.0) - _attached(target, target.box.port_in(e.value))
    return shifts


def _levels(rows: Rows, sized: Mapping[str, Shape], y: float) -> tuple[dict[Place, float], dict[Place, float]]:
    """Where each place begins and ends from top to bottom, the first at `y`; boxes stand in the middle of their row."""
    tops, bottoms = dict[Place, float](), dict[Place, float]()
    for row in rows.rows:
        height = max((sized[p].height for p in row if isinstance(p, str)), default=0.0)
        for place in row:
            own = sized[place].height if isinstance(place, str) else height
            tops[place], bottoms[place] = y + (height - own) / 2, y + (height + own) / 2
        y += height + BETWEEN
    return tops, bottoms


def _lines(
    diagram: Diagram,
    rows: Rows,
    shapes: Mapping[str, Shape],
    at: Mapping[Place, float],
    levels: tuple[Mapping[Place, float], Mapping[Place, float]],
) -> Iterator[Line]:
    """Every edge as stretches."""
    tops, bottoms = levels
    for e, path in zip(diagram.edges, rows.paths, strict=True):
        source, target = shapes[e.source], shapes[e.target]
        for back in (False, True)[: 1 + e.goes_back]:
            xs = [at[p] + back * ASIDE_BACK for p in path]
            xs[0] = at[path[0]] + _attached(source, source.box.port_out(e.value), back=back)
            xs[-1] = at[path[-1]] + _attached(target, target.box.port_in(e.value), back=back)
            ways = zip(pairwise(path), pairwise(xs), strict=True)
            stretches = tuple((x0, bottoms[a], x1, tops[b]) for (a, b), (x0, x1) in ways)
            arrives = source if back else target
            yield Line(e, _reversed(stretches) if back else stretches, arrives.box.role == "port", back)


def _reversed(stretches: Stretches) -> Stretches:
    return tuple((x1, y1, x0, y0) for x0, y0, x1, y1 in reversed(stretches))


def _labelled(lines: list[Line], again: Sequence[Again], shapes: Mapping[str, Shape], right: float) -> tuple[Line, ...]:
    """The first line with each value says its shape."""
    points = [p for line in lines for p in sampled(line.stretches)]
    points += [p for way in again for start, end in pairwise(way.corners) for p in along(start, end)]
    drawn = Drawn(points, right)
    labelled: list[Line] = []
    said = set[str]()
    for line in lines:
        e = line.edge
        new = not line.is_back and e.value not in said and shapes[e.source].box.role != "port"
        said.add(e.value)
        labelled.append(replace(line, label=drawn.placed(e.label, line.stretches)) if new else line)
    return tuple(labelled)
