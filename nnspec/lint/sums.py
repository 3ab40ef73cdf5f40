"""Sums of what is a mean already, and means and sums of logarithms that lack a minus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.values import Function, Tensor
from nnspec.graph import BATCH, Dim, Node, Shape
from nnspec.graph.types import count, show
from nnspec.lazy import regex
from nnspec.lint.losses import PROBABILITIES
from nnspec.lint.network import Network, Wiring, call_at, library_call
from nnspec.syntax import ast

_BEFORE, _AFTER = regex(r"(?<![\w.])sum\(\s*\Z"), regex(r"\s*\)")
_STAGE = regex(r"->\s*\Z")
_NEXT_STAGE = regex(r"\s*->\s*sum\b(?!\s*\()")
DEEPEST = 8
LAID_OUT = ("reshape", "expand", "cut", "cast", "one_hot")
AVERAGING = ("mean", "sum", *LAID_OUT)
"""What rises with its input."""
BEFORE_LOGARITHM = ("pick", "mul", "sum", "maximum", "add", "sub", *LAID_OUT)
"""What chooses a probability, and what keeps its logarithm finite."""
_BINDS_AS_TIGHTLY, _BINDS_TIGHTER = regex(r"[/%@^]\s*\Z"), regex(r"\s*\^")


def sums_of_means(network: Network) -> Iterator[Diagnostic]:
    """W141: the sum of one number, where that is a loss or metric of the library that is the mean of several."""
    own = ("fn", "sum") in network.definitions.own
    for node in (n for n in network.in_training.made_by("mean") if n.span and not own):
        outer = _summed(node.span) if node.span else None
        called = library_call(node.span, network.definitions) if outer else None
        averaged = tuple(network.training[node.inputs[0]].type.shape[a] for a in node.attributes["axes"])
        if outer and called and BATCH not in averaged and set(averaged) != {1} and _is_the_value(network.in_training, node):
            call, f = called
            better = _as_a_sum(network, outer, call, averaged)
            message = f"`{f.name}` is a mean already, over {count(averaged)} numbers of an example, and the sum of it is itself"
            help_ = f"write `{better.text}` for their sum" if better else f"the numbers are a sum where `{f.name}` is written out"
            yield Diagnostic("W141", message, outer, help=help_, fix=better, level="warning")


def weighted_means(network: Network) -> Iterator[Diagnostic]:
    """W141: a loss or metric of the library that is the mean of several numbers, times as many, as if it had one for each."""
    wiring = network.in_use  # before reshapes are merged with what they reshape
    for mean in (n for n in wiring.made_by("mean") if n.span):
        averaged = tuple(wiring.graph[mean.inputs[0]].type.shape[a] for a in mean.attributes["axes"])
        product = _product_with(wiring, mean, averaged)
        called = library_call(mean.span, network.definitions) if product and _is_the_value(wiring, mean) else None
        if product and product.span and called:
            call, f = called
            numbers = f"over {count(averaged)} numbers of an example"
            message = f"`{f.name}` is a mean already, {numbers}, and is multiplied as a whole with each of {show(averaged)}"
            each = _of_each(call, f)
            help_ = f"each number by itself is `{each}`" if each else f"`nnspec doc {f.name}` has the formula: leave out the mean"
            yield Diagnostic("W141", message, product.span, help=help_, level="warning")


def _product_with(wiring: Wiring, mean: Node, shape: Shape) -> Node | None:
    """What multiplies a number of each example with something of this shape."""
    waiting = [mean.name]
    for place in waiting:
        for reader in wiring.readers[place]:
            others = [wiring.graph[i].type.example for i in reader.inputs if i != place]
            if reader.op.name == "mul" and others == [shape] and set(shape) != {1}:
                return reader
            waiting += [reader.name] if reader.op.name in ("reshape", "neg") else []
    return None


def _of_each(call: ast.Call, f: Function) -> str:
    """The formula of a function that is the mean of it, of the arguments of a call; none where it has names of its own."""
    *others, last = f.definition.body
    whole = last.value if isinstance(last, ast.Return) and all(isinstance(s, ast.Expect) for s in others) else None
    if not (isinstance(whole, ast.Call) and ast.dotted(whole.callee) == "mean"):
        return ""
    given = {a.name or n: a.value for a, n in zip(call.arguments, f.names, strict=False)}
    formula = whole.arguments[0].value.span.text
    return re.sub(r"(?<![\w.])[^\W\d]\w*", lambda m: _in_place(given[m[0]]) if m[0] in given else m[0], formula)


def _in_place(argument: ast.Expr) -> str:
    text = argument.span.one_line
    return text if isinstance(argument, ast.Name | ast.Number | ast.Call) else f"({text})"


def _summed(call: Span) -> Span | None:
    """The `sum(...)` of which a call is all, or the call with the stage `-> sum` behind it."""
    text = call.source.text
    last = max(text.rfind("sum", 0, call.start), 0)
    before, after = _BEFORE.match(text, last, call.start), _AFTER.match(text, call.end)
    if before and after:
        return Span(call.source, before.start(), after.end())
    stage = _NEXT_STAGE.match(text, call.end)
    return Span(call.source, call.start, stage.end()) if stage else None


def _is_the_value(wiring: Wiring, mean: Node) -> bool:
    """Whether a mean is what the call gives, but for its sign, and no root of it."""
    return all(r.op.name == "neg" for r in wiring.readers[mean.name] if r.span == mean.span)


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


def likelihoods_without_a_minus(network: Network) -> Iterator[Diagnostic]:
    """W144: a loss that falls as what a target says becomes less probable; one of the library with a minus before it is meant so."""
    for loss in network.model.losses:
        found = [span for span in _likelihoods(network, network.loss_of(loss)) if not library_call(span, network.definitions)]
        if found:
            place = min(found, key=lambda span: span.start)
            is_all = len(found) == 1 and call_at(place) and not _STAGE.search(place.source.text, 0, place.start)
            fix = Fix(place, f"-{place.text}", safe=False) if is_all else None
            message = "this is lowest where the network finds what is true least probable, and a training makes a loss as low as it can"
            help_ = f"a loss is the negative logarithm: {f'write `{fix.text}`' if fix else 'put a minus before all of it'}"
            yield Diagnostic("W144", message, place, help=help_, fix=fix, level="warning")


def _likelihoods(network: Network, loss: Node) -> Iterator[Span]:
    """Where a target picks or weighs the logarithm of a probability, of which a loss is a mean or a sum."""
    waiting: list[tuple[str, int, Span | None]] = [(loss.name, 1, None)]
    seen = set[tuple[str, int]]()
    while waiting:
        name, sign, place = waiting.pop()
        if (name, sign) not in seen:
            seen.add((name, sign))
            node = network.training[name]
            picked, rises = _log_probability(network.in_training, node)
            if (where := place or (node.span if picked else None)) and sign * rises > 0:
                yield where
            waiting += [(part, sign * way, place or (node.span if told else None)) for part, way, told in _made_of(network, node)]


def _made_of(network: Network, node: Node) -> Iterator[tuple[str, int, bool]]:
    """What a value rises with, or falls with where there is a -1, and whether a target picks or weighs it."""
    learnt = network.in_training.learnt
    match node.op.name, node.inputs:
        case "neg", (value,):
            yield value, -1, False
        case "add" | "sub", (left, right):
            yield left, 1, False
            yield right, -1 if node.op.name == "sub" else 1, False
        case "pick", (value, index):
            yield value, 1, index not in learnt
        case "mul" | "div", (left, right):
            value, factor = (right, left) if node.op.name == "mul" and right in learnt else (left, right)
            yield value, _sign(network, factor), network.training[factor].op.name != "const"
        case op, (value,) if op in AVERAGING:
            yield value, 1, False


def _log_probability(wiring: Wiring, node: Node) -> tuple[bool, int]:
    """Whether a class is picked before the logarithm, and 1 for that of a probability, -1 for its negative, 0 for anything else."""
    if node.op.name in ("log_softmax", "softplus"):
        return False, 1 if node.op.name == "log_softmax" else -1
    name, picked = node.inputs[0] if node.op.name == "log" else "", False
    while name and (made := wiring.graph[name]).op.name in BEFORE_LOGARITHM:
        picked |= any(i in wiring.data and i not in wiring.learnt for i in made.inputs)
        name = next((i for i in made.inputs if i in wiring.learnt), "")
    return picked, int(bool(name) and wiring.graph[name].op.name in PROBABILITIES)


def _sign(network: Network, name: str, depth: int = DEEPEST) -> int:
    """1 for a class, its numbers and what is above 0, -1 for their negatives, 0 where nothing is known: a number may be a reward."""
    node = network.training[name]
    of = [_sign(network, i, depth - 1) for i in node.inputs if depth]
    match node.op.name, of:
        case "const", _:
            value = node.attributes["value"]
            return (value > 0) - (value < 0) if isinstance(value, int | float) else 0
        case "input", _:
            return int(name in network.model.targets and (not node.type.is_float or node.type.rank > 1))
        case "neg", (sign,):
            return -sign
        case "mul" | "div", (left, right):
            return left * right
        case "sub", (1, _):  # 1 - y
            return int(network.training[node.inputs[1]].op.name in LAID_OUT or node.inputs[1] in network.model.targets)
        case op, (sign,) if op in LAID_OUT:
            return sign
    return 0
