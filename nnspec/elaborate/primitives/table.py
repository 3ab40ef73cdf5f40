"""What a primitive of the language is: its signature, and the function that builds it from the evaluated arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from nnspec.diagnostics import Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import CHOICES, Builtin, Choice, Tensor, Value, describe
from nnspec.ops import OPS

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator

Spans = dict[str, Span]
UNARY = ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "sign", "floor", "ceil", "round", "erf", "erfinv", "relu")
ROUNDING = ("floor", "ceil", "round")
"""Whole numbers stay what they are."""
CONSTANTS = {"pi": math.pi}


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

    def one_axis(self, t: Tensor, default: int = -1) -> int:
        """One axis of the node for a per-example axis, the last where nothing else is said."""
        axes = batch.axes_of(t, self.get("axis", default), self.at("axis"))
        if len(axes) != 1:
            raise fault("E205", f"`axis` is one axis, not {len(axes)}", self.at("axis"))
        return axes[0]

    def each(self, name: str, axes: int, default: Value = 1, least: int = 1) -> tuple[int, ...]:
        """One number for every axis, or one for each."""
        value = self.get(name, default)
        numbers = value if isinstance(value, tuple) else (value,) * axes
        if len(numbers) != axes:
            expected = ("one number", "one number or two", "one number or three")[axes - 1]
            raise fault("E106", f"`{name}` is {expected}, not {describe(value)}", self.at(name))
        return tuple(self.whole(name, n, least) for n in numbers)


_ROWS: list[tuple[str, Callable[[Arguments], Value]]] = []


def builtin(signature: str) -> Callable[[Callable[[Arguments], Value]], Callable[[Arguments], Value]]:
    def enter(function: Callable[[Arguments], Value]) -> Callable[[Arguments], Value]:
        _ROWS.append((signature, function))
        return function

    return enter


def named_rows() -> dict[str, Value]:
    """Every name that is there before the library: functions, constants and choices."""
    rows = [*_ROWS, *((f"{name}(x)", _unary(name)) for name in UNARY)]
    table: dict[str, Value] = {name: Choice(name) for name in CHOICES} | CONSTANTS
    for text, function in rows:
        row = make_builtin(text, function)
        table[row.name] = row
    return table


def make_builtin(signature: str, function: Callable[[Arguments], Value]) -> Builtin:
    """A primitive from its signature and the function that builds it; `f(*xs)` takes any number of values."""
    return Builtin(signature, lambda *given: function(Arguments(*given)))


def _unary(name: str) -> Callable[[Arguments], Value]:
    def call(a: Arguments) -> Value:
        x = a.bound["x"]
        if name in ROUNDING and isinstance(x, Tensor) and x.var.type.dtype == "int64":
            return x
        return a.e.apply(OPS[name], [x], [a.at("x")], a.span)

    return call
