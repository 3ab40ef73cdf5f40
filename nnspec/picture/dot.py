"""A diagram in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import printable
from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.picture.look import AGAIN_LINE, BACKWARD_LINE, COLORS, LINE, short


def dot(diagram: Diagram, title: str) -> str:
    """The text that `dot -Tsvg` draws."""
    lines = [f"digraph {_quoted(printable(title))} {{", '  node [shape=box style="rounded,filled" fontname="monospace" fontsize=11]']
    lines += ['  edge [fontname="monospace" fontsize=9]', *_statements(diagram, "  "), "}", ""]
    return "\n".join(lines)


def _statements(diagram: Diagram, indent: str) -> Iterator[str]:
    for box in diagram.boxes:
        if box.role != "port":
            yield from _box(box, indent)
    for source, target, e in diagram.links():
        yield f'{indent}{source.name} -> {target.name} [label={_quoted(e.label)} color="{LINE}"]'
        yield from _back(source, target, e, indent)
    for source, target, e in diagram.rounds():
        yield f'{indent}{source.name} -> {target.name} [color="{AGAIN_LINE}" penwidth=2 constraint=false]'
        yield from _back(source, target, e, indent)


def _back(source: Box, target: Box, edge: Edge, indent: str) -> Iterator[str]:
    if edge.goes_back:
        yield f'{indent}{target.back_name} -> {source.back_name} [color="{BACKWARD_LINE}" style=dashed constraint=false]'


def _box(box: Box, indent: str) -> Iterator[str]:
    if box.inner and box.is_open:
        fill, outline = COLORS["block"]
        yield f"{indent}subgraph cluster_{box.name} {{"
        yield f'{indent}  label={_lines(box.title, box.note)} style=rounded bgcolor="{fill}" color="{outline}" fontname="monospace"'
        yield from _statements(box.inner, indent + "  ")
        yield f"{indent}}}"
        return
    shape = " shape=oval" if box.role in ("input", "output") else ""
    yield _node(box.name, _lines(box.title, box.note), box.role, indent, shape)
    if box.back:
        yield _node(f"{box.back_name}", _lines(box.back, box.back_note), "backward", indent, "")
        yield f"{indent}{{rank=same {box.name} {box.back_name}}}"


def _node(name: str, label: str, role: str, indent: str, more: str) -> str:
    fill, outline = COLORS[role]
    return f'{indent}{name} [label={label} fillcolor="{fill}" color="{outline}"{more}]'


def _lines(title: str, note: str) -> str:
    return _quoted("\n".join(short(t) for t in (title, note) if t))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
