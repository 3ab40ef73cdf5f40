"""Attention, found in its formula: softmax(q kᵀ / √d) v, with its scale and mask wherever an exporter puts them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph.types import bind, size_names
from nnspec.interchange.to_spec.calls import INFINITE, Call, number
from nnspec.interchange.to_spec.values import transposed

COMPARISONS = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
ANY_LENGTH = 5
MOVES = ("reshape", "flatten", "transpose", "[]")
"""Calls that lay the same elements otherwise, or take some."""
HIDDEN = -1e8
"""A fit below this is as good as none."""


def attended(call: Call) -> Call | None:
    """`probabilities @ values` as a call of `attention`, where it is that."""
    if call.name != "@":
        return None
    weights, values = _unguarded(call.inputs[0]), call.inputs[1]
    if weights.name != "softmax" or weights.settings:
        return None
    fit, causal = _unmasked(weights.inputs[0])
    fit, scale = _unscaled(fit)
    if fit.name != "@":
        return None
    (q, of_q), (k, of_k) = (_unscaled(i) for i in fit.inputs)
    d = q.shape[-1]
    if not isinstance(d, int):
        return None
    factor = scale * of_q * of_k * math.sqrt(d)
    scaled = q if math.isclose(factor, 1, rel_tol=1e-5) else _multiplied(q, factor)
    if scaled is None:
        return None
    rank = len(k.shape)
    keys = transposed(k, (*range(rank - 2), rank - 1, rank - 2))
    settings = {"causal": True} if causal else {}
    return None if causal is None else replace(call, name="attention", inputs=(scaled, keys, values), settings=settings)


def _unguarded(call: Call) -> Call:
    """Probabilities, for which torch has zeros where all is hidden and they are no numbers; no mask that is found here hides all."""
    if call.name != "if":
        return call
    condition, then, otherwise = call.inputs
    if condition.name == ">" and then.inputs and then.inputs[0] is condition.inputs[0] and _is(condition.inputs[1], HIDDEN):
        return then if _is(otherwise, 0) else call
    return otherwise if condition.name == "!=" and set(condition.inputs) == {otherwise} and _is(then, 0) else call


def _is(call: Call, value: float) -> bool:
    return call.name == "number" and bool(call.value == value)


def guarded(call: Call) -> Call | None:
    """Where all is hidden by minus infinity there are no probabilities, and torch has zeros for them: they are zero wherever it hides."""
    probabilities = _unguarded(call)
    if probabilities is call or probabilities.name != "softmax" or call.inputs[0].name != "!=" or not _hides(probabilities.inputs[0]):
        return None
    [fits] = probabilities.inputs
    seen = replace(call, name=">", inputs=(fits, number(HIDDEN)), dtype="bool")
    return replace(call, inputs=(seen, probabilities, number(0)))


def _hides(fits: Call) -> bool:
    """Whether there is minus infinity in what is added up."""
    return INFINITE in fits.settings or (fits.name in ("+", "if", *MOVES) and any(map(_hides, fits.inputs)))


def _multiplied(call: Call, factor: float) -> Call | None:
    """The same times a number, where that can be in the weights it is made of: an exporter may have put its inverse there."""
    if call.name == "dense":
        return replace(call, weights={n: w * np.asarray(factor, w.dtype) for n, w in call.weights.items()})
    inner = _multiplied(call.inputs[0], factor) if call.name in MOVES else None
    return inner and call.over(inner)


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
            array = _constant(mask)
            if array is not None and not fit.is_leaf:
                return fit, None if np.any((array != 0) & (array > HIDDEN)) else _is_causal(array < HIDDEN)
    if call.name == "if":
        condition, yes, no = call.inputs
        array = _constant(condition)
        if array is not None and yes.name == "number" and yes.value < HIDDEN:
            return no, _is_causal(array != 0)
        if array is not None and no.name == "number" and no.value < HIDDEN:
            return yes, _is_causal(array == 0)
    return call, False


def _constant(mask: Call) -> Array | None:
    """What a mask is that no data decides, sizes known only at run time being some number."""
    if mask.name in ("param", "state"):
        return mask.weights[""]
    if mask.name in ("list", "number"):
        return np.asarray(mask.value)
    if mask.name == "positions":
        return np.arange(bound(mask.shape)[0])
    inputs = [_constant(i) for i in mask.inputs]
    known = [i for i in inputs if i is not None]
    if len(known) < len(inputs) or mask.batched:
        return None
    match mask.name:
        case "reshape" | "flatten":
            return known[0].reshape(bound(mask.shape))
        case "[]":
            return np.asarray(known[0][bound(mask.settings["indices"])])
        case "not":
            return np.logical_not(known[0])
        case "if":
            return np.where(*known)
    compare = COMPARISONS.get(mask.name)
    return compare(*known) if compare else None


def bound(sizes: Any) -> Any:
    """Sizes, or indices up to them, with some number for those known only at run time."""
    if isinstance(sizes, tuple):
        return tuple(map(bound, sizes))
    if isinstance(sizes, slice):
        return slice(bound(sizes.start), bound(sizes.stop))
    return bind(sizes, dict.fromkeys(size_names((sizes,)), ANY_LENGTH))


def _is_causal(hidden: Array) -> bool | None:
    """Whether of a square just what lies above its diagonal is hidden."""
    square = hidden.reshape(hidden.shape[-2:]) if hidden.ndim >= 2 and hidden.size == hidden.shape[-1] * hidden.shape[-2] else None
    if square is None or square.shape[0] != square.shape[1]:
        return None
    return True if np.array_equal(square, ~np.tri(square.shape[0], dtype=bool)) else None
