"""Softmax of what a mask sends far below the rest, as in causal attention: it is sent no further than where nothing is left of it.

What is further below becomes a number that is too small to be a normal one, over which onnxruntime takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnspec.graph import Node
from nnspec.interchange.lowering import Lowering
from nnspec.ops import OPS

FAR = 60.0
"""So far below the largest number e^-60 of its weight is left, 10^-26: a sum in float32 has no digit for it."""
OF_MASKS = ("add", "sub", "mul", "div", "expand")
"""What a mask comes through on its way, beside views."""


def _softmax(o: Lowering, x: str, axes: tuple[int, ...]) -> str:
    facet = OPS["softmax"].onnx
    assert callable(facet)
    made = o.origins.get(x)
    if made and o.type(x).dtype == "float32" and _is_masked(o, made.node):
        least = o.node("Sub", o.reduce("ReduceMax", x, axes, True), o.constant(FAR, "float32"))
        x = o.like(x, o.node("Max", x, least))
    return str(facet(o, x, axes))


def _is_masked(o: Lowering, node: Node) -> bool:
    """Whether numbers are chosen far below others, or added to them."""
    left, seen = [node], {node.name}
    while left:
        n = left.pop()
        inputs = [o.graph[i] for i in n.inputs]
        if n.op.name == "where" and any(_is_far(i.constant) for i in inputs[1:]):
            return True
        if n.type.shape and _is_far(o.weights.get(n.name, n.constant)):
            return True
        if n.op.name in OF_MASKS or n.op.view:
            left += [i for i in inputs if i.name not in seen]
            seen |= {i.name for i in inputs}
    return False


def _is_far(numbers: Any) -> bool:
    return numbers is not None and bool(np.min(numbers, initial=0) <= -FAR)


MASKED: Mapping[str, Callable[..., str]] = {"softmax": _softmax}
"""By the name of the op."""
