"""A diagram as a page: the browser sets the rows and folds blocks, a few lines of script draw the edges between what is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from nnspec.diagnostics import printable
from nnspec.picture.again import GAP, LANE
from nnspec.picture.diagram import Box, Diagram
from nnspec.picture.layers import Place, rows_of
from nnspec.picture.look import AGAIN_LINE, BACKWARD_LINE, COLORS, FAINT, FONT, INK, LINE, NOTE, PAPER, TITLE, short

STYLE, SCRIPT = ((Path(__file__).parent / f"page.{kind}") for kind in ("css", "js"))


def html(diagram: Diagram, title: str) -> str:
    """A page by itself, which takes nothing from the network."""
    title = escape(printable(title))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_colors()}{STYLE.read_text("utf-8")}</style>'
    buttons = '<nav><button data-open="1">open all</button> <button data-open="">close all</button></nav>'
    body = f"<h1>{title}</h1>{buttons}\n{''.join(_rows(diagram))}\n<script>{SCRIPT.read_text('utf-8')}</script>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _colors() -> str:
    """The looks that all formats share, as style."""
    variables = {"ink": INK, "faint": FAINT, "line": LINE, "back": BACKWARD_LINE, "again": AGAIN_LINE, "paper": PAPER}
    root = "".join(f"--{name}:{color};" for name, color in variables.items())
    roles = "".join(f".{role}{{--fill:{fill};--edge:{outline}}}" for role, (fill, outline) in COLORS.items())
    root += f"--lane:{LANE:.0f};--gap:{GAP:.0f};"  # which the script reads
    return f":root{{{root}--title:{TITLE}px;--note:{NOTE}px;--font:{FONT}}}{roles}"


def _rows(diagram: Diagram) -> Iterator[str]:
    """The rows of a diagram, with the places that its edges go through for the script."""
    rows = rows_of([b.name for b in diagram.boxes], [(e.source, e.target) for e in diagram.edges], diagram.inputs, diagram.outputs)
    block = diagram.boxes[0].name
    edges = [*_edges(diagram, rows.paths, block), *_again(diagram)]
    lanes = sum(1 + e.goes_back for e in diagram.again)
    room = f' style="padding-right:{LANE * lanes:.0f}px"' if lanes else ""
    yield f'<div class="diagram"{room} data-edges="{escape(json.dumps(edges))}">'
    for row in rows.rows:
        yield '<div class="row">'
        for place in row:
            yield from _box(diagram.by_name[place]) if isinstance(place, str) else [f'<i data-name="{_name(place, block)}"></i>']
        yield "</div>"
    yield "</div>"


def _edges(diagram: Diagram, paths: list[list[Place]], block: str) -> Iterator[dict[str, object]]:
    said = set[str]()
    for e, path in zip(diagram.edges, paths, strict=True):
        source, target = diagram.by_name[e.source], diagram.by_name[e.target]
        yield {
            "path": [_name(p, block) for p in path],
            "label": "" if e.value in said or source.role == "port" else e.label,
            "back": e.goes_back,
            "ports": [source.port_out(e.value), target.port_in(e.value)],
        }
        said.add(e.value)


def _again(diagram: Diagram) -> Iterator[dict[str, object]]:
    """The edges into the next round, with the number of the lane that each has beside the boxes."""
    lane = 0
    for e in diagram.again:
        source, target = diagram.by_name[e.source], diagram.by_name[e.target]
        ports = [source.port_out(e.value), target.port_in(e.value)]
        yield {"path": [e.source, e.target], "label": "", "back": e.goes_back, "ports": ports, "lane": lane}
        lane += 1 + e.goes_back


def _name(place: Place, block: str) -> str:
    """The name of a place, different in every block."""
    return place if isinstance(place, str) else f"{block}-{place[0]}-{place[1]}"


def _box(box: Box) -> Iterator[str]:
    if box.role == "port":
        yield f'<b data-name="{box.name}"></b>'
        return
    yield '<div class="pair">'
    if box.inner:
        yield f'<details class="box {box.role}" data-name="{box.name}"{" open" * box.is_open}>'
        yield f"<summary>{_words(box.title, box.note)}</summary>"
        yield from _rows(box.inner)
        yield "</details>"
    else:
        yield f'<div class="box {box.role}" data-name="{box.name}">{_words(box.title, box.note)}</div>'
    if box.back:
        yield f'<div class="box backward" data-name="{box.back_name}">{_words(box.back, box.back_note)}</div>'
    yield "</div>"


def _words(title: str, note: str) -> str:
    return f"<span>{escape(short(title))}</span>" + (f"<small>{escape(short(note))}</small>" if note else "")
