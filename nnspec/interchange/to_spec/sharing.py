"""Weights that a model uses several times: layers with the same ones are one, and products may be by those of another layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from nnspec.array import Array
from nnspec.graph import Shape
from nnspec.interchange.names import Names
from nnspec.interchange.to_spec.calls import Call, ordered
from nnspec.interchange.to_spec.modules import label

OWNERS = ("dense", "embedding")
SMALLEST = 2  # axes: vectors may be the same by chance, all zeros or ones


def learnt(results: Sequence[Call]) -> list[Call]:
    """The results with parameters in the place of the numbers that are trained, where these are no part of a formula that has a name."""
    new: dict[Call, Call] = {}
    owned: dict[tuple[str, object, Shape], Call] = {}
    for c in ordered(results):
        if c.name == "number" and c.place.path:
            weights = {"": np.full((1,) * len(c.shape), c.value, np.float32)}
            new[c] = owned.setdefault((c.place.path, c.value, c.shape), replace(c, name="param", settings={}, weights=weights))
        else:
            new[c] = c.over(*(new[i] for i in c.inputs))
    return [new[r] for r in results]


def tied(results: Sequence[Call]) -> list[Call]:
    """The results with products by the turned weights of an earlier layer in the place of layers with weights of their own."""
    new: dict[Call, Call] = {}
    turned: dict[bytes, Call] = {}
    for c in ordered(results):
        call = new[c] = c.over(*(new[i] for i in c.inputs))
        if call.name in OWNERS:
            w = call.weights["W"]
            owner = turned.get(_said(w)) if call.name == "dense" else None
            if owner:
                new[c] = _product(call, owner)
            else:
                turned[_said(w.T)] = call
    return [new[r] for r in results]


def _said(array: Array) -> bytes:
    return repr(array.shape).encode() + array.tobytes()


def _product(call: Call, owner: Call) -> Call:
    """`x @ transpose(owner.W)`, and the bias that is left."""
    [x], w = call.inputs, call.weights["W"]
    weight = Call("turned", (owner,), shape=w.shape, batched=False, place=call.place)
    product = replace(call, name="@", inputs=(x, weight), settings={}, weights={})
    if "b" not in call.weights:
        return product
    place = replace(call.place, path=f"{call.place.path}.bias")
    bias = Call("param", weights={"": call.weights["b"]}, shape=w.shape[1:], batched=False, place=place)
    return replace(product, name="+", inputs=(product, bias))


# ---- layers


def shared(results: Sequence[Call], taken: Names) -> list[Call]:
    """The results with layers of the same weights as uses of one."""
    one: dict[Call, tuple[str, Call]] = {}
    for calls in _alike(ordered(results)):
        one |= dict.fromkeys(calls, (_name(calls[0], taken), calls[0]))
    new: dict[Call, Call] = {}
    for c in ordered(results):
        call = c.over(*(new[i] for i in c.inputs))
        new[c] = replace(call, name=one[c][0], settings={}, weights={}, block=None, parts=(), shared=one[c][1]) if c in one else call
    return [new[r] for r in results]


def _alike(calls: Iterable[Call]) -> list[list[Call]]:
    """Layers that do the same with the same weights, several of each."""
    classes: dict[object, list[Call]] = {}
    for c in calls:
        if c.owns and not c.is_leaf and not c.loop and len(c.inputs) == 1 and any(w.ndim >= SMALLEST for w in _weights(c)):
            key = (c.name, c.block, repr(sorted(c.settings.items())), tuple(map(_said, _weights(c))))
            classes.setdefault(key, []).append(c)
    return [found for found in classes.values() if len(found) > 1]


def _weights(call: Call) -> list[Array]:
    return [*call.weights.values(), *(w for part in call.parts for w in _weights(part))]


def _name(call: Call, taken: Names) -> str:
    return taken.give(label(call.place.path, call.name) or f"shared_{call.name}", f"shared_{call.name}")
