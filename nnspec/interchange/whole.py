"""Whole numbers out of the operations that onnxruntime computes exactly for them.

Its Max, Min, Clip and Sign are wrong from 2^31 on; its powers, sums and products are those of floats, which are exact up to 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nnspec.graph.types import replaced

if TYPE_CHECKING:
    from nnspec.interchange.lowering import Lowering

WHOLE = "int64"


def _number(o: Lowering, value: Any) -> str:
    return o.constant(value, WHOLE)


def _chosen(o: Lowering, x: str, y: str, *, comparison: str) -> str:
    """x where it compares so with y, else y."""
    return o.node("Where", o.node(comparison, x, y), x, y)


_larger, _smaller = partial(_chosen, comparison="Greater"), partial(_chosen, comparison="Less")


def _relu(o: Lowering, x: str) -> str:
    return _larger(o, x, _number(o, 0))


def _clip(o: Lowering, x: str, low: float, high: float) -> str:
    return _smaller(o, _larger(o, x, _number(o, low)), _number(o, high))


def _sign(o: Lowering, x: str) -> str:
    above, below = (o.cast(o.node(comparison, x, _number(o, 0)), WHOLE) for comparison in ("Greater", "Less"))
    return o.node("Sub", above, below)


def _pow(o: Lowering, x: str, y: str) -> str:
    """A product of squares, where the exponent is known."""
    left = o.known(y)
    if left is None or not left.any():
        return o.node("Pow", x, y)
    power, square = _number(o, np.ones_like(left)), x
    while left.any():
        power = o.node("Mul", power, o.node("Where", o.constant(left % 2 == 1, "bool"), square, _number(o, 1)))
        square, left = o.node("Mul", square, square), left // 2
    return power


def _reduced(o: Lowering, x: str, axes: tuple[int, ...], keep: bool, *, how: str, start: int) -> str:
    """All rows into one that is there."""
    value, shape = x, o.type(x).shape
    for axis in axes:
        number = o.node("Expand", _number(o, 0), o.shape(shape))
        shape = replaced(shape, axis, 1)
        row = o.node("Expand", _number(o, start), o.shape(shape))
        value = o.node("ScatterElements", row, number, value, axis=axis, reduction=how)
    return value if keep or not axes else o.node("Squeeze", value, o.ints(axes))


OF_WHOLE: Mapping[str, Callable[..., str]] = {
    "maximum": _larger,
    "minimum": _smaller,
    "relu": _relu,
    "clip": _clip,
    "sign": _sign,
    "pow": _pow,
    "sum": partial(_reduced, how="add", start=0),
    "prod": partial(_reduced, how="mul", start=1),
}
"""By the name of the op."""
