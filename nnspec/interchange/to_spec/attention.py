"""Attention, found in its formula: softmax(q kᵀ / √d) v, with its scale and mask wherever an exporter puts them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nnspec.interchange.lowering import Array
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.values import transposed

HIDDEN = -1e8
"""A fit below this is as good as none."""


def attended(call: Call) -> Call | None:
    """`probabilities @ values` as a call of `attention`, where it is that."""
    if call.name != "@" or call.inputs[0].name != "softmax" or call.inputs[0].settings:
        return None
    weights, values = call.inputs
    fit, causal = _unmasked(weights.inputs[0])
    fit, scale = _unscaled(fit)
    if fit.name != "@":
        return None
    (q, of_q), (k, of_k) = (_unscaled(i) for i in fit.inputs)
    d = q.shape[-1]
    if not isinstance(d, int) or not math.isclose(scale * of_q * of_k, 1 / math.sqrt(d), rel_tol=1e-5):
        return None
    rank = len(k.shape)
    keys = transposed(k, (*range(rank - 2), rank - 1, rank - 2))
    settings = {"causal": True} if causal else {}
    return None if causal is None else replace(call, name="attention", inputs=(q, keys, values), settings=settings)


def _unscaled(call: Call) -> tuple[Call, float]:
    """What a value is before it is multiplied by a number, and the number; changes of order lie in between."""
    if call.name == "*" and (factor := next((i for i in call.inputs if i.name == "number"), None)):
        other = call.inputs[call.inputs[0] is factor]
        inner, scale = _unscaled(other)
        return inner, scale * factor.value
    if call.name == "/" and call.inputs[1].name == "number":
        inner, scale = _unscaled(call.inputs[0])
        return inner, scale / call.inputs[1].value
    if call.name == "transpose":
        inner, scale = _unscaled(call.inputs[0])
        return transposed(inner, call.settings["axes"]), scale
    return call, 1.0


def _unmasked(call: Call) -> tuple[Call, bool | None]:
    """The fits before a mask, and whether it hides what comes later; None where it hides something else."""
    if call.name == "+":
        for fit, mask in (call.inputs, call.inputs[::-1]):
            hidden = _of_constant(mask)
            if hidden is not None and not fit.is_leaf:
                return fit, _is_causal(hidden < HIDDEN, np.any((hidden != 0) & (hidden > HIDDEN)))
    if call.name == "if":
        condition, yes, no = call.inputs
        if yes.name == "number" and yes.value < HIDDEN:
            return no, _hides_later(condition, True)
        if no.name == "number" and no.value < HIDDEN:
            return yes, _hides_later(condition, False)
    return call, False


def _hides_later(condition: Call, hidden: bool) -> bool | None:
    if condition.name == "reshape":
        return _hides_later(condition.inputs[0], hidden)
    if condition.name == "not":
        return _hides_later(condition.inputs[0], not hidden)
    if condition.name in ("==", "!=") and condition.inputs[1].name == "number" and condition.inputs[1].value == 0:
        return _hides_later(condition.inputs[0], hidden != (condition.name == "=="))
    shown = _of_constant(condition)
    return None if shown is None else _is_causal((shown != 0) == hidden, False)


def _of_constant(mask: Call) -> Array | None:
    """The whole array of a mask that is constant, or of which as much is taken as there are steps."""
    while mask.name == "[]" and all(isinstance(i, slice) and i.start is None for i in mask.settings["indices"]):
        mask = mask.inputs[0]
    while mask.name in ("reshape", "flatten"):
        mask = mask.inputs[0]
    if mask.name == "list":
        return np.asarray(mask.value)
    return mask.weights[""] if mask.name in ("param", "state") else None


def _is_causal(hidden: Array, more: object) -> bool | None:
    """Whether of a square just what lies above its diagonal is hidden."""
    square = hidden.reshape(hidden.shape[-2:]) if hidden.ndim >= 2 and hidden.size == hidden.shape[-1] * hidden.shape[-2] else None
    if more or square is None or square.shape[0] != square.shape[1]:
        return None
    return True if np.array_equal(square, ~np.tri(square.shape[0], dtype=bool)) else None
