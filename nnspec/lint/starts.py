"""How weights start: not all alike, and as large as the activation after them needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.initial import initial_values
from nnspec.elaborate.lists import flat
from nnspec.elaborate.values import Applied, Owned
from nnspec.graph import Graph, Node
from nnspec.lazy import regex
from nnspec.lint.network import Network, Product, Wiring, from_library, layer_of

FITTING: Mapping[str, tuple[str, ...]] = {"relu": ("he_normal", "he_uniform"), "sigmoid": ("xavier_normal", "xavier_uniform")}
FITTING = {**FITTING, "tanh": FITTING["sigmoid"]}
MADE_FOR = {init: activation for activation in ("relu", "tanh") for init in FITTING[activation]}

_ONE_NUMBER = regex(r"\(\s*(\d[\w.]*(?:[eE]-?\d+)?)\s*\)\Z")
MEANT = {
    "normal": ("has the mean {0} and the deviation 1", "0, {0}"),
    "truncated_normal": ("has the mean {0} and the deviation 1", "0, {0}"),
    "uniform": ("goes from {0} to 1", "-{0}, {0}"),
}
"""What these inits are with one positive number alone, and what is meant by it elsewhere."""


def equal_weights(network: Network) -> Iterator[Diagnostic]:
    """W104: the units of a hidden layer that start alike compute the same, and get the same gradient."""
    wiring = network.in_training
    for product in wiring.products.values():
        owned = network.start(product)
        if owned and owned.type.rank >= 2 and _alike(network, owned) and _units(owned, product) > 1 and _is_hidden(wiring, product):
            message = f"the {_units(owned, product)} units of `{layer_of(owned.name)}` all start with the same weights"
            span = _written(owned, product) or product.span
            help_ = "let them be drawn: `he_normal`, or `xavier_uniform` before tanh"
            yield Diagnostic("W104", message, span, "and so they stay, or nearly so", help=help_, level="warning")


def _alike(network: Network, owned: Owned) -> bool:
    """Whether a start gives every unit the same weights; what came with a value is not looked at."""
    start = owned.start
    if not isinstance(start, Applied):
        return start is not None and len(set(flat(start))) == 1
    if start.function.of_library:
        return from_library(start, "zeros", "ones", "constant") or _has_no_width(start)
    graph = initial_values(network.definitions, {owned.name: owned}, network.training.dtype).graph
    return owned.name in graph.outputs and _is_one_number(graph, graph[graph.outputs[owned.name]])


def _has_no_width(start: Applied) -> bool:
    """Whether an init of the library is a distribution of one number."""
    given = start.arguments
    between = from_library(start, "uniform") and "low" in given and given["low"] == given.get("high")
    return between or (from_library(start, "normal", "truncated_normal") and given.get("std") == 0)


def _is_one_number(graph: Graph, node: Node) -> bool:
    """Whether a value is the same everywhere, as far as its formula shows."""
    inputs = [graph[i] for i in node.inputs]
    match node.op.name:
        case "const":
            return len(set(flat(node.attributes["value"]))) == 1
        case "mul" if any(i.constant == 0 for i in inputs):
            return True
    spreads = node.op.pointwise or node.op.name in ("expand", "reshape", "size_of")
    return spreads and all(_is_one_number(graph, i) for i in inputs)


def _units(owned: Owned, product: Product) -> int:
    return owned.type.numbers[0 if product.node.op.name == "conv" else 1]


def _is_hidden(wiring: Wiring, product: Product) -> bool:
    """Whether another layer reads it, and nothing but its own weights makes its units differ."""
    later = wiring.graph.dependents([product.node.name]) - {product.node.name}
    branches = (n for n in wiring.after(product.node.name) if n.op.name == "add")
    return bool(later & wiring.products.keys()) and not any(branches)


def init_for_another_activation(network: Network) -> Iterator[Diagnostic]:
    """W108: Xavier before relu, He before tanh or sigmoid; only where the author wrote the init."""
    wiring = network.in_training
    for product in wiring.products.values():
        owned = network.start(product)
        start = owned.start if owned else None
        if owned and isinstance(start, Applied) and from_library(start, *MADE_FOR) and (span := _written(owned, product)):
            after, name = {wiring.activation(n) for n in wiring.after(product.node.name)} & FITTING.keys(), start.name
            if len(after) == 1 and name not in FITTING[activation := after.pop()]:
                better = FITTING[activation][name.endswith("uniform")]
                message = f"`{name}` is made for {MADE_FOR[name]}, and `{layer_of(owned.name)}` is followed by {activation}"
                fix = Fix(span, better) if span.text == name else None
                yield Diagnostic("W108", message, span, help=f"write `{better}`", fix=fix, level="warning")


def deviation_in_place_of_the_mean(network: Network) -> Iterator[Diagnostic]:
    """W128: the one number of `normal(0.01)` is its mean, and that of `uniform(0.1)` where it begins."""
    for start in (o.start for o in network.model.parameters.values()):
        if isinstance(start, Applied) and from_library(start, *MEANT) and (one := _ONE_NUMBER.search(start.span.text)):
            comes, meant = MEANT[start.name]
            better = f"{start.name}({meant.format(one[1])})"
            message = f"`{start.span.text}` {comes.format(one[1])}"
            fix = Fix(start.span, better, safe=False)
            yield Diagnostic("W128", message, start.span, help=f"write `{better}`", fix=fix, level="warning")


def _written(owned: Owned, product: Product) -> Span | None:
    """Where the author wrote how a parameter starts: beside it, or as an argument of its layer, perhaps by another name."""
    start = owned.start
    if not isinstance(start, Applied):
        return None
    if not start.span.source.library:
        return start.span
    call, given = product.span, re.escape(start.span.text)
    found = re.search(rf"\b({start.name})\b|\b{given}\s*=\s*(?!if\b)([^\W\d]\w*)", call.text) if call else None
    return call.part(*found.span(found.lastindex or 0)) if call and found else None
