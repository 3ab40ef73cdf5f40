"""Several values as one: what follows a list of branches."""

from __future__ import annotations

from nnspec.diagnostics import Fault, fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Tensor, Value, describe
from nnspec.graph import Mismatch
from nnspec.graph.types import show
from nnspec.ops import OPS


def _tensors(a: Arguments, name: str) -> list[Tensor]:
    values = a.bound["xs"]
    if isinstance(values, Tensor) and name == "stack":
        values = (values,)  # a new axis for one value
    if not isinstance(values, tuple) or not values:
        raise fault("E106", f"`{name}` takes several values, or a list of branches, not {describe(values)}", a.at("xs"))
    dtype = batch.common_dtype(a.e.graph, values)
    tensors = [batch.lift(a.e.graph, v, dtype, a.at("xs")) for v in values]
    return tensors if len({t.dtype for t in tensors}) == 1 else [batch.as_dtype(t, dtype) for t in tensors]


@builtin("add(*xs)")
def _add(a: Arguments) -> Value:
    total, *others = _tensors(a, "add")
    for other in others:
        total = a.e.apply(OPS["add"], [total, other], [a.span, a.span], a.span)
    return total


@builtin("concat(*xs, axis = 0)")
def _concat(a: Arguments) -> Value:
    xs = _tensors(a, "concat")
    if len({len(x.shape) for x in xs}) > 1 or not xs[0].shape:
        raise _misfit(a, "concat", xs, "they need the same number of axes, one at least")
    return _joined(a, xs, _axis(a, len(xs[0].shape)))


@builtin("stack(*xs, axis = 0)")
def _stack(a: Arguments) -> Value:
    xs = _tensors(a, "stack")
    if len({x.shape for x in xs}) > 1:
        raise _misfit(a, "stack", xs, "they need the same shape")
    axis = _axis(a, len(xs[0].shape) + 1)
    return _joined(a, [batch.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]), a.span) for x in xs], axis)


def _axis(a: Arguments, rank: int) -> int:
    axis = a.get("axis", 0)
    if not isinstance(axis, int) or isinstance(axis, bool) or not -rank <= axis < rank:
        message = f"there is no axis {describe(axis)}: the result has {'1 axis' if rank == 1 else f'{rank} axes'}"
        raise fault("E205", message, a.at("axis"), help="axes count from 0 and leave the batch out; -1 is the last")
    return axis % rank


def _joined(a: Arguments, xs: list[Tensor], axis: int) -> Tensor:
    """Side by side along an axis of the example; what has no batch is repeated for each example of the others."""
    batched = any(x.batched for x in xs)
    parts = [batch.repeated(x) if batched else x for x in xs]
    classes = {x.classes for x in xs}
    try:
        joined = OPS["concat"](*(p.var for p in parts), axis=axis + batched)
        return Tensor(joined, batched, a.span, classes.pop() if len(classes) == 1 else None)
    except Mismatch:
        raise _misfit(a, "concat", xs, f"they may differ along axis {axis} only") from None


def _misfit(a: Arguments, name: str, xs: list[Tensor], why: str) -> Fault:
    shapes = ", ".join(show(x.shape) for x in xs)
    notes = tuple((x.origin, f"{describe(x)} comes from here") for x in xs if x.origin)
    return fault("E201", f"`{name}` cannot join {shapes}: {why}", a.span, notes=tuple(dict.fromkeys(notes)))
