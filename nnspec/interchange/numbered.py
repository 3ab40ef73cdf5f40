"""Elements by their number where onnxruntime has none of that number: it takes one below 0 for one from the end, or gives zeros.

So that it fails, as the definition does, numbers that are not known to be classes are looked at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nnspec.double import DOUBLE
from nnspec.interchange.double_forms import IN_DOUBLE
from nnspec.interchange.lowering import Lowering
from nnspec.ops import OPS


def _by_number(op: str) -> Callable[..., str]:
    """The facet of an op that fails at numbers that are too large, given numbers below 0 as such."""
    facet, axis = OPS[op].onnx, -1 if op == "pick" else 0
    assert callable(facet)
    return lambda o, x, i: facet(o, x, _from_start(o, i, o.type(x).numbers[axis]))


def _one_hot(o: Lowering, i: str, size: int, dtype: str) -> str:
    """By the number of one of so many zeros more, which has to be there."""
    facet, found = IN_DOUBLE["one_hot"] if dtype == DOUBLE else OPS["one_hot"].onnx, i
    assert callable(facet)
    if (at := _from_start(o, i, size)) != i:
        found = o.like(i, o.node("Add", i, o.node("Gather", o.ints((0,) * size), at)))
    return str(facet(o, found, size, dtype))


def _from_start(o: Lowering, i: str, size: int) -> str:
    """Numbers of so many elements, a number too large for each below 0."""
    classes = o.type(i).classes
    if classes and classes <= size:
        return i
    return o.like(i, o.node("Where", o.node("Less", i, o.constant(0, "int64")), o.constant(size, "int64"), i))


NUMBERED: Mapping[str, Callable[..., str]] = {"take": _by_number("take"), "pick": _by_number("pick"), "one_hot": _one_hot}
"""By the name of the op."""
