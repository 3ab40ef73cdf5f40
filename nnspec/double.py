"""A graph of single precision in double precision: where sums lose what tells numbers apart, and to see what rounding does to a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nnspec.graph import Graph, Node
from nnspec.graph.loop import Loop
from nnspec.ops import OPS

DOUBLE = "float64"


def in_double(graph: Graph, name: str, outputs: Mapping[str, str], read: Mapping[str, str]) -> Graph:
    """What computes these outputs in float64, given the values that it is to `read` as inputs of these names."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        type = replace(node.type, dtype=_doubled(node.type.dtype))
        if node.name in read:
            return new.source(OPS["input"], read[node.name], type).name
        return new.add(node.op, inputs, {k: _doubled(v) for k, v in node.attrs}, type, node.name)

    made = graph.rebuilt(rule, outputs, name)
    made.dtype = _doubled(made.dtype)
    return made


def _doubled(value: Any) -> Any:
    """A kind of number, or a loop over numbers, in double precision; anything else as it is."""
    if isinstance(value, Loop):
        return Loop(in_double(value.body, value.body.name, value.body.outputs, {}))
    return DOUBLE if value == "float32" else value
