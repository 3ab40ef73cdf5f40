"""A model as a text, a node a line: the source that diagnostics and the layer table point at."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from nnspec.diagnostics import Source, Span, printable
from nnspec.interchange.read import attributes, domain_of

LONGEST = 8  # elements of an attribute that are written out


class Listing:
    """The nodes of a model in order, each with its place in the text."""

    def __init__(self, name: str, graph: onnx.GraphProto) -> None:
        lines = [_line(node) for node in graph.node]
        self.source = Source(name, "\n".join(results + call for results, call in lines))
        self.spans: list[Span] = []
        start = 0
        for results, call in lines:
            first = start + len(results)
            self.spans.append(Span(self.source, first, first + len(call)))
            start = first + len(call) + 1


def _line(node: onnx.NodeProto) -> tuple[str, str]:
    """What a node gives, and how it is called."""
    values = [*(i or "_" for i in node.input), *(f"{k} = {_value(v)}" for k, v in attributes(node).items())]
    called = f"{domain_of(node)}.{node.op_type}".lstrip(".")
    return printable(", ".join(node.output) + " = "), printable(f"{called}({', '.join(values)})")


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.item()) if value.ndim == 0 else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple):
        shown = ", ".join(map(_value, value[:LONGEST]))
        return f"[{shown}{', ...' if len(value) > LONGEST else ''}]"
    if isinstance(value, onnx.GraphProto):
        return f"graph of {len(value.node)} nodes"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
