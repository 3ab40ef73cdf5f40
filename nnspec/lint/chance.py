"""Draws that are the same for every example of a batch, where each example has values of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.graph import BATCH, Node, outputs_of
from nnspec.graph.types import show
from nnspec.lint.network import PRODUCTS, Network, Wiring, call_at
from nnspec.syntax import ast

REDUCING = ("sum", "mean", "max", "min")
ONE, SEVERAL, PREDICTED = range(3)
"""What is made of drawn numbers alone: one number, several, or what a network says of them, as it does of an example."""


def draws_that_a_batch_shares(network: Network) -> Iterator[Diagnostic]:
    """W140: numbers of a written shape, where they meet what each example has, or stand for an example themselves."""
    losses = outputs_of(network.training, "loss").values()
    needed = network.training.needed(losses) if network.model.inputs else ()
    for draw in (n for n in network.in_training.made_by("random") if BATCH not in n.type.shape and n.name in needed):
        met = _met(network.in_training, draw, losses)
        if met and draw.span:
            message = f"these numbers, {show(draw.type.shape)}, are drawn once for the whole batch: every example gets the same"
            notes = ((met.span, "here each example has values of its own"),) if met.span and BATCH in met.type.shape else ()
            help_, fix = _for_each(network, draw, draw.span)
            yield Diagnostic("W140", message, draw.span, notes=notes, help=help_, fix=fix, level="warning")


def _met(wiring: Wiring, draw: Node, losses: Collection[str]) -> Node | None:
    """The value of each example that draws go into element by element, or the loss of what a network says of them alone."""
    kinds = {draw.name: _elements(draw)}
    for node in wiring.graph:
        kind = max((kinds[i] for i in node.inputs if i in kinds), default=None)
        if kind is None:
            continue
        if BATCH not in node.type.shape:
            kinds |= _made(wiring, node, kinds, kind)
        elif kind > ONE and (node.op.pointwise or node.op.name == "expand"):
            return node
        if node.name in losses and kinds.get(node.name) == PREDICTED:
            return node
    return None


def _made(wiring: Wiring, node: Node, kinds: dict[str, int], kind: int) -> dict[str, int]:
    """Of which kind a value is that has none of an example, if any: drawn numbers beside weights are part of these."""
    first, is_product = node.inputs[0], node.op.name in PRODUCTS
    if (node.op.name in REDUCING and _elements(wiring.graph[first])) or (is_product and first not in kinds):
        return {}
    if kind == PREDICTED or wiring.learnt.isdisjoint(node.inputs):
        return {node.name: kind if kind == PREDICTED else min(kind, _elements(node))}
    return {node.name: PREDICTED} if is_product else {}


def _elements(node: Node) -> int:
    """ONE or SEVERAL."""
    return SEVERAL if any(size != 1 for size in node.type.shape) else ONE


def _for_each(network: Network, draw: Node, span: Span) -> tuple[str, Fix | None]:
    """How as many are drawn for each example."""
    call = call_at(span)
    match call.arguments[0].value if call and len(call.arguments) == 1 else None:
        case ast.Call(callee=ast.Name(id="shape"), arguments=(like,)):
            better = f"random({like.value.span.text})"
            return f"write `{better}`: drawn like a value of each example, they are its own", Fix(span, better, safe=False)
    name, type = next(iter(network.model.inputs.items()))
    number = f"sum({name})" if type.rank > 1 else name
    better = f"random(expand({number}, {show(draw.type.shape)}))"
    return f"drawn like a value of each example, they are its own: `{better}`", None
