"""Largest and smallest values that are not lost what is no number: onnxruntime's own take the next number instead.

An infinite one counts as none, too: nothing goes over the values a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from nnspec.interchange.lowering import Lowering
from nnspec.ops import OPS
from nnspec.ops.windows import Numbers


def _extreme(o: Lowering, x: str, *, op: str, sign: int, **attributes: Any) -> str:
    """A reduction by an op's own facet, of values among which no number is the largest, or with the sign -1 the smallest."""
    return _restored(o, _facet(op)(o, _marked(o, x, sign), **attributes), o.type(x).dtype, sign)


def _max_pool(o: Lowering, x: str, kernel: Numbers, strides: Numbers, pads: Numbers) -> str:
    # With the places, which the gradient asks for, so that both are one node.
    seen, _ = o.nodes("MaxPool", 2, _marked(o, x, 1), kernel_shape=list(kernel), strides=list(strides), pads=list(pads))
    return _restored(o, seen, o.type(x).dtype, 1)


def _max_pool_grad(o: Lowering, g: str, x: str, y: str, **attributes: Any) -> str:
    return str(_facet("max_pool_grad")(o, g, _marked(o, x, 1), y, **attributes))


def _facet(op: str) -> Callable[..., str]:
    facet = OPS[op].onnx
    assert callable(facet)
    return facet


def _marked(o: Lowering, x: str, sign: int) -> str:
    """With an infinity for each value that is no number."""
    if not o.type(x).is_float:
        return x
    return o.like(x, o.node("Where", o.node("IsNaN", x), o.constant(sign * np.inf, o.type(x).dtype), x))


def _restored(o: Lowering, y: str, dtype: str, sign: int) -> str:
    infinite = o.node("IsInf", y, detect_positive=int(sign > 0), detect_negative=int(sign < 0))
    return o.node("Where", infinite, o.constant(np.nan, dtype), y)


CAREFUL: Mapping[str, Callable[..., str]] = {
    "max": partial(_extreme, op="max", sign=1),
    "min": partial(_extreme, op="min", sign=-1),
    "max_pool": _max_pool,
    "max_pool_grad": _max_pool_grad,
}
"""By the name of the op."""
