"""What depth does: how far the last convolution sees, and how much of the gradient reaches the first layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.initial import fans
from nnspec.elaborate.report import Facts
from nnspec.elaborate.values import Applied, Owned, is_number
from nnspec.graph import Node
from nnspec.lint.network import Network, Wiring, from_library, name_of
from nnspec.record import dataclass

SLOPE: Mapping[str, float] = {"sigmoid": 1 / 4, "tanh": 1.0}
"""The steepest that a saturating activation is."""
VANISHED, NOTHING = 1 / 50, 1e-6


def sight_smaller_than_the_image(network: Network) -> Iterator[Diagnostic]:
    """W105: positions that each see a part of the image are averaged, and nothing sees all of it."""
    wiring, facts = network.in_use, network.model.facts
    for node in wiring.made_by("avg_pool", "mean", "max"):
        seen = facts.receptive_field(node.inputs[0]) if _is_global(wiring, node) else None
        image = next((p for p in network.model.inputs.values() if seen and p.rank == len(seen) + 2), None)
        last = _last_convolution(wiring, facts, node, seen) if seen and image else None
        if seen and image and last and any(isinstance(n, int) and s < n for s, n in zip(seen, image.shape[2:], strict=True)):
            size, sight = ("x".join(map(str, s)) for s in (image.shape[2:], seen))
            message = f"each position of the last convolution sees {sight} pixels of an image of {size}, and then all are taken together"
            help_ = "more layers, a larger kernel, or a stride or pooling before it let it see more"
            notes = ((last.span, "the last convolution"),) if last.span else ()
            yield Diagnostic("W105", message, node.span, notes=notes, help=help_, level="warning")


def _is_global(wiring: Wiring, node: Node) -> bool:
    """Whether it takes all positions of an image together."""
    if node.op.name == "avg_pool":
        return tuple(node.attributes["kernel"]) == wiring.graph[node.inputs[0]].type.shape[2:]
    rank = wiring.graph[node.inputs[0]].type.rank
    return rank > 2 and set(node.attributes["axes"]) == {*range(2, rank)} and not _meets_positions(wiring, node, rank)


def _meets_positions(wiring: Wiring, node: Node, rank: int) -> bool:
    """Whether what is the same for all positions goes back to each of them, as a normalisation does it."""
    later = (wiring.graph[name].type.shape for name in wiring.graph.dependents([node.name]))
    return any(len(shape) == rank and any(size != 1 for size in shape[2:]) for shape in later)


def _last_convolution(wiring: Wiring, facts: Facts, node: Node, seen: tuple[int, ...]) -> Node | None:
    """The last before a node; beside a shortcut, the one that sees as far."""
    before = wiring.graph.needed(node.inputs)
    found = [p.node for p in reversed(wiring.products.values()) if p.node.op.name == "conv" and p.node.name in before]
    return next((n for n in found if facts.receptive_field(n.name) == seen), found[0] if found else None)


@dataclass(frozen=True)
class Gradient:
    """What is left of the gradient at a value, and what it has passed on the way from the loss."""

    left: float = 1.0
    sigmoid: int = 0
    tanh: int = 0

    def through(self, factor: float, activation: str = "") -> Gradient:
        return Gradient(self.left * factor, self.sigmoid + (activation == "sigmoid"), self.tanh + (activation == "tanh"))

    @property
    def passed(self) -> str:
        """The activations on the way, in words."""
        numbers = {"sigmoid": self.sigmoid, "tanh": self.tanh}
        return " and ".join(f"`{name}` {_times(number)}" for name, number in numbers.items() if number)


def gradients_that_vanish(network: Network) -> Iterator[Diagnostic]:
    """W107: by the slope of each activation and the size of the weights at the start, along the way that leaves most."""
    wiring = network.in_training
    reaching = _gradients(network)
    found = {p: reaching[p.node.name] for p in wiring.products.values() if p.node.name in reaching}
    if not found:
        return
    first, last = min(found, key=lambda p: found[p].left), max(found, key=lambda p: found[p].left)
    share, passed = found[first].left / found[last].left, found[first].passed
    if share < VANISHED and passed:
        part = f"about 1/{1 / share:.0f}" if share > NOTHING else "less than a millionth"
        message = f"{part} of the gradient will reach `{name_of(first)}` at the start: on its way it passes {passed}"
        help_ = "relu has slope 1; a normalisation, a residual connection, or a second loss nearer to it also carries the gradient there"
        notes = ((last.span, "this layer gets all of it"),) if last.span else ()
        yield Diagnostic("W107", message, first.span, notes=notes, help=help_, level="warning")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _gradients(network: Network) -> dict[str, Gradient]:
    """What reaches every value that depends on data, from whatever loss is nearest."""
    wiring, found = network.in_training, {}
    for public, name in network.training.outputs.items():
        if public.startswith("loss"):
            found[name] = Gradient()
    for node in reversed(network.training.nodes.values()):
        if node.name in found:
            reads = wiring.data_of(node)
            there = _back(network, node, found[node.name]) if reads else Gradient()
            for data in reads:
                if data not in found or there.left > found[data].left:
                    found[data] = there
    return found


def _back(network: Network, node: Node, gradient: Gradient) -> Gradient:
    wiring, name = network.in_training, network.in_training.activation(node)
    if name in SLOPE and node.role != "loss":
        return gradient.through(SLOPE[name], name)
    if name == "relu":
        return gradient.through(1 / sqrt(2))
    if node.name in wiring.products:
        return gradient.through(_gain(network.start(wiring.products[node.name])))
    rescales = name == "scan" or (name == "div" and network.training[node.inputs[1]].op.name == "sqrt" and len(wiring.data_of(node)) == 2)
    return Gradient() if rescales else gradient


def _gain(owned: Owned | None) -> float:
    """By how much a layer scales what goes through it, at the start; 1 where that is not known."""
    deviation = _deviation(owned) if owned else None
    return deviation * sqrt(fans(owned.type.shape)[0]) if owned and deviation else 1.0


def _deviation(owned: Owned) -> float | None:
    start, (fan_in, fan_out) = owned.start, fans(owned.type.shape)
    if from_library(start, "he_normal", "he_uniform"):
        return sqrt(2 / fan_in)
    if from_library(start, "xavier_normal", "xavier_uniform"):
        return sqrt(2 / (fan_in + fan_out))
    if isinstance(start, Applied) and all(map(is_number, start.arguments.values())):
        if from_library(start, "normal", "truncated_normal"):
            return float(start.arguments.get("std", 1))
        if from_library(start, "uniform"):
            return float(start.arguments.get("high", 1) - start.arguments.get("low", 0)) / sqrt(12)
    return None
