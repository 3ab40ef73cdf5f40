"""Why a value or its gradient is no number: the first operation that made it of numbers, what it was given, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnspec.diagnostics import Diagnostic
from nnspec.graph import Graph, Node
from nnspec.graph.walk import walk
from nnspec.record import dataclass

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Reason:
    """What an operation cannot do: in words, for the numbers it was given; and what to write instead."""

    applies: Callable[..., bool]
    text: str
    help: str


REASONS: Mapping[str, tuple[Reason, ...]] = {
    "log": (
        Reason(lambda x: x == 0, "a logarithm of 0", "keep it above zero, `log(max(p, 1e-7))`, or give the loss logits"),
        Reason(lambda x: x < 0, "a logarithm of {0:.3g}", "a logarithm takes what is positive: a `softmax`, a `sigmoid`, e to a power"),
    ),
    "div": (Reason(lambda x, y: y == 0, "a division of {0:.3g} by 0", "add a small number to the denominator: `x / (y + 1e-8)`"),),
    "sqrt": (Reason(lambda x: x < 0, "a square root of {0:.3g}", "keep it above zero: `sqrt(max(x, 1e-12))`"),),
    "pow": (
        Reason(lambda x, y: x == 0 and y < 0, "0 to the power of {1:.3g}", "add a small number to the base"),
        Reason(lambda x, y: x < 0, "{0:.3g} to the power of {1:.3g}", "a base below 0 takes whole powers only"),
    ),
    "exp": (Reason(lambda x: x > 80, "e to the power of {0:.3g}", "bound it first, `exp(min(x, 50))`, or subtract the largest from all"),),
}  # fmt: skip
"""By operation; what is none of these is a number that has grown too large."""
AWAY = "the slope is infinite or undefined there: keep away from it, as `sqrt(max(x, 1e-12))` and `log(max(p, 1e-7))` do"


@dataclass(frozen=True)
class Undefined:
    """The operation that gave the first value that is no number, the values around it, and whether the loss itself is one still."""

    node: Node
    values: Mapping[str, Array]
    spares_the_loss: bool

    def diagnostic(self, when: str = "") -> Diagnostic | None:
        """E411 or E412, where it is the operation's fault; None where a number has grown too large."""
        node, bad = self.node, ~np.isfinite(self.values[self.node.name])
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        given = [float(np.broadcast_to(self.values[i], bad.shape)[at]) for i in node.inputs] if node.op.name in REASONS else []
        reason = next((r for r in REASONS.get(node.op.name, ()) if r.applies(*given)), None)
        if reason is None:
            return None
        text, share = reason.text.format(*given), _share(bad, node)
        if node.role == "backward":
            return Diagnostic("E412", f"the gradient is no number{when}: the derivative of this has {text}", node.span, share, help=AWAY)
        if self.spares_the_loss:
            message = f"the gradient is no number{when}: there is {text}; the loss does not choose it, and 0 times its slope is no number"
            return Diagnostic("E412", message, node.span, share, help=reason.help)
        return Diagnostic("E411", f"the loss is no number{when}: there is {text}", node.span, share, help=reason.help)


def undefined(graph: Graph, feeds: Mapping[str, Any], sizes: Mapping[str, int]) -> Undefined | None:
    """What went wrong first, of a graph that gives a loss, its gradients, or both; None where all it gives are numbers."""
    with np.errstate(all="ignore"):
        values = walk(graph, feeds, sizes)
    outputs = sorted(graph.outputs.items(), key=lambda o: o[0] != "loss")
    wrong = next(((public, name) for public, name in outputs if not _finite(values[name])), None)
    return Undefined(_origin(graph, values, wrong[1]), values, wrong[0] != "loss") if wrong else None


def _origin(graph: Graph, values: Mapping[str, Array], name: str) -> Node:
    """From a value that is no number back to the operation that made it of numbers."""
    while True:
        wrong = [i for i in graph[name].inputs if graph[i].op.name != "const" and not _finite(values[i])]
        if not wrong:
            return graph[name]
        name = next((i for i in wrong if np.isnan(values[i]).any()), wrong[0])


def _finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _share(bad: Array, node: Node) -> str:
    """For how many examples, where the value has a row for each."""
    if not node.type.has_batch or not bad.ndim:
        return ""
    rows: Array = np.atleast_1d(bad.reshape(bad.shape[0], -1).any(axis=1))
    return f"for {int(rows.sum())} of {rows.size} examples"
