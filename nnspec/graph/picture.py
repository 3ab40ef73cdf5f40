"""A graph as a diagram: a box for each operation, constants left out."""

from __future__ import annotations

from nnspec.graph.graph import Graph
from nnspec.graph.types import show
from nnspec.picture.diagram import Box, Diagram, Edge

MOST = 400
"""More operations than this are a wall, not a picture."""


def as_diagram(graph: Graph) -> Diagram:
    """Sources, operations in the colours of their roles, and the public outputs."""
    drawn = [n for n in graph if n.op.name != "const"]
    names = {n.name: f"n{i}" for i, n in enumerate(drawn)}
    boxes = [Box(names[n.name], n.name if n.op.is_source else n.op.name, n.role) for n in drawn]
    pairs = [(source, names[n.name]) for n in drawn for source in dict.fromkeys(n.inputs) if source in names]
    for number, (public, node) in enumerate(graph.outputs.items()):
        boxes.append(Box(f"o{number}", public.removeprefix("output:"), "output"))
        pairs.append((node, f"o{number}"))
    shapes = {n.name: show(n.type.example) for n in drawn}
    return Diagram(tuple(boxes), tuple(Edge(names[s], t, s, shapes[s]) for s, t in pairs if s in names))
