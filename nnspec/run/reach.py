"""What has no value for sizes that are known only when data comes: found before anything is computed, and so alike in every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nnspec.diagnostics import fault
from nnspec.graph import Graph, Mismatch, Size, Type
from nnspec.graph.types import BATCH_NAME, bind, count
from nnspec.ops.arrange import cut
from nnspec.ops.image import conv
from nnspec.ops.loop import scan
from nnspec.ops.reduce import argmax, max, mean, min


def check_reach(graph: Graph, sizes: Mapping[str, int]) -> None:
    """A Fault (E205) at the first node that has no value for these sizes, the steps of loops included."""
    for node in graph:
        absence, why = ABSENCES.get(node.op.name), ""
        if absence:
            inputs = [graph[i].type.bound(sizes) for i in node.inputs]
            why = absence(*inputs, **{key: bind(value, sizes) for key, value in node.attrs})
        if why := why or _below_nothing(node.type, sizes):
            known = " and ".join(f"`{name}` is {size}" for name, size in sizes.items() if name != BATCH_NAME)
            raise fault("E205", why, node.span, help=known and f"in this data {known}")
        if node.op is scan:
            check_reach(node.attributes["body"].body, sizes)


def _below_nothing(type: Type, sizes: Mapping[str, int]) -> str:
    below = next((n for d in type.shape if isinstance(d, Size) and (n := d.bind(sizes)) < 0), 0)
    return f"an axis would have {below} elements" if below else ""


def _beyond(x: Type, axis: int, start: int, stop: int) -> str:
    length: Any = x.shape[axis]
    return "" if 0 <= start <= stop <= length else f"elements {start} to {stop} are wanted of an axis of {length}"


def _of_nothing(what: str, x: Type, axes: tuple[int, ...], keep: bool) -> str:
    others = count(d for axis, d in enumerate(x.shape) if axis not in axes)
    return f"there is no {what} of no elements" if others and not count(x.shape[axis] for axis in axes) else ""


def _without_steps(*_: Type, length: int, **__: Any) -> str:
    return "" if length else "a sequence of no elements has no steps to take"


def _too_short(x: Type, w: Type, **attributes: Any) -> str:
    try:
        conv.type((x, w), attributes)
    except Mismatch as error:
        return error.message
    return ""


ABSENCES: Mapping[str, Callable[..., str]] = {
    cut.name: _beyond,
    mean.name: partial(_of_nothing, "mean"),
    max.name: partial(_of_nothing, "largest"),
    min.name: partial(_of_nothing, "smallest"),
    argmax.name: lambda x, axis: _of_nothing("largest", x, (axis,), False),
    scan.name: _without_steps,
    conv.name: _too_short,
}
"""By the name of the op: why it has no value, if it has none."""
