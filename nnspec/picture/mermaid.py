"""A diagram in the language of Mermaid, which GitHub and notebooks draw."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.picture.diagram import Box, Diagram, Edge
from nnspec.picture.look import COLORS, short


def mermaid(diagram: Diagram, title: str) -> str:
    """A flowchart."""
    classes = [f"  classDef {role} fill:{fill},stroke:{outline},color:#000" for role, (fill, outline) in COLORS.items()]
    return "\n".join([f"---\ntitle: {_quoted(title)}\n---", "flowchart TD", *classes, *_statements(diagram, "  "), ""])


def _statements(diagram: Diagram, indent: str) -> Iterator[str]:
    for box in diagram.boxes:
        if box.role != "port":
            yield from _box(box, indent)
    for source, target, e in diagram.links():
        yield f"{indent}{source.name} -->|{_quoted(e.label)}| {target.name}"
        yield from _back(source, target, e, indent)
    for source, target, e in diagram.rounds():
        yield f"{indent}{source.name} ==> {target.name}"
        yield from _back(source, target, e, indent)


def _back(source: Box, target: Box, edge: Edge, indent: str) -> Iterator[str]:
    if edge.goes_back:
        yield f"{indent}{target.back_name} -.-> {source.back_name}"


def _box(box: Box, indent: str) -> Iterator[str]:
    label = _lines(box.title, box.note)
    if box.inner and box.is_open:
        yield f"{indent}subgraph {box.name}[{label}]"
        yield from _statements(box.inner, indent + "  ")
        yield f"{indent}end"
        return
    start, end = ("([", "])") if box.role in ("input", "output") else ("[", "]")
    yield f"{indent}{box.name}{start}{label}{end}:::{box.role}"
    if box.back:
        yield f"{indent}{box.back_name}[{_lines(box.back, box.back_note)}]:::backward"


def _lines(title: str, note: str) -> str:
    return _quoted(*(short(t) for t in (title, note) if t))


def _quoted(*lines: str) -> str:
    """Text in quotes; what Mermaid or the browser would read as a sign of theirs stands as its number."""
    safe = ("".join(c if c.isalnum() or c in " ._-" else f"#{ord(c)};" for c in line) for line in lines)
    return f'"{"<br>".join(safe)}"'
