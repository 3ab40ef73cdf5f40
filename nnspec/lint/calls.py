"""Calls and comparisons that say something else than is probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nnspec.diagnostics import Diagnostic, Fix, Span, uncommented
from nnspec.elaborate import remedies
from nnspec.graph import Graph, Node
from nnspec.graph.types import show
from nnspec.lint.network import Network, call_at
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_piece

TRUE_OF_ITSELF = {"less_equal": True, "greater_equal": True, "equal": True, "less": False, "greater": False, "not_equal": False}
"""Comparisons, and what they are where both sides are one value."""
OF_WHOLE_NUMBERS = ("equal", "not_equal", "sub")
"""What is asked of a value and itself on purpose where that may be no number."""


def weights_of_their_own(network: Network) -> Iterator[Diagnostic]:
    """W122: a model that is called several times, and has other weights each time; calls that have a name of their own are meant so."""
    for kind, name in network.definitions.own:
        calls = _calls(network, name) if kind == "model" else []
        yield from (_apart(name, calls[0], other) for other in calls[1:])


def _calls(network: Network, name: str) -> list[Span]:
    """Where a model is called that gets parameters there; each place once, as those in a `repeat` are meant to be apart."""
    owners = (row.span for row in network.model.rows if any(re.match(rf"{name}(_\d+)?\.", owned) for owned in row.owned))
    said = ((span, uncommented(span.text)) for span in dict.fromkeys(owners))
    return [s.part(m.start(), m.end()) for s, text in said for m in re.finditer(rf"\b{name}\b", text)]


def _apart(name: str, first: Span, other: Span) -> Diagnostic:
    shared = name.lower() if name.lower() != name else f"one_{name}"
    message = f"this call of `{name}` has weights of its own: it learns nothing of what the other does"
    help_ = f"`share {shared} = {name}` gives all calls of `{shared}` the same; where they are to differ, name them: `{name} as other`"
    return Diagnostic("W122", message, other, notes=((first, "the other call"),), help=help_, level="warning")


def channels_before_units(network: Network) -> Iterator[Diagnostic]:
    """W129: `conv(1, 8, 3)` on one channel has one unit, whose kernel is 8 by 8; elsewhere the channels that come in are said first."""
    for product in network.in_training.products.values():
        owned, span = network.start(product), product.span
        alike = owned and owned.type.rank > 2 and len(set(owned.type.shape[:2])) == 1
        numbers = remedies.channels_before_units(span.text) if span and alike else None
        if span and numbers:
            layer, units, kernel, stride = numbers.groups()
            place = span.part(numbers.start(), numbers.end())
            count = f"{units} unit{'s' * (units != '1')}"
            message = f"`{layer}({units}, {kernel}, {stride})` has {count}, a kernel of {kernel}, and a stride of {stride}"
            better, help_ = remedies.without_channels(numbers)
            yield Diagnostic("W129", message, place, help=help_, fix=Fix(place, better, safe=False), level="warning")


def derivatives_of_nothing(network: Network) -> Iterator[Diagnostic]:
    """W131: `grad(x, u)`, where x does not depend on u; the derivative of a derivative may well be 0."""
    graph, values = network.model.graph, {name: value for value, names in network.names.items() for name in names}
    derived = {r.value.var.name for r in network.model.rows if "grad(" in r.span.text}
    zeros = (n for n in network.in_use.made_by("expand") if graph[n.inputs[0]].constant == 0)  # what a derivative by nothing is made as
    for node in (n for n in zeros if n.span and network.model.span.covers(n.span)):
        call = call_at(node.span) if node.span and node.span.text.startswith("grad(") else None
        y, x = (ast.dotted(a.value) or "" for a in call.arguments) if call and len(call.arguments) == 2 else ("", "")
        if node.span and y in values and x in values and values[y] not in derived and not _depends(graph, values[y], values[x]):
            other = f"grad({x}, {y})" if _depends(graph, values[x], values[y]) else ""
            message = f"`{y}` does not depend on `{x}`, so that this derivative is 0"
            help_ = "what is differentiated comes first, then by what" + (f": `{other}`" if other else "")
            fix = Fix(node.span, other, safe=False) if other else None
            yield Diagnostic("W131", message, node.span, help=help_, fix=fix, level="warning")


def _depends(graph: Graph, value: str, on: str) -> bool:
    return value in graph.dependents([on])


def compared_with_itself(network: Network) -> Iterator[Diagnostic]:
    """W145: a comparison that is the same everywhere; of the positions along two axes one has to be a column, as a mask is a matrix."""
    graph = network.training
    for node in (n for n in network.in_training.made_by(*TRUE_OF_ITSELF, "sub") if n.inputs[0] == n.inputs[1]):
        one = graph[node.inputs[0]]
        if node.span and not node.span.source.library and not (one.type.is_float and node.op.name in OF_WHOLE_NUMBERS):
            text, positions = node.span.one_line, one.op.name == "iota"
            what = "positions are compared with themselves" if positions else "a value is compared with itself"
            message = f"{what}: `{text}` is {str(TRUE_OF_ITSELF.get(node.op.name, 0)).lower()} everywhere"
            more = _as_a_column(node, one) if positions else {"help": "one of the two sides is to be another value"}
            yield Diagnostic("W145", message, node.span, level="warning", **more)


def _as_a_column(node: Node, positions: Node) -> dict[str, Any]:
    """How each position along one axis meets each along the other."""
    assert node.span
    match parse_piece(node.span.text):
        case ast.Binary(left=left):
            column = f"reshape({left.span.text}, [{positions.type.shape[0]}, 1])"
            better = column + node.span.text[left.span.end :]
            help_ = f"both sides are {show(positions.type.shape)}; a column meets a row in a matrix: `{' '.join(better.split())}`"
            return {"help": help_, "fix": Fix(node.span, better, safe=False)}
    return {}
