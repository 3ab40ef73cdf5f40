"""What a graph means: node after node, each computed by the kernel of its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnspec.diagnostics import fault
from nnspec.graph.graph import Graph
from nnspec.graph.op import Absent
from nnspec.graph.types import bind
from nnspec.lazy import np


def walk(graph: Graph, feeds: Mapping[str, Any], sizes: Mapping[str, int], needed: set[str] | None = None) -> dict[str, Any]:
    """The value of every node (or of the needed ones), given those of the sources."""
    values: dict[str, Any] = {}
    for node in graph:
        if needed is not None and node.name not in needed:
            continue
        if node.op.is_source:
            values[node.name] = np.asarray(feeds[node.name], node.type.dtype)
        else:
            attributes = {key: bind(value, sizes) for key, value in node.attrs}
            try:
                values[node.name] = np.asarray(node.op.kernel(*(values[i] for i in node.inputs), **attributes))
            except Absent as error:
                raise fault("E205", str(error), node.span, help=error.help) from None
    return values
