"""The primitives of the language: what no formula can say. Each row is its signature and the function that builds it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from nnspec.diagnostics import Fault, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.values import Builtin, Choice, Scope, Tensor, Value, describe, is_dim
from nnspec.graph import BATCH, Shape, Type
from nnspec.graph.types import count, show
from nnspec.ops import OPS
from nnspec.ops.source import value_shape
from nnspec.syntax.parser import parse_signature

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator

Spans = dict[str, Span]
UNARY = ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "sign", "floor")
CHOICES = ("same", "valid")
CONSTANTS = {"pi": math.pi}
MAX_LIST = 100_000
SEED, STEP = "seed", "step"


class Arguments:
    """The evaluated arguments of one call of a builtin."""

    def __init__(self, e: Elaborator, bound: dict[str, Value], spans: Spans, span: Span, scope: Scope) -> None:
        self.e, self.bound, self.spans, self.span, self.scope = e, bound, spans, span, scope

    def at(self, name: str) -> Span:
        return self.spans.get(name, self.span)

    def get(self, name: str, default: Value = None) -> Value:
        return self.bound.get(name, default)

    def tensor(self, name: str) -> Tensor:
        return batch.lift(self.e.graph, self.bound[name], self.e.graph.dtype, self.at(name))

    def truth(self, name: str) -> bool:
        value = self.get(name, False)
        if not isinstance(value, bool):
            raise fault("E106", f"`{name}` is true or false, not {describe(value)}", self.at(name))
        return value

    def whole(self, name: str, value: Value, least: int = 1) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise fault("E106", f"`{name}` is a whole number from {least}, not {describe(value)}", self.at(name))
        return value

    def pair(self, name: str, default: Value = 1) -> tuple[int, int]:
        """One number for both directions, or `[vertical, horizontal]`."""
        value = self.get(name, default)
        both = value if isinstance(value, tuple) else (value, value)
        if len(both) != 2:
            raise fault("E106", f"`{name}` is one number or two, not {describe(value)}", self.at(name))
        return self.whole(name, both[0]), self.whole(name, both[1])


_ROWS: list[tuple[str, Callable[[Arguments], Value]]] = []


def builtin(signature: str) -> Callable[[Callable[[Arguments], Value]], Callable[[Arguments], Value]]:
    def enter(function: Callable[[Arguments], Value]) -> Callable[[Arguments], Value]:
        _ROWS.append((signature, function))
        return function

    return enter


@cache
def builtins() -> dict[str, Value]:
    """Every name that is there before the library: functions, constants and choices."""
    rows = [*_ROWS, *((f"{name}(x)", _unary(name)) for name in UNARY)]
    table: dict[str, Value] = {name: Choice(name) for name in CHOICES} | CONSTANTS
    for text, function in rows:
        row = make_builtin(text, function)
        table[row.name] = row
    return table


def make_builtin(text: str, function: Callable[[Arguments], Value]) -> Builtin:
    """A primitive from its signature and the function that builds it."""
    signature = parse_signature(f"{text} -> []")
    return Builtin(signature.name, signature.parameters, lambda *given: function(Arguments(*given)))


def _unary(name: str) -> Callable[[Arguments], Value]:
    return lambda a: a.e.apply(OPS[name], [a.bound["x"]], [a.at("x")], a.span)


# ---- reductions


def _reduction(a: Arguments, op: str) -> Value:
    keep = a.truth("keep")
    return batch.reduce(op, a.tensor("x"), a.get("axis"), keep, a.at("axis")).at(a.span)


@builtin("sum(x, axis = all, keep = false)")
def _sum(a: Arguments) -> Value:
    return _reduction(a, "sum")


@builtin("mean(x, axis = all, keep = false)")
def _mean(a: Arguments) -> Value:
    return _reduction(a, "mean")


@builtin("max(x, y = none, axis = all, keep = false)")
def _max(a: Arguments) -> Value:
    return _larger(a, "max", "maximum")


@builtin("min(x, y = none, axis = all, keep = false)")
def _min(a: Arguments) -> Value:
    return _larger(a, "min", "minimum")


def _larger(a: Arguments, reduction: str, op: str) -> Value:
    """Of two values, element by element; of one, over its axes."""
    if "y" in a.bound:
        return a.e.apply(OPS[op], [a.bound["x"], a.bound["y"]], [a.at("x"), a.at("y")], a.span)
    return _reduction(a, reduction)


@builtin("argmax(x, axis = last)")
def _argmax(a: Arguments) -> Value:
    t = a.tensor("x")
    (axis,) = batch.axes_of(t, a.get("axis", -1), a.at("axis"))
    return Tensor(OPS["argmax"](t.var, axis=axis), t.batched, a.span)


@builtin("batch_mean(x)")
def _batch_mean(a: Arguments) -> Value:
    return batch.batch_mean(_in_training(a), a.span)


def _in_training(a: Arguments) -> Tensor:
    """A model in use sees one example at a time, whoever else is in the batch."""
    if not a.e.training and a.e.graph.context.role != "loss":
        raise fault("E108", "the batch is known in training only", a.span, help="write it inside `if training { }`")
    return a.tensor("x")


@builtin("batch_var(x)")
def _batch_var(a: Arguments) -> Value:
    t = _in_training(a)
    deviation = a.e.apply(OPS["sub"], [t, batch.batch_mean(t, a.span)], [a.span, a.span], a.span)
    return batch.batch_mean(Tensor(OPS["square"](deviation.var), True), a.span)


# ---- shapes


def _shape_of(a: Arguments) -> Shape:
    x = a.bound["x"]
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


@builtin("range(start, stop)")
def _range(a: Arguments) -> Value:
    start, stop = (a.whole(name, a.bound[name], 0) for name in ("start", "stop"))
    if stop - start > MAX_LIST:
        raise fault("E502", f"a list has at most {MAX_LIST:,} elements, not {stop - start:,}", a.at("stop"))
    return tuple(range(start, stop))


@builtin("reshape(x, shape)")
def _reshape(a: Arguments) -> Value:
    t, shape = a.tensor("x"), a.bound["shape"]
    shape = shape if isinstance(shape, tuple) else (shape,)
    if not all(is_dim(d) for d in shape):
        raise fault("E106", f"a shape is a list of sizes, not {describe(shape)}", a.at("shape"))
    if count(shape) != count(t.shape):
        message = f"{show(t.shape)} has {count(t.shape)} elements, {show(shape)} has {count(shape)}"
        raise fault("E204", message, a.at("shape"), notes=batch.origins([t], [a.at("x")]))
    return batch.reshape(t, shape, a.span)


@builtin("transpose(x, axes = last_two)")
def _transpose(a: Arguments) -> Value:
    return batch.transpose(a.tensor("x"), a.get("axes"), a.span)


@builtin("along(v, x, axis = first)")
def _along(a: Arguments) -> Value:
    """A vector laid along one axis of x, so that it broadcasts over the others."""
    v, x, axis = a.tensor("v"), a.tensor("x"), a.whole("axis", a.get("axis", 0), 0)
    return batch.reshape(v, (*v.shape, *(1,) * (len(x.shape) - axis - len(v.shape))), a.span)


# ---- choosing


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


# ---- images


def _pads(a: Arguments, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, ...]:
    """(top, left, bottom, right): `valid` pads nothing, `same` so that stride 1 keeps the size, a number pads every side."""
    pad = a.get("pad", Choice("valid"))
    if isinstance(pad, Choice) and pad.name == "valid":
        return (0, 0, 0, 0)
    if isinstance(pad, Choice) and pad.name == "same":
        totals = [_same(s, *rest) for s, *rest in zip(x.shape[1:], kernel, stride, dilation, strict=True)]
        return (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    if isinstance(pad, Choice):
        raise _no_pad(a, pad)
    if isinstance(pad, str):
        raise _no_pad(a, pad, help="a word of the language has no quotes: `pad = same`")
    both = pad if isinstance(pad, tuple) else (pad, pad)
    if len(both) != 2:
        raise fault("E106", f"`pad` is one number or two, not {describe(pad)}", a.at("pad"))
    vertical, horizontal = (a.whole("pad", p, 0) for p in both)
    return (vertical, horizontal, vertical, horizontal)


def _no_pad(a: Arguments, pad: Value, **more: str) -> Fault:
    return fault("E106", f"`pad` is same, valid or a number, not {describe(pad)}", a.at("pad"), **more)


def _same(size: Any, kernel: int, stride: int, dilation: int) -> int:
    if not isinstance(size, int):
        return dilation * (kernel - 1)
    windows = -(-size // stride)
    return max((windows - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)


def _image(a: Arguments) -> Tensor:
    x = a.tensor("x")
    if len(x.shape) != 3:
        raise fault("E202", f"an image is [channels, height, width], not {show(x.shape)}", a.at("x"), notes=batch.origins([x], [a.at("x")]))
    return x if x.batched else Tensor(OPS["reshape"](x.var, shape=(1, *x.shape)), True, x.origin)


@builtin("convolve(x, W, stride = one, pad = valid, dilation = one, groups = one)")
def _convolve(a: Arguments) -> Value:
    x, w = _image(a), a.tensor("W")
    stride, dilation, groups = a.pair("stride"), a.pair("dilation"), a.whole("groups", a.get("groups", 1))
    if isinstance(w.shape[0], int) and w.shape[0] % groups:
        raise fault("E202", f"{w.shape[0]} units do not divide into {groups} groups", a.at("groups"))
    pads = _pads(a, x, w.shape[2:], stride, dilation)  # type: ignore[arg-type]  # kernels are numbers
    y = OPS["conv"](x.var, w.var, strides=stride, pads=pads, dilations=dilation, groups=groups)
    return Tensor(y, True, a.span)


def _pool(a: Arguments, op: str) -> Value:
    x, kernel = _image(a), a.pair("kernel")
    stride = a.pair("stride", kernel)
    pads = _pads(a, x, kernel, stride, (1, 1))
    if any(p >= k for p, k in zip(pads, kernel * 2, strict=True)):
        raise fault("E206", f"a window of {kernel[0]}x{kernel[1]} would lie wholly in the padding", a.at("pad"))
    y = OPS[op](x.var, kernel=kernel, strides=stride, pads=pads)
    return Tensor(y, True, a.span)


@builtin("pool_max(x, kernel, stride = kernel, pad = valid)")
def _pool_max(a: Arguments) -> Value:
    return _pool(a, "max_pool")


@builtin("pool_mean(x, kernel, stride = kernel, pad = valid)")
def _pool_mean(a: Arguments) -> Value:
    return _pool(a, "avg_pool")


# ---- chance


@builtin("random(shape)")
def _random(a: Arguments) -> Value:
    """Uniform in [0, 1), of a given shape or like a tensor; decided by seed, step and the place in the spec."""
    like, graph, frame = a.bound["shape"], a.e.graph, a.scope.frame
    batched = isinstance(like, Tensor) and like.batched
    shape: Shape = like.shape if isinstance(like, Tensor) else like if isinstance(like, tuple) else (like,)
    frame.draws += 1
    attrs = {"stream": crc32(f"{frame.path}#{frame.draws}".encode()), "shape": (BATCH, *shape) if batched else shape, "dtype": graph.dtype}
    seed, step = (graph.source(OPS["input"], name, Type("int64")) for name in (SEED, STEP))
    return Tensor(graph.call(OPS["random"], seed, step, **attrs), batched, a.span)
