"""Elements by their number."""

from __future__ import annotations

import math

from nnspec.diagnostics import Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.lists import are_whole, flat
from nnspec.elaborate.primitives.table import ROUNDING, Arguments, builtin
from nnspec.elaborate.remedies import as_many, fewer_axes, without_batch
from nnspec.elaborate.values import Tensor, Value, describe
from nnspec.graph import BATCH
from nnspec.graph.types import Dim, count, show
from nnspec.ops import OPS
from nnspec.ops.arrange import moved


@builtin("one_hot(y, size = _)")
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
        more = (
            fewer_axes(a.e.graph, x.var.name) or without_batch(a.e.graph, x.var.name)
            if len(x.shape) > len(i.shape) + 1
            else _of_one_number(x, i)
        )
        label = f"it picks from {show((*i.shape, i.classes))}" if i.classes else ""
        message = f"cannot pick by {describe(i)} from {describe(x)}"
        raise fault("E202", message, a.span, label=label, notes=batch.origins([x, i], [a.span] * 2), **more)
    _enough(a, x, i, x.shape[-1], "values")
    if not isinstance(a.bound["i"], Tensor):
        _there(a, a.bound["i"], x, x.shape[-1], "element")
    return _picked(x, i).at(a.span)


def _picked(x: Tensor, i: Tensor) -> Tensor:
    """By numbers of each example, from the same values for all: from one row they are taken, more are repeated."""
    if i.batched and not x.batched and len(x.shape) == 1:
        return Tensor(OPS["take"](x.var, i.var), True, classes=x.classes)
    if x.batched != i.batched:
        x, i = batch.repeated(x), batch.repeated(i)
    return x.moved(OPS["pick"](x.var, i.var))


def _of_one_number(x: Tensor, i: Tensor) -> dict[str, str]:
    """The losses of a single output, where a class was to be picked from it."""
    return {} if x.shape or not i.classes else {"help": "the loss of one probability is `bce(p, y)`, that of one logit `bce_logits(z, y)`"}


@builtin("take(x, i)")
def _take(a: Arguments) -> Value:
    """Rows of x, the same for all examples or of each its own, by numbers that are so, too."""
    x = a.tensor("x")
    if not x.shape:
        raise fault("E202", "one number has no rows to take", a.at("x"), notes=batch.origins([x], [a.at("x")]))
    i = _row_numbers(a, x)
    _enough(a, x, i, x.shape[0], "rows")
    if x.batched:
        return _take_each(a, x, i) if i.batched else _take_from_each(x, i)
    return Tensor(OPS["take"](x.var, i.var), i.batched, a.span, x.classes)


def _take_from_each(x: Tensor, i: Tensor) -> Tensor:
    """Rows of the same numbers from every example, with the batch behind them in the meantime."""
    rank, at = len(x.shape), len(i.shape)
    taken = OPS["take"](moved(x.var, 1, 0), i.var)
    return x.moved(OPS["transpose"](taken, axes=(at, *range(at), *range(at + 1, at + rank))))


def _take_each(a: Arguments, x: Tensor, i: Tensor) -> Tensor:
    """Rows of each example's own: by a product with one-hot rows where their count is known, or number by number."""
    rows, row = x.shape[0], x.shape[1:]
    if not row or not isinstance(rows, int) or x.dtype != a.e.graph.dtype:
        return _pick_each(x, i, a.span)
    chosen = batch.reshape(Tensor(OPS["one_hot"](i.var, size=rows, dtype=x.dtype), i.batched), (count(i.shape), rows), a.span)
    taken = batch.matmul(a.e.graph, chosen, batch.reshape(x, (rows, count(row)), a.span), [a.span] * 2, a.span)
    return batch.reshape(taken, (*i.shape, *row), a.span)


def _pick_each(x: Tensor, i: Tensor, span: Span) -> Tensor:
    """The same number by number, with the rows behind all other axes."""
    rows, row = x.shape[0], x.shape[1:]
    behind = OPS["transpose"](x.var, axes=(0, *range(2, len(x.shape) + 1), 1)) if row else x.var
    laid = batch.reshape(x.moved(behind), (*(1,) * len(i.shape), *row, rows), span)
    chosen = batch.reshape(i, (*i.shape, *(1,) * len(row)), span)
    shape = (BATCH, *i.shape, *row)
    return x.moved(OPS["pick"](OPS["expand"](laid.var, shape=(*shape, rows)), OPS["expand"](chosen.var, shape=shape)))


def _row_numbers(a: Arguments, x: Tensor) -> Tensor:
    """Numbers of rows: class numbers, whole numbers, or a list written down."""
    i = a.bound["i"]
    if isinstance(i, Tensor):
        return _labels(a, "i")
    batch.numbers(i, a.at("i"))  # says what is no array of numbers
    _there(a, i, x, x.shape[0], "row")
    return Tensor(a.e.graph.constant(i, "int64"), False, a.at("i"))


def _there(a: Arguments, i: Value, x: Tensor, have: Dim, what: str) -> None:
    """Checks numbers that are written down."""
    most = have if isinstance(have, int) else math.inf  # of a size known at run time, it shows there
    for number in list(flat(i)) or [i]:
        if not isinstance(number, int) or not 0 <= number < most:
            raise fault("E205", f"there is no {what} {describe(number)}: {describe(x)} has {have} {what}s", a.at("i"))


def _enough(a: Arguments, x: Tensor, i: Tensor, have: Dim, what: str) -> None:
    if i.classes and isinstance(have, int) and have < i.classes:
        axis = -len(x.shape) if what == "rows" else -1
        notes = (*batch.made(x, axis, a.at("x"), a.span, "this"), *batch.origins([i], [a.span]))
        message = f"a class({i.classes}) needs {i.classes} {what}, one for each class, not {have}"
        raise fault("E202", message, a.span, notes=notes, **as_many(a.e.graph, x.var.name, axis, i.classes))


def _labels(a: Arguments, name: str) -> Tensor:
    """Class numbers, whole numbers, a list of them that is written down, or what is rounded to such."""
    if are_whole(a.bound[name]):
        return Tensor(a.e.graph.constant(a.bound[name], "int64"), False, a.at(name))
    t = a.tensor(name)
    if t.dtype == "int64" or a.e.graph[t.var.name].op.name in ROUNDING:
        return batch.as_dtype(t, "int64")
    rounded = f"round({batch.short(a.at(name)) or '..'})"
    help_ = f"an input or target is declared `class(N)`; of what is computed `{rounded}` makes whole numbers"
    raise fault("E106", f"expected a class number, got {describe(t)}", a.at(name), notes=batch.origins([t], [a.at(name)]), help=help_)
