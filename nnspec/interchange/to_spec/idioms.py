"""Formulas that have a name in the library: the rules of `idioms.rules`, and attention, as a call is made of calls that stand already."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.interchange.to_spec.attention import attended, guarded
from nnspec.interchange.to_spec.calls import Call, number
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_expression

COMMUTATIVE = ("+", "*")
CLOSE = 1e-6
LAYERS = {"layernorm": ("gamma", "beta"), "rmsnorm": ("gamma",)}
"""Layers that a formula can be, and which of what it is made of are their weights."""
DEFAULTS = {"eps": 1e-5}
Bindings = dict[str, Call]
_ZERO = number(0)


def improved(call: Call) -> Call:
    """The call, or one of the library that says the same."""
    for left, right in _rules().get(call.name, ()):
        for bindings in _match(left, call, {}):
            made = _made(right, bindings, call)
            if made:
                return improved(made)
    return attended(call) or _groupnorm(call) or _floored(call) or guarded(call) or call


def _floored(call: Call) -> Call | None:
    """`x % y`, which has the sign of y, of floats, for which ONNX has only a rest with the sign of x: y more where it has the other."""
    if call.name != "if" or call.inputs[1].name != "+":
        return None
    condition, (rest, y), otherwise = call.inputs[0], call.inputs[1].inputs, call.inputs[2]
    if rest is not otherwise or rest.name != "*" or [c.name for c in rest.inputs] != ["sign", "%"]:
        return None
    [x], (size, by) = rest.inputs[0].inputs, rest.inputs[1].inputs
    below = Call("<", (y, _ZERO)) if y.name != "number" else number(y.value < 0)
    one_of = Call("!=", (Call("<", (rest, _ZERO)), below))
    expected = Call("and", (one_of, Call("not", (Call("==", (rest, _ZERO)),))))
    same = _alike(size, Call("abs", (x,))) and _alike(by, Call("abs", (y,)) if y.name != "number" else number(abs(y.value)))
    return replace(call, name="%", inputs=(x, y)) if same and _alike(condition, expected) else None


def _alike(a: Call, b: Call) -> bool:
    """Whether two calls say the same, down to values that are the very same."""
    if a is b or a.name != b.name:
        return a is b
    if a.name == "number":
        return bool(a.value == b.value)
    return not a.is_leaf and len(a.inputs) == len(b.inputs) and all(map(_alike, a.inputs, b.inputs))


def _groupnorm(call: Call) -> Call | None:
    """Groups of channels normalised as channels are, then a gain and a bias for each channel, as torch exports it."""
    if call.name != "+" or call.inputs[0].name != "*":
        return None
    (scaled, gamma), beta = call.inputs[0].inputs, call.inputs[1]
    norm = scaled.inputs[0] if scaled.name == "reshape" else scaled
    before = norm.inputs[0].inputs[0] if norm.name == "instancenorm" and norm.inputs[0].name == "reshape" else None
    if before is None or before.shape != call.shape or any(p.name != "param" or p.shape != _per_channel(call) for p in (gamma, beta)):
        return None
    if norm.weights and (np.any(norm.weights["gamma"] != 1) or np.any(norm.weights["beta"] != 0)):
        return None
    eps = {n: v for n, v in norm.settings.items() if n == "eps"}
    weights = {n: p.weights[""].reshape(-1) for n, p in (("gamma", gamma), ("beta", beta))}
    return replace(call, name="groupnorm", inputs=(before,), settings={"groups": norm.shape[0], **eps}, weights=weights)


def _per_channel(call: Call) -> tuple[object, ...]:
    return (call.shape[0], *(1,) * (len(call.shape) - 1))


@cache
def _rules() -> Mapping[str, list[tuple[ast.Expr, ast.Call]]]:
    table: dict[str, list[tuple[ast.Expr, ast.Call]]] = {}
    for line in Path(__file__).with_name("idioms.rules").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            left, right = (parse_expression(side.strip()) for side in line.split("=>"))
            assert isinstance(right, ast.Call)
            table.setdefault(_name(left), []).append((left, right))
    return table


def _name(pattern: ast.Expr) -> str:
    if isinstance(pattern, ast.Binary):
        return pattern.operator
    assert isinstance(pattern, ast.Call) and isinstance(pattern.callee, ast.Name)
    return pattern.callee.id


def _match(pattern: ast.Expr, call: Call, bound: Bindings) -> Iterator[Bindings]:
    """Every way in which a pattern fits a call."""
    match pattern:
        case ast.Name():
            if bound.get(pattern.id, call) is call:
                yield {**bound, pattern.id: call}
        case ast.Number():
            if call.name == "number" and math.isclose(call.value, pattern.value, rel_tol=CLOSE):
                yield bound
        case ast.Binary() if call.name == pattern.operator:
            for first, second in (call.inputs, call.inputs[::-1]) if call.name in COMMUTATIVE else (call.inputs,):
                for one in _match(pattern.left, first, bound):
                    yield from _match(pattern.right, second, one)
        case ast.Call() if call.name == _name(pattern) and not call.weights:
            if all(call.settings.get(a.name) == _plain(a.value) for a in pattern.arguments if a.name):
                yield from _match(pattern.arguments[0].value, call.inputs[0], bound)


def _plain(e: ast.Expr) -> Any:
    match e:
        case ast.Number() | ast.Boolean():
            return e.value
        case ast.Unary():
            return -_plain(e.operand)
    raise AssertionError(e)


def _made(right: ast.Call, bindings: Bindings, call: Call) -> Call | None:
    """The right side of a rule; None where what would be its weights are computed."""
    name, x = _name(right), bindings["x"]
    given = {a.name: bindings[a.value.id] for a in right.arguments if a.name and isinstance(a.value, ast.Name)}
    weights = {n: given.pop(n) for n in LAYERS.get(name, ())}
    if any(w.name not in ("param", "list", "state") or w.shape != x.shape[-1:] for w in weights.values()):
        return None
    if any(v.name != "number" for v in given.values()) or x.shape != call.shape:
        return None
    settings = {n: v.value for n, v in given.items() if not math.isclose(v.value, DEFAULTS[n], rel_tol=1e-5)}
    arrays = {n: w.weights[""] if w.weights else np.asarray(w.value, np.float32) for n, w in weights.items()}
    return replace(call, name=name, inputs=(x,), settings=settings, weights=arrays)
