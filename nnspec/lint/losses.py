"""What a loss is given: logits where it takes logits, probabilities where it takes those, and classes that are no amounts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.values import Tensor
from nnspec.graph import Node
from nnspec.lint.network import Network, Wiring, call_at, library_call, name_of
from nnspec.rewrite.rules import fits
from nnspec.syntax import ast

PROBABILITIES = ("sigmoid", "softmax")
SQUASHED_AGAIN: Mapping[str, tuple[str, ...]] = {
    "log_softmax": ("softmax", "sigmoid"), "softplus": ("sigmoid", "softmax"), **{name: (name,) for name in PROBABILITIES},
}  # fmt: skip
"""What takes logits, and what makes probabilities of them, first what it does itself: what a loss begins with, and these themselves."""
OF_ONE_HALF = "a probability is above 0.5 where its logit is above 0: write `p > 0.5`"
OF_LOGITS_TOO = ("softmax", "log_softmax", "argmax")
"""What reads logits as well as it reads numbers from 0 to 1 in their place."""
CHOOSING = ("maximum", "pick")
"""What clamps probabilities, or picks one by a class."""
KEPT_FROM_ZERO = ("log", "maximum", "add")
"""The logarithm of probabilities, and what keeps it finite."""
TWO_CLASSES = 2
"""Of which the numbers, 0 and 1, are amounts as well."""
ABOVE = {"greater": (0, 1), "greater_equal": (0, 1), "less": (1, 0), "less_equal": (1, 0)}
"""Which side of a comparison is asked to be above which."""
TAKEN_ABOVE_ZERO = ("precision", "recall", "f1")
"""The metrics of the library that take a logit above 0 for a yes."""
FROM_PROBABILITIES = {"cross_entropy": "nll(log({0}), {1})", "bce_logits": "bce({0}, {1})", "multilabel_bce": "bce({0}, {1})"}
"""The losses of the library that take logits, and how the same is said of probabilities."""
TAKE_LOGITS = (*FROM_PROBABILITIES, "perplexity")


def probabilities_as_logits(network: Network) -> Iterator[Diagnostic]:
    """E410 where a loss or metric of the library gets them, W102 where a formula does: softmax of softmax."""
    wiring = network.in_training
    for node in wiring.graph:
        if (node.role == "loss" or node.op.name in PROBABILITIES) and (made := _squashed(wiring, node)):
            loss = _of_library(network, node.span, TAKE_LOGITS) if node.role == "loss" else ""
            level, code = ("error", "E410") if loss else ("warning", "W102")
            help_, fix = _remedy(network, loss, node, made)
            yield Diagnostic(code, _said(loss, node, made), node.span, notes=_made_here(made), help=help_, fix=fix, level=level)


def logits_without_a_sign(network: Network) -> Iterator[Diagnostic]:
    """W143: a loss of the library that takes logits gets those of a relu behind a layer."""
    wiring = network.in_training
    for node in (n for n in wiring.made_by("log_softmax", "softplus") if n.role == "loss"):
        made, loss = _maker(wiring, wiring.graph[node.inputs[0]]), _of_library(network, node.span, TAKE_LOGITS)
        if loss and wiring.activation(made) == "relu" and made.span and any(wiring.origin(i)[0] for i in wiring.data_of(made)):
            message = f"`{loss}` takes logits, which may be any numbers, and a relu leaves none below 0"
            help_ = "leave out the relu behind the last layer"
            notes = ((node.span, "they go in here"),) if node.span else ()
            fix = _without(network, made)
            guess = fix and replace(fix, safe=False)
            yield Diagnostic("W143", message, made.span, notes=notes, help=help_, fix=guess, level="warning")


def probabilities_above_zero(network: Network) -> Iterator[Diagnostic]:
    """E410 where a metric of the library takes them for logits and so all for a yes, W102 where a formula holds that against a target."""
    wiring = network.in_training
    asked = ((node, made) for node in wiring.made_by(*ABOVE) if (made := _above_zero(wiring, node)))
    for node, made in asked:
        readers = wiring.readers[node.name]
        metric = next((r.span for r in (node, *readers) if _of_library(network, r.span, TAKEN_ABOVE_ZERO)), None)
        if metric:
            name = _of_library(network, metric, TAKEN_ABOVE_ZERO)
            fix = _of_logits(network, metric, made, node.inputs[ABOVE[node.op.name][0]])
            message = f"`{name}` takes logits and is given probabilities: it takes those above 0 for a yes, and all are"
            yield Diagnostic("E410", message, metric, notes=_made_here(made), help=f"write `{fix.text}`" if fix else OF_ONE_HALF, fix=fix)
        elif any(r.op.name == "equal" for cast in readers for r in (cast, *wiring.readers[cast.name])):
            message = "a probability is asked to be above 0, as if it were a logit: that holds for all"
            yield Diagnostic("W102", message, node.span, notes=_made_here(made), help=OF_ONE_HALF, level="warning")


def _above_zero(wiring: Wiring, node: Node) -> Node | None:
    """What made the probabilities that a comparison asks to be above 0."""
    high, low = (wiring.graph[node.inputs[side]] for side in ABOVE[node.op.name])
    made = _maker(wiring, high)
    return made if made.op.name in PROBABILITIES and low.constant == 0 else None


def _maker(wiring: Wiring, node: Node) -> Node:
    """What made the numbers of which a value is a view."""
    while node.op.name in ("reshape", "cut"):
        node = wiring.graph[node.inputs[0]]
    return node


def _made_here(made: Node, what: str = "them") -> tuple[tuple[Span, str], ...]:
    return ((made.span, f"`{made.op.name}` makes {what} here"),) if made.span else ()


def _said(loss: str, node: Node, made: Node) -> str:
    """What a loss makes of what it is given; of classes that exclude each other a sigmoid makes no probabilities."""
    again, subject = SQUASHED_AGAIN[node.op.name][0], f"`{loss}`" if loss else "this"
    if _of_each_class(node, made):
        return f"{subject} takes logits, which may be any numbers, and is given those of a sigmoid, from 0 to 1"
    more = " again" if made.op.name in (again, "exp") else ""
    return f"{subject} takes logits and is given probabilities: it takes the {again} of them{more}"


def _of_each_class(node: Node, made: Node) -> bool:
    """Whether a loss of classes that exclude each other is given a number from 0 to 1 for each."""
    return (node.op.name, made.op.name) == ("log_softmax", "sigmoid")


def _remedy(network: Network, loss: str, node: Node, made: Node) -> tuple[str, Fix | None]:
    """The help and the fix: the logits by their name, or without the stage, or a loss of probabilities."""
    fix = _of_logits(network, node.span, made, node.inputs[0]) if loss else None
    if loss and not fix and _of_each_class(node, made):
        return f"leave the sigmoid out: `{loss}` makes probabilities of logits itself", _without(network, made)
    fix = fix or (_of_probabilities(node.span) if loss else None)
    return f"write `{fix.text}`" if fix else f"give it what goes into the `{made.op.name}`", fix


def _without(network: Network, made: Node) -> Fix | None:
    """Without the stage that made a value, where it stands for this value alone; safe where all that reads it wants logits."""
    graph, span = network.training, made.span
    before = re.search(r"\s*->\s*\Z", span.source.text[: span.start]) if span else None
    if span is None or before is None or span.text != made.op.name or sum(n.span == span and n.op is made.op for n in graph) > 1:
        return None
    wiring = network.in_training
    safe = made.name not in wiring.public and all(n.op.name in OF_LOGITS_TOO for n in wiring.readers[made.name])
    return Fix(Span(span.source, before.start(), span.end), "", safe)


def _squashed(wiring: Wiring, node: Node) -> Node | None:
    """What made the probabilities that a node takes for logits."""
    if node.op.name not in SQUASHED_AGAIN:
        return None
    made = _maker(wiring, wiring.graph[node.inputs[0]])
    by = "softmax" if fits("exp(log_softmax(x))", wiring.graph, made.name) else made.op.name
    return made if by in SQUASHED_AGAIN[node.op.name] else None


def _of_library(network: Network, span: Span | None, names: Collection[str]) -> str:
    """Which of these losses or metrics of the library is called there."""
    _, found = library_call(span, network.definitions) or (None, None)
    return found.name if found and found.name in names else ""


def _of_logits(network: Network, call: Span | None, made: Node, given: str) -> Fix | None:
    """The same of the logits, where the model has a name for them and the call is given no view of theirs."""
    graph, logits = network.training, made.inputs[0]
    name = next((n for n, v in network.model.scope.names.items() if isinstance(v, Tensor) and v.var.name == logits), None)
    return _with_first(call, name) if name and graph[logits].type == graph[given].type else None


def _with_first(span: Span | None, written: str) -> Fix | None:
    """The same call with something else as its first argument, of which `{}` is what stands there."""
    call = call_at(span)
    if span is None or call is None or not call.arguments or call.arguments[0].name:
        return None
    given = call.arguments[0].value.span
    return Fix(span, span.text[: given.start] + written.format(given.text) + span.text[given.end :])


def _of_probabilities(span: Span | None) -> Fix | None:
    """The same loss of probabilities, where the call says nothing but these and the target."""
    call = call_at(span)
    formula = FROM_PROBABILITIES.get(ast.dotted(call.callee) or "") if call else None
    if span is None or call is None or formula is None or len(call.arguments) != 2 or any(a.name for a in call.arguments):
        return None
    return Fix(span, formula.format(*(a.value.span.text for a in call.arguments)))


def log_of_what_may_be_negative(network: Network) -> Iterator[Diagnostic]:
    """W103: the logarithm of what a linear layer or tanh gives, or that itself as a log-probability."""
    wiring = network.in_training
    for node in wiring.graph:
        if node.role == "loss" and (linear := _taken_for_probability(wiring, node)):
            product, made = wiring.origin(linear)[0], wiring.graph[linear]
            if product or made.op.name == "tanh":
                what = "a logarithm is taken" if node.op.name == "log" else "a log-probability is expected"
                source, gives = (name_of(product), "any number") if product else ("tanh", "any number from -1 to 1")
                message = f"{what} of what `{source}` gives, which can be {gives}"
                place = product.span if product else made.span
                notes = ((place, f"{gives} comes out here"),) if place else ()
                of_linear = "a loss of probabilities takes `softmax` or `sigmoid` of it; `cross_entropy` and `bce_logits` take it as it is"
                help_ = of_linear if product else "`sigmoid` in its place makes a probability; `bce_logits` takes what goes into it"
                yield Diagnostic("W103", message, node.span, notes=notes, help=help_, level="warning")


def _taken_for_probability(wiring: Wiring, node: Node) -> str | None:
    """The value of which a node is the logarithm, clamped or picked from, or whose negative is the loss."""
    if node.op.name == "log":
        return wiring.before(node.inputs[0], CHOOSING)
    picked = _picked(wiring, node)
    return picked.inputs[0] if picked else None


def _picked(wiring: Wiring, node: Node) -> Node | None:
    """What a node picks by a class to be the loss with a minus in front, as `nll` does."""
    picked = wiring.graph[node.inputs[0]] if node.op.name == "neg" else None
    fits = picked and picked.op.name == "pick" and {n.op.name for n in wiring.readers[node.name]} == {"mean"}
    return picked if fits else None


def probabilities_without_logarithm(network: Network) -> Iterator[Diagnostic]:
    """W123: a loss of log-probabilities is given the probabilities."""
    wiring = network.in_training
    for node in wiring.graph:
        picked = _picked(wiring, node) if node.role == "loss" else None
        made = wiring.graph[picked.inputs[0]] if picked else None
        if picked and made and made.op.name in PROBABILITIES:
            fix = _with_first(picked.span, "log({})") if made.op.name == "softmax" else None
            help_ = f"write `{fix.text}`" if fix else f"`cross_entropy` takes what goes into the `{made.op.name}`"
            message = "a log-probability is expected and a probability is given, so the loss lies between -1 and 0"
            yield Diagnostic("W123", message, picked.span, notes=_made_here(made, "it"), help=help_, fix=fix, level="warning")


def class_as_an_amount(network: Network) -> Iterator[Diagnostic]:
    """W118: the numbers of three classes or more, or of both of a softmax, are computed with, as if the last were more than the first."""
    wiring = network.in_training
    for node in wiring.made_by("cast"):
        target = network.model.targets.get(node.inputs[0]) if node.type.is_float else None
        if target and ((target.classes or 0) > TWO_CLASSES or _meets_softmax_of_two(wiring, node)):
            name = node.inputs[0]
            notes = ((network.model.spans[name], f"{target.classes} classes"),)
            help_ = (
                f"`cross_entropy(logits, {name})` compares logits with a class; `one_hot({name}, {target.classes})` is a number for each"
            )
            message = f"the class numbers of `{name}` are computed with as if they were amounts"
            yield Diagnostic("W118", message, node.span, notes=notes, help=help_, level="warning")


def _meets_softmax_of_two(wiring: Wiring, node: Node) -> bool:
    """Whether a number is computed with, element by element, and both probabilities of a softmax, or their logarithms."""
    waiting, seen = [node], {node.name}
    while waiting:
        for reader in wiring.readers[waiting.pop().name]:
            if reader.op.pointwise and any(_is_softmax_of_two(wiring, i) for i in reader.inputs if i not in seen):
                return True
            if reader.op.view and reader.name not in seen:
                seen.add(reader.name)
                waiting.append(reader)
    return False


def _is_softmax_of_two(wiring: Wiring, name: str) -> bool:
    made = wiring.graph[wiring.before(name, KEPT_FROM_ZERO)]
    return made.op.name in ("softmax", "log_softmax") and made.type.shape[-1] == TWO_CLASSES
