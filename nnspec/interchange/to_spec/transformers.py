"""Attention of several heads and the block of a transformer, found in calls of layers that are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nnspec.array import Array
from nnspec.interchange.to_spec.attention import MOVES, bound
from nnspec.interchange.to_spec.calls import Call, Place, ordered, uses
from nnspec.record import dataclass

ACT = "gelu_tanh"
"""What the library's block takes where nothing is said."""


def composed(results: Sequence[Call]) -> list[Call]:
    """The results with what the library has as one layer in the place of its parts."""
    calls = ordered(results)
    often = uses(calls, results)
    new: dict[Call, Call] = {}
    reads: dict[Call, int] = {}
    for c in calls:
        call = c.over(*(new[i] for i in c.inputs))
        new[c] = multihead(call) or transformer_block(call, reads) or call
        reads[new[c]] = often[c]
    return [new[r] for r in results]


@dataclass(frozen=True)
class Heads:
    """Parts of what a dense layer gives, [heads, T, d]: the layer, and which of its units each part is made of, [heads, d]."""

    layer: Call
    units: Array

    def weights(self, name: str, bias: bool) -> dict[str, Array]:
        units = self.units.reshape(-1)
        w = {f"{name}.W": self.layer.weights["W"][:, units]}
        return w | ({f"{name}.b": self.layer.weights["b"][units] if "b" in self.layer.weights else np.zeros(len(units))} if bias else {})


def multihead(out: Call) -> Call | None:
    """A dense layer over the heads of an attention whose parts are dense layers of one sequence, as `multihead_attention`."""
    if out.name != "dense":
        return None
    moves, inner = _moves(out.inputs[0])
    if inner.name != "attention" or len(inner.shape) != 3:
        return None
    parts = [_heads(i) for i in inner.inputs]
    if None in parts or not _joins_heads(inner, moves):
        return None
    q, k, v = (p for p in parts if p)
    [x] = q.layer.inputs
    heads, d = q.units.shape
    width = x.shape[-1]
    same = all(p.layer.inputs[0] is x and p.units.shape == (heads, d) for p in (k, v))
    if not same or len(x.shape) != 2 or not width == heads * d == out.settings["units"]:
        return None
    bias = any("b" in layer.weights for layer in (q.layer, v.layer, out))
    # The bias of the keys changes nothing: it raises all fits of a query alike.
    last = Heads(out, np.arange(heads * d)).weights("out", bias)
    weights = q.weights("query", bias) | k.weights("key", False) | v.weights("value", bias) | last
    settings = {"heads": heads, **inner.settings} | ({} if bias else {"bias": False})
    place = Place(out.place.node, out.place.path.rpartition(".")[0])
    return replace(out, name="multihead_attention", inputs=(x,), settings=settings, weights=weights, place=place)


def _moves(call: Call) -> tuple[list[Call], Call]:
    """The changes of shape and order before a value, the first one first, and what they are done to."""
    found: list[Call] = []
    while call.name in MOVES:
        found.insert(0, call)
        call = call.inputs[0]
    return found, call


def _moved(array: Array, moves: Sequence[Call]) -> Array:
    for move in moves:
        match move.name:
            case "transpose":
                array = np.transpose(array, move.settings["axes"])
            case "[]":
                array = array[move.settings["indices"]]
            case _:
                array = array.reshape(bound(move.shape))
    return array


def _heads(part: Call) -> Heads | None:
    """Where each element of a part comes from, found by moving numbers as the elements are."""
    moves, layer = _moves(part)
    if layer.name != "dense" or len(layer.shape) != 2:
        return None
    steps, width = bound(layer.shape)
    found = _moved(np.arange(steps * width).reshape(steps, width), moves)
    if found.ndim != 3 or not np.array_equal(found, found[:, :1] + width * np.arange(steps)[:, None]):
        return None
    return Heads(layer, found[:, 0])


def _joins_heads(attention: Call, moves: Sequence[Call]) -> bool:
    """Whether the heads are laid side by side, step by step."""
    heads, steps, d = bound(attention.shape)
    array = np.arange(heads * steps * d).reshape(heads, steps, d)
    return np.array_equal(_moved(array, moves), array.transpose(1, 0, 2).reshape(steps, heads * d))


def transformer_block(total: Call, reads: Mapping[Call, int]) -> Call | None:
    """h + dense(act(dense(norm(h)))), where h = x + attention(norm(x)), as `transformer_block`."""
    found = _added(total, ("dense", None, "dense", "layernorm"))
    if not found or reads.get(found[0]) != 2:
        return None
    h, (second, act, first, norm_2) = found
    inside = _added(h, ("multihead_attention", "layernorm"))
    if not inside:
        return None
    x, (attention, norm) = inside
    dense = all("b" in layer.weights for layer in (first, second))
    if not dense or act.settings or act.weights or norm.settings or norm_2.settings or "bias" in attention.settings:
        return None
    ffn = {} if first.settings["units"] == 4 * x.shape[-1] else {"ffn": first.settings["units"]}
    settings = {**attention.settings, **ffn} | ({} if act.name == ACT else {"act": act.name})
    named = {"layernorm": norm, "multihead_attention": attention, "layernorm_2": norm_2, "dense": first, "dense_2": second}
    weights = {f"{layer}.{n}": w for layer, call in named.items() for n, w in call.weights.items()}
    return replace(total, name="transformer_block", inputs=(x,), settings=settings, weights=weights)


def _added(total: Call, names: Sequence[str | None]) -> tuple[Call, list[Call]] | None:
    """What a chain of calls of these names, the last one first, is added to that it starts from."""
    if total.name != "+":
        return None
    for kept, added in (total.inputs, total.inputs[::-1]):
        chain = _chain(added, names)
        if chain and chain[-1].inputs[0] is kept:
            return kept, chain
    return None


def _chain(last: Call, names: Sequence[str | None]) -> list[Call] | None:
    """Calls of one value each, the last one first, of these names."""
    chain: list[Call] = []
    for name in names:
        call = chain[-1].inputs[0] if chain else last
        if len(call.inputs) != 1 or (name and call.name != name):
            return None
        chain.append(call)
    return chain
