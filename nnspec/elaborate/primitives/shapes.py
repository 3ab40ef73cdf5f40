"""Shapes: what they are, and the same elements in others."""

from __future__ import annotations

from math import prod
from typing import Any

from nnspec import limits
from nnspec.diagnostics import Fix, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.lists import flat
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Builtin, Function, Tensor, Value, describe, is_dim
from nnspec.graph import Dim, Shape
from nnspec.graph.types import broadcast, count, show
from nnspec.ops import OPS
from nnspec.ops.source import value_shape

LEFT = -1
"""What others write for the size that follows from the rest."""


def _shape_of(a: Arguments) -> Shape:
    x = a.bound["x"]
    if isinstance(x, str | Function | Builtin):
        raise fault("E106", f"expected a tensor or a number, got {describe(x)}", a.at("x"))
    return x.shape if isinstance(x, Tensor) else value_shape(x)


@builtin("shape(x)")
def _shape(a: Arguments) -> Value:
    return _shape_of(a)


@builtin("rank(x)")
def _rank(a: Arguments) -> Value:
    return len(_shape_of(a))


@builtin("size(x)")
def _size(a: Arguments) -> Value:
    return count(_shape_of(a))


@builtin("known(x)")
def _known(a: Arguments) -> Value:
    """Whether it is plain numbers or truths: a value of the model is known only when it runs."""
    return all(isinstance(v, int | float) for v in flat(a.bound["x"]))


@builtin("range(start, stop)")
def _range(a: Arguments) -> Value:
    start, stop = (a.whole(name, a.bound[name], 0) for name in ("start", "stop"))
    if stop - start > limits.most("list"):
        raise limits.exceeded("list", f"a list has at most {limits.most('list'):,} elements, not {stop - start:,}", a.at("stop"))
    return tuple(range(start, stop))


def dims(a: Arguments, numbers: Dim = 0) -> Shape:
    """The shape that is asked for; the value has so many `numbers` where it keeps them all."""
    shape = a.bound["shape"]
    shape = shape if isinstance(shape, tuple) else (shape,)
    if not all(is_dim(d) and (not isinstance(d, int) or d > 0) for d in shape):
        message = f"a shape is a list of sizes, whole numbers from 1, not {describe(shape)}"
        raise fault("E106", message, a.at("shape"), **_left_open(shape, numbers, a.at("shape")) if numbers else {})
    return shape


def _left_open(shape: tuple[Any, ...], numbers: Dim, span: Span) -> dict[str, Any]:
    """Of a shape of so many numbers with -1 in it, as others write the size that is left, that size."""
    known = [d for d in shape if isinstance(d, int) and d > 0]
    if shape.count(LEFT) != 1 or len(known) != len(shape) - 1 or not isinstance(numbers, int) or numbers % prod(known):
        return {}
    better = describe(tuple(numbers // prod(known) if d == LEFT else d for d in shape))
    return {"help": f"the size that is left is written, too: `{better}`", "fix": Fix(span, better, safe=False)}


@builtin("reshape(x, shape)")
def _reshape(a: Arguments) -> Value:
    t = a.tensor("x")
    shape = dims(a, count(t.shape))
    if count(shape) != count(t.shape):
        message = f"{show(t.shape)} has {count(t.shape)} elements, {show(shape)} has {count(shape)}"
        raise fault("E204", message, a.at("shape"), notes=batch.origins([t], [a.at("x")]))
    return batch.reshape(t, shape, a.span)


@builtin("squeeze(x, axis = _)")
def _squeeze(a: Arguments) -> Value:
    """Without the axes of length 1, or without those that are named, which must be that."""
    t = a.tensor("x")
    single = {i for i, size in enumerate(t.shape) if size == 1}
    if "axis" in a.bound:
        axes = {i - t.batched for i in batch.axes_of(t, a.bound["axis"], a.at("axis"))}
        if axes - single:
            message = f"`squeeze` drops axes of length 1 only, and x is {show(t.shape)}"
            raise fault("E205", message, a.at("axis"), notes=batch.origins([t], [a.at("x")]))
        single = axes
    return batch.reshape(t, tuple(size for i, size in enumerate(t.shape) if i not in single), a.span)


@builtin("transpose(x, axes = _)")
def _transpose(a: Arguments) -> Value:
    return batch.transpose(a.tensor("x"), a.get("axes"), a.span)


@builtin("along(v, x, axis = 0)")
def _along(a: Arguments) -> Value:
    """A vector laid along one axis of x, so that it broadcasts over the others."""
    v, x = a.tensor("v"), a.tensor("x")
    axis = a.one_axis(x, 0) - x.batched
    return batch.reshape(v, (*v.shape, *(1,) * (len(x.shape) - axis - len(v.shape))), a.span)


@builtin("reverse(x, axis = 0)")
def _reverse(a: Arguments) -> Value:
    t = a.tensor("x")
    return t.moved(OPS["flip"](t.var, axis=a.one_axis(t, 0)), a.span)


@builtin("positions(x, axis = 0)")
def _positions(a: Arguments) -> Value:
    """The numbers 0, 1, 2, ... along an axis: a vector of its length, the same for every example."""
    t = a.tensor("x")
    numbers = a.e.graph.call(OPS["iota"], length=t.var.type.shape[a.one_axis(t, 0)], dtype="int64")
    return Tensor(numbers, False, a.span)


@builtin("expand(x, shape)")
def _expand(a: Arguments) -> Value:
    """x repeated along new axes in front and along axes of length 1."""
    t, shape = a.tensor("x"), dims(a)
    if broadcast(t.shape, shape) != shape:
        raise fault("E204", f"{show(t.shape)} does not repeat to {show(shape)}", a.at("shape"), notes=batch.origins([t], [a.at("x")]))
    full = (*t.var.type.shape[: t.batched], *shape)
    aligned = batch.reshape(t, (*(1,) * (len(shape) - len(t.shape)), *t.shape), a.span)
    return t.moved(OPS["expand"](aligned.var, shape=full), a.span)


@builtin("pad_axis(x, axis, before, after)")
def _pad_axis(a: Arguments) -> Value:
    """Zeros before and after x along one axis."""
    t = a.tensor("x")
    axis = a.one_axis(t)
    before, after = (a.whole(name, a.bound[name], 0) for name in ("before", "after"))
    return Tensor(OPS["pad"](t.var, axis=axis, before=before, after=after), t.batched, a.span)


@builtin("cut_axis(x, axis, start, stop)")
def _cut_axis(a: Arguments) -> Value:
    """What a slice of any one axis is, where `x[:, 1:3]` has to say which it is."""
    t, start = a.tensor("x"), a.whole("start", a.bound["start"], 0)
    return batch.index(t, a.one_axis(t) - t.batched, slice(start, a.bound["stop"]), a.span)[0]
