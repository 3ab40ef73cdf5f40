"""What linear layers make superfluous: each other, a bias, and what is switched off after the last."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.graph import Node, Shape
from nnspec.graph.types import show
from nnspec.lazy import regex
from nnspec.lint.network import Network, Product, Wiring, name_of

MIXING = ("add", "sub", "concat")
_TIMES = regex(r"([\w.]+)\s*\*\s*(\w+)")


def linear_after_linear(network: Network) -> Iterator[Diagnostic]:
    """W101: two linear layers are one. A narrower place between them is a reason, and so is anything else that reads it."""
    wiring = network.in_use
    for product in filter(wiring.is_learnt, wiring.products.values()):
        before, between, way = _before(wiring, product.data)
        if not before or not all(map(wiring.is_learnt, before)) or _factored(product, *before):
            continue
        if _read_once(wiring, way) and not _narrow(wiring, before[0], product, between):
            names, together = "`, `".join(map(name_of, before)), "together they are one linear layer"
            message = f"nothing nonlinear stands between `{names}` and `{name_of(product)}`: {together}"
            fix = _activation_after(before[0].span) if len(before) == 1 else None
            yield Diagnostic("W101", message, product.span, notes=_first(before[0]), fix=fix, level="warning",
                             help="put an activation between them, such as `-> relu`, or leave one of them out")  # fmt: skip


def _before(wiring: Wiring, name: str) -> tuple[list[Product], list[str], list[str]]:
    """The products of one value that another is affine in, the values after them all, and all on the way.

    They may be joined or added to each other, and to that value itself.
    """
    product, way = wiring.origin(name)
    if product:
        return [product], way, way
    node = wiring.graph[way[-1]]
    ends = [wiring.origin(i) for i in wiring.data_of(node)] if node.op.name in MIXING else []
    products = list(dict.fromkeys(p for p, _ in ends if p))
    if len({p.data for p in products}) != 1 or any(p is None and products[0].data not in inner for p, inner in ends):
        return [], way, way
    data = products[0].data
    inside = [v for p, inner in ends for v in (inner if p else inner[: inner.index(data)])]
    return products, way, [*way, *inside]


def _factored(*products: Product) -> bool:
    """Whether one is a convolution of each channel by itself, which does half the work of the other."""
    return any(p.node.attributes.get("groups", 1) > 1 for p in products)


def _read_once(wiring: Wiring, way: list[str]) -> bool:
    return all(len(wiring.readers[name]) == 1 and name not in wiring.public for name in way)


def _narrow(wiring: Wiring, first: Product, last: Product, way: list[str]) -> bool:
    """Whether what comes out has a lower rank than one layer would give."""
    return min(map(wiring.size, way)) < min(wiring.size(first.data), wiring.size(last.node.name))


def _first(before: Product) -> tuple[tuple[Span, str], ...]:
    return ((before.span, "the first of the two"),) if before.span else ()


def _activation_after(stage: Span | None) -> Fix | None:
    """An activation after a stage that a pipeline goes on from."""
    if stage is None or not re.match(r"\s*->", stage.source.text[stage.end :]):
        return None
    return Fix(Span(stage.source, stage.end, stage.end), " -> relu")


def vectors_times_squares(network: Network) -> Iterator[Diagnostic]:
    """W142: a vector of n numbers times the weights of a layer from n to n, element by element."""
    wiring = network.in_training
    for node in wiring.made_by("mul"):
        weight = next((i for i in node.inputs if _is_square(wiring.graph[i])), None)
        vector = next((wiring.graph[i] for i in node.inputs if weight and i in wiring.data), None)
        if weight and vector and node.span and _is_laid_out(wiring, vector, node) and _feeds_a_layer(wiring, node):
            shape, name = wiring.graph[weight].type.shape, weight.rpartition(".")[2]
            message = f"`*` multiplies each of the {shape[0]} rows of `{name}` by this vector, and gives {show(shape)}"
            written = _TIMES.fullmatch(node.span.text)
            better = f"{written[1]} @ {name}" if written and written[2] == name else ""
            fix = Fix(node.span, better, safe=False) if better else None
            help_ = f"the product of a vector and a matrix is `{better or f'x @ {name}'}`"
            yield Diagnostic("W142", message, node.span, help=help_, fix=fix, level="warning")


def _is_square(node: Node) -> bool:
    return node.role == "param" and node.type.rank == 2 and node.type.shape[0] == node.type.shape[1] != 1


def _is_laid_out(wiring: Wiring, vector: Node, product: Node) -> bool:
    """Whether it is a vector of each example that only the product gave another axis."""
    return vector.op.name == "reshape" and vector.span == product.span and wiring.graph[vector.inputs[0]].type.rank == 2


def _feeds_a_layer(wiring: Wiring, node: Node) -> bool:
    """Whether a layer reads it behind an activation, and nothing else does; what is summed up first may be meant."""
    bent = False
    while len(wiring.readers[node.name]) == 1:
        (reader,) = wiring.readers[node.name]
        if reader.name in wiring.products:
            return bent and wiring.products[reader.name].data == node.name
        if not reader.op.pointwise or wiring.data_of(reader) != [node.name]:
            return False
        bent |= wiring.affine_in(reader) is None
        node = reader
    return False


def bias_before_normalisation(network: Network) -> Iterator[Diagnostic]:
    """W106: a mean that is subtracted takes with it what was added alike to all it is the mean of."""
    wiring = network.in_training
    for node in wiring.made_by("sub"):
        if (bias := _taken_away(wiring, node)) and bias not in network.saved:  # whose mean may be saved, too
            span = wiring.graph[bias].span
            message = f"the bias `{bias}` does nothing: the normalisation after it subtracts it again with the mean"
            fix = _without_bias(span)
            help_ = "write `bias = false`; the normalisation has a shift of its own" if fix else "leave it out"
            yield Diagnostic("W106", message, span, notes=_normalised_at(node, span), help=help_, fix=fix, level="warning")


def _taken_away(wiring: Wiring, centred: Node) -> str | None:
    """The parameter that `v - mean(v)` does not depend on, `v` being a sum with it."""
    value, mean = centred.inputs
    seen, chain = wiring.graph[value], _mean_of(wiring, mean, value)
    made = wiring.graph[seen.inputs[0]] if seen.op.name == "reshape" else seen
    if not chain or made.op.name != "add":
        return None
    read = {n.name for name in (value, made.name) for n in wiring.readers[name]} - {*chain, centred.name, value}
    if read or not wiring.public.isdisjoint((value, made.name)):
        return None
    averaged = _spread(wiring.graph[mean].type.shape, seen.type.rank)
    for part in made.inputs:
        parameter = wiring.parameter(part)
        alike = _spread(wiring.graph[part].type.shape, made.type.rank)
        if parameter and averaged <= _seen_otherwise(alike, made.type.shape, seen.type.shape):
            return parameter
    return None


def _seen_otherwise(alike: set[int], shape: Shape, other: Shape) -> set[int]:
    """The axes along which a value is the same everywhere, of another shape that it is seen in: those in front, and all others at once."""
    front = next((i for i, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b), min(len(shape), len(other)))
    rest = alike.issuperset(range(front, len(shape)))
    return {axis for axis in alike if axis < front} | ({*range(front, len(other))} if rest else set())


def _mean_of(wiring: Wiring, name: str, value: str) -> list[str]:
    """The nodes from a value to its mean, or none if it is no mean of it."""
    chain: list[str] = []
    while name != value:
        node = wiring.graph[name]
        if node.op.name not in ("mean", "reshape", "expand"):
            return []
        chain.append(name)
        name = node.inputs[0]
    return chain if any(wiring.graph[n].op.name == "mean" for n in chain) else []


def _spread(shape: Shape, rank: int) -> set[int]:
    """The axes along which a value is the same everywhere when it meets others of that rank."""
    missing = rank - len(shape)
    return {*range(missing), *(missing + axis for axis, size in enumerate(shape) if size == 1)}


def _without_bias(call: Span | None) -> Fix | None:
    """`bias = false` in the call of a layer that takes it."""
    if call is None or not re.match(r"(dense|conv|conv_transpose|depthwise|separable)\(.*\)$", call.text, re.S) or "bias" in call.text:
        return None
    return Fix(Span(call.source, call.end - 1, call.end), ", bias = false)")


def _normalised_at(node: Node, bias: Span | None) -> tuple[tuple[Span, str], ...]:
    return ((node.span, "its mean is subtracted here"),) if node.span and node.span != bias else ()


def dropout_on_the_output(network: Network) -> Iterator[Diagnostic]:
    """W113: what is switched off at random, and not in use, too, with no layer after it that could make up for it."""
    wiring, in_use = network.in_training, network.in_use
    meant = {node.span for node in in_use.made_by("mul") if _is_dropout(in_use, node)}
    for public, name in wiring.graph.outputs.items():
        if public.startswith("output:") and (dropped := _dropped(wiring, name, meant)):
            message = f"the output `{public.removeprefix('output:')}` is switched off at random while training, and no layer comes after"
            help_ = "put the dropout before the last layer, `-> dropout(0.5) -> dense(10)`, or leave it out"
            yield Diagnostic("W113", message, dropped.span, help=help_, level="warning")


def _dropped(wiring: Wiring, name: str, meant: Collection[Span | None]) -> Node | None:
    """The dropout of a value with no product between it and the value, unless it is on the way to another, or is `meant`."""
    waiting, seen = [name], set[str]()
    while waiting:
        node = wiring.graph[waiting.pop()]
        if node.name in seen or node.name in wiring.products or node.op.name == "scan":
            continue
        if _is_dropout(wiring, node) and node.span not in meant and not wiring.graph.dependents([node.name]) & wiring.products.keys():
            return node
        seen.add(node.name)
        waiting += node.inputs
    return None


def _is_dropout(wiring: Wiring, node: Node) -> bool:
    """A product with a truth that is drawn."""
    return node.op.name == "mul" and any(_is_drawn(wiring, i) for i in node.inputs)


def _is_drawn(wiring: Wiring, name: str) -> bool:
    node = wiring.graph[name]
    if node.op.name != "where":
        return False
    chosen = wiring.graph[node.inputs[0]]
    return chosen.op.name == "less" and wiring.graph[chosen.inputs[0]].op.name == "random"
