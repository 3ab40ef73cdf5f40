"""Long sums and means as those of parts: onnxruntime adds many numbers one after the other, which rounds away what two stages keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from nnspec.graph import Shape
from nnspec.graph.types import count
from nnspec.interchange.lowering import OWN, Lowering
from nnspec.ops import OPS
from nnspec.ops.dense import divisor
from nnspec.ops.reduce import reduced

LONG, PART, GROUPS = 1 << 13, 1024, 64
"""Numbers from which on two stages take no longer; how many in a row are a part, and how many parts rows are put in."""


def _in_stages(o: Lowering, x: str, axes: tuple[int, ...], keep: bool, *, op: str, kind: str) -> str:
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
        groups, part = _parts(shape[first : last + 1], behind)
        value = o.reduce(kind, o.reshape(value, (*before, groups, part, *behind)), (first + 1,), False)
        value, shape = o.reduce(kind, value, (first,), False), (*before, *behind)
    return o.reshape(value, reduced(type, axes, keep))


def _runs(axes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The first and last of axes that are neighbours, from behind."""
    last = axes[-1]
    for axis in reversed(axes):
        if axis - 1 not in axes:
            yield axis, last
            last = max((a for a in axes if a < axis), default=axis)


def _parts(shape: Shape, behind: Shape) -> Shape:
    """How many parts these axes have, and how much is in each: of rows, or of columns with something behind."""
    length = count(shape)
    assert isinstance(length, int)  # what is long has a known length
    if count(behind) == 1:
        part = divisor(length, PART)
        return length // part, part
    groups = divisor(length, GROUPS)
    return groups, length // groups


LONG_SUMS: Mapping[str, Callable[..., str]] = {
    "sum": partial(_in_stages, op="sum", kind="ReduceSum"),
    "mean": partial(_in_stages, op="mean", kind="ReduceMean"),
}
"""By the name of the op."""
