"""Whether what a loss compares has one shape: outputs and targets, logits and classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.remedies import RIGHT_BY_A_THRESHOLD, as_many, fewer_axes
from nnspec.graph import Dim, Graph, Node, Shape, Size
from nnspec.graph.origin import origin
from nnspec.graph.types import count, show
from nnspec.lint.network import Network, Wiring
from nnspec.record import dataclass

MONOTONE = ("neg", "maximum", "log", "softplus", "log_softmax")
"""What a loss makes of a prediction before a product with the target."""


@dataclass(frozen=True)
class Pair:
    """A prediction and what it is compared with, of which `given` is the target or input, as the values of one example."""

    node: Node
    output: str
    shape: Shape
    given: str
    wanted: Shape

    @property
    def repeats(self) -> bool:
        """Whether a number of one side meets several of the other."""
        return not count(self.shape) == count(self.wanted) == count(self.node.type.shape[1:])


def targets_of_another_shape(network: Network) -> Iterator[Diagnostic]:
    """W117 and W119, of each output and the target it is compared with."""
    for pair in (p for p in _pairs(network) if not _told_apart(network, p)):
        yield from _one_for_many(network, pair)
        yield from _alike_by_broadcasting(network, pair)


def _one_for_many(network: Network, pair: Pair) -> Iterator[Diagnostic]:
    """W117: an output with an axis is compared with a target that has none."""
    target = network.model.targets.get(pair.given)
    if target and not target.classes and pair.shape and not pair.wanted:
        message = f"an output of shape {show(pair.shape)} is compared with the target `{pair.given}` of shape []"
        notes = ((network.model.spans[pair.given], "one number for an example"),)
        declared = f"declare `target {pair.given}: {show(pair.shape)}`"
        one = f"`-> squeeze` takes an axis of one away; or {declared}"
        help_ = one if 1 in pair.shape else f"{declared}; or let the last layer give one number"
        yield Diagnostic("W117", message, pair.node.span, notes=notes, level="warning", **_help(network, pair, help_))


def _alike_by_broadcasting(network: Network, pair: Pair) -> Iterator[Diagnostic]:
    """W119: an output and a target of different shapes, of which one is repeated to meet the other."""
    if pair.wanted and pair.repeats:
        output = next((f"`{name}`" for name in network.names[pair.output]), "an output")
        message = f"{output} of shape {show(pair.shape)} and `{pair.given}` of shape {show(pair.wanted)} fit only by broadcasting"
        notes = ((network.model.spans[pair.given], f"{show(pair.wanted)} for an example"),)
        help_ = f"let both have one shape: {show(pair.wanted)} from the last layer, or `{pair.given}: {show(pair.shape)}`"
        yield Diagnostic("W119", message, pair.node.span, notes=notes, level="warning", **_help(network, pair, help_))


def _told_apart(network: Network, pair: Pair) -> bool:
    """Whether the copies of the target meet something else later, each a scale or weight of its own that is not made of the target."""
    graph, compared = network.training, network.made_of(pair.given)
    shape = pair.node.type.shape
    copied = [-k for k in range(1, len(shape)) if shape[-k] != _size(pair.wanted, -k)]
    waiting = [pair.node]
    while waiting:
        for reader in (r for r in network.in_training.readers[waiting.pop().name] if r.op.pointwise):
            others = (graph[i].type.shape for i in reader.inputs if i not in compared)
            if any(_size(other, axis) == shape[axis] for other in others for axis in copied):
                return True
            waiting.append(reader)
    return False


def _size(shape: Shape, axis: int) -> Dim:
    """Along an axis counted from the end; 1 where there is none, as broadcasting takes it."""
    return shape[axis] if -axis <= len(shape) else 1


def _help(network: Network, pair: Pair, otherwise: str) -> dict[str, Any]:
    """What was forgotten where the output has an axis too many, as that of the steps of a sequence, or else other help."""
    too_many = len(pair.shape) > max(1, len(pair.wanted)) or (not pair.wanted and any(isinstance(d, Size) for d in pair.shape))
    forgotten = fewer_axes(network.training, pair.output) if too_many else {}
    return forgotten or {"help": otherwise}


def _pairs(network: Network) -> Iterator[Pair]:
    """What losses and metrics subtract from each other or, as those of probabilities do, multiply."""
    wiring, graph = network.in_training, network.training
    learnt = wiring.learnt & wiring.data
    of_targets = graph.dependents(network.model.targets) - graph.dependents(network.model.inputs)
    compared = (n for n in wiring.made_by("sub", "mul") if n.role == "loss" or not of_targets.isdisjoint(n.inputs))
    for node in compared:
        sides = tuple(_unaligned(wiring, name) for name in node.inputs)
        for output, other in (sides, sides[::-1]):
            given = _given(network, other, node, of_targets)
            if given and output in learnt and (node.op.name == "sub" or _is_prediction(wiring, output)):
                yield Pair(node, output, _shape(wiring, output), given, _shape(wiring, other))


def _given(network: Network, name: str, node: Node, of_targets: set[str]) -> str | None:
    """The target that a value is computed from; in a loss, also the input that it is, which an autoencoder is to give."""
    if name in network.model.inputs and node.role == "loss" and node.op.name == "sub":
        return name
    return min(t for t in network.model.targets if name in network.made_of(t)) if name in of_targets else None


def _is_prediction(wiring: Wiring, name: str) -> bool:
    """Whether it is what a layer gives, or its logarithm, and not an error or a weight."""
    return wiring.origin(wiring.before(name, MONOTONE))[0] is not None


def _unaligned(wiring: Wiring, name: str) -> str:
    """A value without the axes of one that it was given in front to meet another."""
    node = wiring.graph[name]
    before = node.inputs[0] if node.op.name == "reshape" else name
    shape, inner = _shape(wiring, name), _shape(wiring, before)
    ones = len(shape) - len(inner)
    return before if ones > 0 and shape == (*(1,) * ones, *inner) else name


def _shape(wiring: Wiring, name: str) -> Shape:
    return wiring.graph[name].type.shape[1:]


def more_logits_than_classes(network: Network) -> Iterator[Diagnostic]:
    """W120: numbers for classes that the target does not have."""
    wiring, targets = network.in_training, network.model.targets
    for node in wiring.made_by("pick"):
        if node.inputs[0] in wiring.data and node.inputs[1] in targets:
            have, classes = wiring.graph[node.inputs[0]].type.shape[-1], targets[node.inputs[1]].classes
            if classes and isinstance(have, int) and have > classes:
                yield _too_many(network, node, have, classes)


def _too_many(network: Network, node: Node, have: int, classes: int) -> Diagnostic:
    graph, (logits, target) = network.training, node.inputs
    notes = (*_size_comes_from(graph, logits, -1, f"{have} numbers are made here"), (network.model.spans[target], f"{classes} classes"))
    message = f"{have} logits for the {classes} classes of `{target}`: no example is of the other {have - classes}"
    more = as_many(graph, logits, -1, classes) or {"help": f"declare `target {target}: class({have})`"}
    return Diagnostic("W120", message, node.span, notes=notes, level="warning", **more)


def _size_comes_from(graph: Graph, value: str, axis: int, text: str) -> tuple[tuple[Span, str], ...]:
    """A second label where the numbers along an axis come from, in the user's own source."""
    found = origin(graph, value, axis)
    return ((found.span, text),) if found and not found.span.source.library else ()


