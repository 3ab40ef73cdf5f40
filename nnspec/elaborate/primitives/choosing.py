"""Elements by their number."""

from __future__ import annotations

from nnspec.diagnostics import fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Tensor, Value, describe
from nnspec.ops import OPS


@builtin("one_hot(y, size = classes)")
def _one_hot(a: Arguments) -> Value:
    y = _labels(a, "y")
    size = a.get("size", y.classes)
    if size is None:
        raise fault("E103", "`one_hot` is missing `size`: how many classes there are", a.span)
    return Tensor(OPS["one_hot"](y.var, size=a.whole("size", size), dtype=a.e.graph.dtype), y.batched, a.span)


@builtin("pick(x, i)")
def _pick(a: Arguments) -> Value:
    x, i = a.tensor("x"), _labels(a, "i")
    if not x.shape or x.shape[:-1] != i.shape:
        raise fault("E202", f"cannot pick by {describe(i)} from {describe(x)}", a.span, notes=batch.origins([x, i], [a.span] * 2))
    if i.classes and isinstance(x.shape[-1], int) and x.shape[-1] < i.classes:
        raise fault("E202", f"a class({i.classes}) needs {i.classes} values, one for each class, not {x.shape[-1]}", a.span,
                    notes=batch.origins([x, i], [a.span] * 2))  # fmt: skip
    return Tensor(OPS["pick"](x.var, i.var), x.batched or i.batched, a.span)


def _labels(a: Arguments, name: str) -> Tensor:
    t = a.tensor(name)
    if t.dtype != "int64":
        raise fault("E106", f"expected a class number, got {describe(t)}", a.at(name), notes=batch.origins([t], [a.at(name)]),
                    help="declare it `class(N)`")  # fmt: skip
    return t
