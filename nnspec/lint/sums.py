"""Sums of what is a mean already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.values import Tensor
from nnspec.graph import BATCH, Dim, Node
from nnspec.graph.types import count
from nnspec.lint.network import Network, library_call
from nnspec.syntax import ast

_BEFORE, _AFTER = re.compile(r"(?<![\w.])sum\(\s*\Z"), re.compile(r"\s*\)")
_NEXT_STAGE = re.compile(r"\s*->\s*sum\b(?!\s*\()")
_BINDS_AS_TIGHTLY, _BINDS_TIGHTER = re.compile(r"[/%@^]\s*\Z"), re.compile(r"\s*\^")


def sums_of_means(network: Network) -> Iterator[Diagnostic]:
    """W141: the sum of one number, where that is a loss or metric of the library that is the mean of several."""
    own = ("fn", "sum") in network.definitions.own
    for node in (n for n in network.training if n.op.name == "mean" and n.span and not own):
        outer = _summed(node.span) if node.span else None
        called = library_call(node.span, network.definitions) if outer else None
        averaged = tuple(network.training[node.inputs[0]].type.shape[a] for a in node.attributes["axes"])
        if outer and called and BATCH not in averaged and set(averaged) != {1} and _is_the_value(network, node):
            call, f = called
            better = _as_a_sum(network, outer, call, averaged)
            message = f"`{f.name}` is a mean already, over {count(averaged)} numbers of an example, and the sum of it is itself"
            help_ = f"write `{better.text}` for their sum" if better else f"the numbers are a sum where `{f.name}` is written out"
            yield Diagnostic("W141", message, outer, help=help_, fix=better, level="warning")


def _summed(call: Span) -> Span | None:
    """The `sum(...)` of which a call is all, or the call with the stage `-> sum` behind it."""
    text = call.source.text
    last = max(text.rfind("sum", 0, call.start), 0)
    before, after = _BEFORE.match(text, last, call.start), _AFTER.match(text, call.end)
    if before and after:
        return Span(call.source, before.start(), after.end())
    stage = _NEXT_STAGE.match(text, call.end)
    return Span(call.source, call.start, stage.end()) if stage else None


def _is_the_value(network: Network, mean: Node) -> bool:
    """Whether a mean is what the call gives, but for its sign, and no root of it."""
    return all(r.op.name == "neg" for r in network.in_training.readers[mean.name] if r.span == mean.span)


def _as_a_sum(network: Network, outer: Span, call: ast.Call, averaged: Sequence[Dim]) -> Fix | None:
    """So many times the mean: by the size of an argument that has a name, or by their number."""
    names = (ast.dotted(a.value) or "" for a in reversed(call.arguments))
    values = ((n, network.model.scope.names.get(n)) for n in names)
    name = next((n for n, v in values if isinstance(v, Tensor) and v.shape == tuple(averaged)), None)
    number = f"size({name})" if name else str(count(averaged))
    if len(call.arguments) < 2 or not (name or number.isdigit()):
        return None
    text = outer.source.text
    product = f"{number} * {call.span.text}"
    tight = _BINDS_AS_TIGHTLY.search(text, 0, outer.start) or _BINDS_TIGHTER.match(text, outer.end)
    return Fix(outer, f"({product})" if tight else product, safe=False)
