"""Long sums and means as those of parts: onnxruntime adds many numbers one after the other, which rounds away what two stages keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from nnspec.graph import Shape
from nnspec.graph.types import Dim, count
from nnspec.interchange.lowering import OWN, Lowering
from nnspec.ops import OPS
from nnspec.ops.dense import divisor
from nnspec.ops.reduce import reduced
from nnspec.ops.totals import MOST

LONG, PART, GROUPS = 1 << 13, 1024, 64
"""Numbers from which on two stages take no longer; how many in a row are a part, and how many parts rows are put in at least."""


def _in_stages(o: Lowering, x: str, axes: tuple[int, ...], keep: bool, *, op: str) -> str:
    """Axes beside each other at a time, the last first, and long ones in two stages."""
    type = o.type(x)
    length = count(type.shape[a] for a in axes)
    if not type.is_float or not isinstance(length, int) or length < LONG:
        facet = OWN.get(type.dtype, {}).get(op, OPS[op].onnx)
        assert callable(facet)
        return str(facet(o, x, axes, keep))
    value, shape = x, type.shape
    for first, last in _runs(axes):
        before, behind = shape[:first], shape[last + 1 :]
        value, shape = _total(o, value, before, count(shape[first : last + 1]), behind), (*before, *behind)
    total = o.reshape(value, reduced(type, axes, keep))
    return str(o.node("Div", total, o.constant(length, type.dtype)) if op == "mean" else total)


def _runs(axes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The first and last of axes that are neighbours, from behind."""
    last = axes[-1]
    for axis in reversed(axes):
        if axis - 1 not in axes:
            yield axis, last
            last = max((a for a in axes if a < axis), default=axis)


def _total(o: Lowering, x: str, before: Shape, length: Dim, behind: Shape) -> str:
    """The sum over the axes between these: of parts, and of their sums with what is left over."""
    assert isinstance(length, int)  # what is long has a known length
    axis, (groups, part) = len(before), _parts(length, count(behind) == 1)
    whole, parts = groups * part, (*before, groups, part, *behind)
    if whole == length:
        return o.reduce("ReduceSum", o.reduce("ReduceSum", o.reshape(x, parts), (axis + 1,), False), (axis,), False)
    x = o.reshape(x, (*before, length, *behind))
    sums = o.reduce("ReduceSum", o.reshape(o.along(x, axis, 0, whole), parts), (axis + 1,), False)
    return o.reduce("ReduceSum", o.node("Concat", sums, o.along(x, axis, whole, length), axis=axis), (axis,), False)


def _parts(length: int, rows: bool) -> tuple[int, int]:
    """How many parts there are, and how much is in each: of rows, or of columns; none is left over where that can be."""
    least = PART if rows else max(GROUPS, length // MOST)
    even = divisor(length, least)
    number = least if even == length > MOST else even
    return (length // number, number) if rows else (number, length // number)


LONG_SUMS: Mapping[str, Callable[..., str]] = {op: partial(_in_stages, op=op) for op in ("sum", "mean")}
"""By the name of the op."""