def largest_of_one(network: Network) -> Iterator[Diagnostic]:
    """W121: the position of the largest of one number is the first, whatever the number; so an accuracy of one output counts class 0."""
    wiring = network.in_training
    for node in wiring.made_by("argmax"):
        axis = node.attributes.get("axis")
        if axis is not None and node.inputs[0] in wiring.data and wiring.graph[node.inputs[0]].type.shape[axis] == 1:
            notes = _size_comes_from(wiring.graph, node.inputs[0], axis, "one number is made here")
            message = "the largest of one number is taken: that is class 0 for every example"
            yield Diagnostic("W121", message, node.span, notes=notes, help=RIGHT_BY_A_THRESHOLD, level="warning")


def softmax_of_one(network: Network) -> Iterator[Diagnostic]:
    """W124: softmax over an axis of one number, as behind `dense(1)`."""
    wiring = network.in_training
    for node in wiring.made_by("softmax", "log_softmax"):
        axes = node.attributes["axes"] if node.name in wiring.data else ()
        if axes and count(node.type.shape[axis] for axis in axes) == 1:
            notes = _size_comes_from(wiring.graph, node.inputs[0], axes[-1], "one number is made here")
            message = "the softmax of one number is 1, whatever the number: nothing is learnt through it"
            help_ = "`sigmoid` makes a probability of one number; softmax shares 1 among two or more"
            fix = Fix(node.span, "sigmoid", safe=False) if node.span and node.span.text == "softmax" else None
            yield Diagnostic("W124", message, node.span, notes=notes, help=help_, fix=fix, level="warning")
