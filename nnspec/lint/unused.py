"""What has no effect: values, parameters, losses and targets that nothing reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Span, uncommented
from nnspec.elaborate.phases import losses_of
from nnspec.elaborate.values import Row
from nnspec.graph import Graph, Node, outputs_of
from nnspec.lazy import regex
from nnspec.lint.network import Network
from nnspec.syntax import ast

_WORD = regex(r"\w+")
_NUMBER = regex(r"(?<![\w.])\d+(?![\w.])")
UNNAMED = "loss"
"""What a loss is called that has no name, and is no call that has one."""


def unused_values(network: Network) -> Iterator[Diagnostic]:
    """W109: a formula or layer that neither the graph nor a test or expectation reads, and whose name stands only where it is made."""
    wiring, needed, graph = network.in_use, network.needed, network.model.graph
    rows = [r for r in network.model.rows if r.value.var.name not in needed and not wiring.readers[r.value.var.name]]
    used = graph.needed(graph.outputs.values()) if rows else set()
    values = {row.value.var.name for row in rows}
    read = {value for value in values if any(network.words[name] > 1 for name in network.names.get(value, ()))}
    for row in rows:
        value = row.value.var.name
        if value not in read:
            idle = sorted(_made_of(graph, value, used) & network.model.parameters.keys() - needed)
            help_ = "leave it out, or make it an `output` or part of a loss"
            label = f"{_listed(idle)} are never trained" if len(idle) > 1 else ""
            yield Diagnostic("W109", f"nothing uses `{_name(network, row)}`", row.span, label, help=help_, level="warning")


def unused_shares(network: Network) -> Iterator[Diagnostic]:
    """W109: a shared layer whose name stands only where it is made, so that it is never called and has no parameters."""
    model = network.definitions.own.get(("model", network.model.name))
    for share in (s for s in model.definition.body if isinstance(s, ast.Share)) if model else ():
        if network.words[share.name.id] == 1:
            help_ = "leave it out, or let a pipeline go through it"
            yield Diagnostic("W109", f"nothing uses `{share.name.id}`", share.span, help=help_, level="warning")


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{n}`" for n in names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _name(network: Network, row: Row) -> str:
    return next(iter(_names(network, row)), row.name)


def _names(network: Network, row: Row) -> list[str]:
    """What the model calls the value of a row."""
    return network.names[row.value.var.name]


def _made_of(graph: Graph, value: str, used: set[str]) -> set[str]:
    """An unused value and what it is made of, but for what is used."""
    found, waiting = set[str](), [value]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in used:
            found.add(name)
            waiting += graph[name].inputs
    return found


def untrained_parameters(network: Network) -> Iterator[Diagnostic]:
    """W110: a parameter that no loss depends on, or none with a gradient, stays as it starts."""
    losses = outputs_of(network.training, "loss").values()
    needed, used = network.training.needed(losses), network.needed
    declared = {row.value.var.name for row in network.model.rows}  # of which `unused_values` speaks
    for owned in network.model.parameters.values() if losses else ():
        if owned.name not in needed and (owned.name in used or not ({owned.name} & declared or network.in_use.readers[owned.name])):
            node = network.model.graph.nodes.get(owned.name)
            message = f"no loss depends on the parameter `{owned.name}`, so training leaves it as it starts"
            help_ = "let a loss read what it makes, or write it as a number"
            yield Diagnostic("W110", message, node.span if node else owned.span, help=help_, level="warning")
        elif owned.name in needed and (flat := _flat_behind(network, owned.name)):
            message = f"the gradient of the loss for the parameter `{owned.name}` is 0, so training leaves it as it starts"
            help_ = "what jumps has a smooth form: `sigmoid` for a comparison, `softmax` for `argmax`; or write it as a number"
            yield Diagnostic("W110", message, owned.span, notes=_notes(flat), help=help_, level="warning")


def _flat_behind(network: Network, parameter: str) -> list[Node]:
    """Where no gradient comes back from the losses to a parameter: none where it is held back on purpose, or a whole loss is flat."""
    reached = network.reached.values()
    if not all(reached) or any(parameter in names for names in reached):
        return []
    flat = network.in_training.flat([parameter], outputs_of(network.training, "loss").values())
    return [] if any(n.op.name == "stop_gradient" for n in flat) else flat


def _notes(flat: list[Node]) -> tuple[tuple[Span, str], ...]:
    places = dict.fromkeys(n.span for n in flat if n.span and not n.span.source.library)
    return tuple((span, "no gradient goes through this") for span in sorted(places, key=lambda s: s.start)[:1])


def losses_without_effect(network: Network) -> Iterator[Diagnostic]:
    """W111: a loss that no train block minimises, or that no parameter changes."""
    minimised = {n for t in network.trainings for phase in t.phases for n in losses_of(phase, network.model.losses)}
    for name in network.model.losses:
        node = network.loss_of(name)
        wiring = network.in_training
        said = "this loss" if name == UNNAMED else f"the loss `{name}`"
        if node.name not in wiring.learnt and network.model.parameters:
            help_ = _taken_for_numbers(network, node) or "make it a `metric`"
            yield Diagnostic("W111", f"no parameter changes {said}", node.span, help=help_, level="warning")
        elif network.model.parameters and not network.reached[name]:
            message = f"the gradient of {said} is 0, so that no parameter learns from it"
            notes = _notes(wiring.flat(network.model.parameters, [node.name]))
            help_ = "make it a `metric`; a loss such as `cross_entropy` or `bce_logits` changes a little with every logit"
            yield Diagnostic("W111", message, node.span, notes=notes, help=help_, level="warning")
        elif network.trainings and name not in minimised:
            added = "give it a name, `loss a = ...`, and add that" if name == UNNAMED else "add it"
            help_ = f"{added} to a `minimize` line, or make it a `metric`"
            yield Diagnostic("W111", f"no train block minimises {said}", node.span, help=help_, level="warning")


def _taken_for_numbers(network: Network, loss: Node) -> str:
    """Of a model from elsewhere, whose values may be called `297`: what formulas call the numbers of a loss that are such names."""
    words = network.model.words
    numbers = dict.fromkeys(n for n in _NUMBER.findall(loss.span.text if loss.span else "") if n in words)
    return ", and ".join(f"`{n}` is a number here: the model's `{n}` is written `{words[n]}`" for n in numbers)


def unread_inputs(network: Network) -> Iterator[Diagnostic]:
    """W138: an input that nothing reads, and whose name stands only where it is declared."""
    model = network.model
    words = Counter(_WORD.findall(uncommented(model.span.text)))
    for name in model.inputs:
        if name not in network.needed and words[name] == 1 and name in model.spans:
            help_ = "let a formula read it, or leave it out"
            yield Diagnostic("W138", f"nothing reads the input `{name}`", model.spans[name], help=help_, level="warning")


def unread_targets(network: Network) -> Iterator[Diagnostic]:
    """W112: a target that neither a loss nor a metric reads."""
    needed = network.training.needed(outputs_of(network.training, "loss", "metric").values())
    for name in network.model.targets:
        if name not in needed:
            help_ = "let a loss compare an output with it, or leave it out"
            yield Diagnostic("W112", f"no loss reads the target `{name}`", network.model.spans[name], help=help_, level="warning")
