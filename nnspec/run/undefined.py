"""Why a value or its gradient is no number: the first operation that made it of numbers, what it was given, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import Diagnostic, Span
from nnspec.graph import Graph, Node
from nnspec.graph.types import bind
from nnspec.graph.walk import walk
from nnspec.ops import OPS
from nnspec.ops.loop import order
from nnspec.record import dataclass


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
    """The operation that gave the first value that is no number, the values around it, and what of the graph it was found to spoil.

    Within a loop these are the values of the step that it is `at`, counted from 1.
    """

    node: Node
    values: Mapping[str, Array]
    spoilt: str
    at: int | None = None

    @property
    def _bad(self) -> Array:
        return ~np.isfinite(self.values[self.node.name])

    @property
    def _first(self) -> tuple[int, ...]:
        """Where the first of its values is that is no number."""
        return tuple(int(i) for i in np.argwhere(self._bad)[0])

    @property
    def _step(self) -> str:
        return f", in step {self.at} of the scan" if self.at else ""

    @property
    def grown(self) -> tuple[tuple[Span, str], ...]:
        """A note of where the spec has what gave it, for a number that has grown too large."""
        node, value = self.node, float(self.values[self.node.name][self._first])
        back = " on the way back" if node.role == "backward" else ""
        text = f"the first that is no number{back}: `{node.op.name}` gives {value} here{self._step}"
        return ((node.span, text),) if node.span and not node.span.source.library else ()

    def diagnostic(self, when: str = "") -> Diagnostic | None:
        """E411 or E412, or E401 of an optimizer, where it is the operation's fault; None where a number has grown too large."""
        node, bad = self.node, self._bad
        given = [float(np.broadcast_to(self.values[i], bad.shape)[self._first]) for i in node.inputs] if node.op.name in REASONS else []
        reason = next((r for r in REASONS.get(node.op.name, ()) if r.applies(*given)), None)
        if reason is None:
            return None
        text = reason.text.format(*given)
        label = f"{_share(bad, node)}{self._step}".removeprefix(", ")
        if node.role == "update":
            message = f"the optimizer left weights that are no numbers{when}: there is {text}"
            return Diagnostic("E401", message, node.span, help=reason.help)
        if node.role == "backward":
            return Diagnostic("E412", f"the gradient is no number{when}: the derivative of this has {text}", node.span, label, help=AWAY)
        if self.spoilt != "loss":
            message = f"the gradient is no number{when}: there is {text}; the loss does not choose it, and 0 times its slope is no number"
            return Diagnostic("E412", message, node.span, label, help=reason.help)
        return Diagnostic("E411", f"the loss is no number{when}: there is {text}", node.span, label, help=reason.help)


def undefined(graph: Graph, feeds: Mapping[str, Any], sizes: Mapping[str, int]) -> Undefined | None:
    """What went wrong first, of a graph that gives a loss, its gradients, or new weights; None where all it gives are numbers."""
    with np.errstate(all="ignore"):
        values = walk(graph, feeds, sizes)
        outputs = sorted(graph.outputs.items(), key=lambda o: o[0] != "loss")
        wrong = next(((public, name) for public, name in outputs if not _finite(values[name])), None)
        return _origin(Undefined(graph[wrong[1]], values, wrong[0]), graph, sizes) if wrong else None


def _origin(found: Undefined, graph: Graph, sizes: Mapping[str, int]) -> Undefined:
    """From a value that is no number back to the operation that made it of numbers."""
    node, values = found.node, found.values
    while wrong := [i for i in node.inputs if graph[i].op.name != "const" and not _finite(values[i])]:
        node = graph[next((i for i in wrong if np.isnan(values[i]).any()), wrong[0])]
    found = replace(found, node=node)
    return _in_loop(found, sizes) if node.op is OPS["scan"] else found


def _in_loop(found: Undefined, sizes: Mapping[str, int]) -> Undefined:
    """The same within the first step of a loop that gave what is no number."""
    inputs = [found.values[i] for i in found.node.inputs]
    a = {name: bind(value, sizes) for name, value in found.node.attrs}
    body, carried, rest = a["body"], inputs[: a["carries"]], inputs[a["carries"] :]
    sequences, given = rest[: a["items"]], rest[a["items"] :]
    for t in order(a["length"], a["reverse"]):
        values = body.values(carried, [s[t] for s in sequences], given)
        if wrong := next((n for n in body.body.outputs.values() if not _finite(values[n])), None):
            inner = _origin(replace(found, node=body.body[wrong], values=values, at=t + 1), body.body, sizes)
            return replace(inner, node=replace(inner.node, role=found.node.role))
        carried = [values[n] for public, n in body.body.outputs.items() if public.startswith("carry:")]
    return found


def _finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _share(bad: Array, node: Node) -> str:
    """For how many examples, where the value has a row for each."""
    if not node.type.leads_with_batch or not bad.ndim:
        return ""
    rows: Array = np.atleast_1d(bad.reshape(bad.shape[0], -1).any(axis=1))
    return f"for {int(rows.sum())} of {rows.size} examples"
