"""Sums, means and extremes over axes of an example, along one of them, and over the batch."""

from __future__ import annotations

from typing import Any

from nnspec.diagnostics import Fault, fault
from nnspec.elaborate import batch
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.remedies import RIGHT_BY_A_THRESHOLD
from nnspec.elaborate.values import Tensor, Value, describe
from nnspec.ops import OPS


def _reduction(a: Arguments, op: str) -> Value:
    keep = a.truth("keep")
    return batch.reduce(op, a.tensor("x"), a.get("axis"), keep, a.at("axis")).at(a.span)


@builtin("sum(x, axis = _, keep = false)")
def _sum(a: Arguments) -> Value:
    return _reduction(a, "sum")


@builtin("mean(x, axis = _, keep = false)")
def _mean(a: Arguments) -> Value:
    return _reduction(a, "mean")


@builtin("max(x, y = _, axis = _, keep = false)")
def _max(a: Arguments) -> Value:
    return _larger(a, "max", "maximum")


@builtin("min(x, y = _, axis = _, keep = false)")
def _min(a: Arguments) -> Value:
    return _larger(a, "min", "minimum")


def _larger(a: Arguments, reduction: str, op: str) -> Value:
    """Of two values, element by element; of one, over its axes."""
    if "y" in a.bound:
        if reducing := next((word for word in ("axis", "keep") if word in a.bound), None):
            raise _of_one_value(a, reduction, reducing)
        return a.e.apply(OPS[op], [a.bound["x"], a.bound["y"]], [a.at("x"), a.at("y")], a.span)
    return _reduction(a, reduction)


def _of_one_value(a: Arguments, reduction: str, word: str) -> Fault:
    """The mistake of a reduction whose axis has no name, and so is a second value."""
    help_ = "" if word == "axis" or isinstance(a.bound["y"], Tensor) else f"an axis has its name: `axis = {describe(a.bound['y'])}`"
    return fault("E104", f"`{reduction}` of two values goes element by element, and has no `{word}`", a.at(word), help=help_)


@builtin("argmax(x, axis = -1)")
def _argmax(a: Arguments) -> Value:
    if not a.tensor("x").shape:
        message = "the position of the largest is asked for, and this is one number, of shape []"
        raise fault("E205", message, a.at("x"), help=RIGHT_BY_A_THRESHOLD)
    return _along(a, "argmax", batch.common_dtype(a.e.graph, [a.tensor("x")]))


@builtin("cumsum(x, axis = -1)")
def _cumsum(a: Arguments) -> Value:
    return _along(a, "cumsum", batch.common_dtype(a.e.graph, [a.bound["x"]]), reverse=False)


@builtin("rank_of(x, axis = -1)")
def _rank_of(a: Arguments) -> Value:
    return _along(a, "rank_of", a.e.graph.dtype)


def _along(a: Arguments, op: str, dtype: str, **attrs: Any) -> Value:
    t = batch.as_dtype(a.tensor("x"), dtype)
    return Tensor(OPS[op](t.var, axis=a.one_axis(t), **attrs), t.batched, a.span)


@builtin("batch_mean(x)")
def _batch_mean(a: Arguments) -> Value:
    return batch.batch_mean(_in_training(a), a.span)


def _in_training(a: Arguments) -> Tensor:
    """A model in use sees one example at a time, whoever else is in the batch."""
    if a.e.in_use and a.e.graph.context.role != "loss":
        raise fault("E108", "the batch is known in training only", a.span, help="write it inside `if training { }` or `if fitting { }`")
    return a.tensor("x")


@builtin("batch_var(x)")
def _batch_var(a: Arguments) -> Value:
    t = _in_training(a)
    deviation = a.e.apply(OPS["sub"], [t, batch.batch_mean(t, a.span)], [a.span, a.span], a.span)
    return batch.batch_mean(Tensor(OPS["square"](deviation.var), True), a.span)


@builtin("batch_rank(x)")
def _batch_rank(a: Arguments) -> Value:
    if a.e.reporting != "metric":
        raise fault("E108", "ranks are among all of a data set, and so in a metric only", a.span)
    t = batch.as_dtype(a.tensor("x"), a.e.graph.dtype)
    if not t.batched:
        raise fault("E106", "this has no batch to be ranked in", a.span)
    return Tensor(OPS["rank_of"](t.var, axis=0), True, a.span)
