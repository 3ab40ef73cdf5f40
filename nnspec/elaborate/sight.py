"""What one position of an image sees of the image: receptive fields, from operation to operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import gcd, lcm

from nnspec.graph import Dim, Graph, Node, Shape
from nnspec.graph.types import Indivisible, count
from nnspec.record import dataclass

WINDOWS = ("conv", "max_pool", "avg_pool")
LONGEST = 256
"""Positions after which what is seen comes again; where that takes more, all of the image counts as seen."""


@dataclass(frozen=True)
class Track:
    """What positions along an axis see of an axis of an image, from `first` to `last`; after a period of them it is `step` further on."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    step: int

    @property
    def period(self) -> int:
        return len(self.first)

    def at(self, position: int) -> tuple[int, int]:
        rounds, place = divmod(position, self.period)
        return self.first[place] + rounds * self.step, self.last[place] + rounds * self.step

    def over(self, windows: Iterable[Iterable[int]], moved: int) -> Track | None:
        """What positions see that take such positions of this each, as far on after the last of them as `moved` positions of this."""
        seen = [[self.at(p) for p in window] for window in islice(windows, LONGEST + 1)]
        if len(seen) > LONGEST:
            return None
        first, last = (tuple(f(place[i] for place in places) for places in seen) for i, f in ((0, min), (1, max)))
        return Track(first, last, self.step * (moved // self.period))

    def moved(self, by: int) -> Track | None:
        """From another position on."""
        return self.over([[p + by] for p in range(self.period)], self.period)

    def widest(self, positions: Dim) -> int:
        number = min(self.period, positions) if isinstance(positions, int) else self.period
        return max(self.last[p] - self.first[p] for p in range(number)) + 1


Seen = Track | None
"""All of the axis where it is None."""
EACH = Track((0,), (0,), 1)


@dataclass(frozen=True)
class Axis:
    """An axis of an image in a value: which axis of the value has its positions, if one has them, and what they see.

    One that is folded with others is `length` long and comes after `outer` positions of those.
    """

    at: int | None = None
    seen: Seen = None
    outer: int = 1
    length: int | None = None

    def unfolded(self, shape: Shape) -> Seen:
        """What the positions of the whole axis of the value see."""
        if self.length is None or self.seen is None or self.at is None:
            return self.seen
        whole, period = shape[self.at], self.seen.period
        if not isinstance(whole, int):
            return None
        inner = whole // (self.outer * self.length)
        if self.outer == 1:
            return self.seen.over(([p // inner] for p in range(period * inner)), period)
        return self.seen.over(([p // inner] for p in range(self.length * inner)), 0)  # and from the start for each of the outer ones


Axes = tuple[Axis, ...]
Rule = Callable[[Graph, Node, str, Axis], Axis]
"""What becomes of one axis of an image that an input of a node has."""


def sights(graph: Graph) -> dict[str, dict[str, Axes]]:
    """For every value what it has of the axes of each image that it is made of."""
    found: dict[str, dict[str, Axes]] = {}
    for node in graph:
        if node.role == "input" and node.type.rank in (3, 4, 5):
            found[node.name] = {node.name: tuple(Axis(i, EACH) for i in range(2, node.type.rank))}
        elif sources := [i for i in node.inputs if i in found]:
            same = node.op.pointwise and all(found[i] == found[sources[0]] and graph[i].type.shape == node.type.shape for i in sources)
            found[node.name] = found[sources[0]] if same else _after(graph, node, sources, found)
    return found


def _after(graph: Graph, node: Node, sources: Sequence[str], found: Mapping[str, Mapping[str, Axes]]) -> dict[str, Axes]:
    """What an operation has of the axes of each image, given what those of its inputs have that have any."""
    rule = _rule(node)
    return {
        image: tuple(_joined(axes, node.type.shape) for axes in zip(*_through(graph, node, rule, image, found), strict=True))
        for image in dict.fromkeys(image for i in sources for image in found[i])
    }


def _through(graph: Graph, node: Node, rule: Rule, image: str, found: Mapping[str, Mapping[str, Axes]]) -> Iterator[Axes]:
    """The axes of an image by way of each input."""
    for name in dict.fromkeys(node.inputs):
        if image in found.get(name, ()):
            yield tuple(rule(graph, node, name, axis) for axis in found[name][image])


def _joined(axes: tuple[Axis, ...], shape: Shape) -> Axis:
    """What is seen by several ways together."""
    if len({*axes}) == 1:
        return axes[0]
    here = [a for a in axes if a.at is not None]
    if not here:
        return Axis()
    first, alike = here[0], len({(a.at, a.outer, a.length) for a in here}) == 1
    seen = first.seen if alike else first.unfolded(shape)
    for other in here[1:]:
        seen = _both(seen, other.seen if alike else other.unfolded(shape)) if other.at == first.at else None
    return replace(first if alike else Axis(first.at), seen=seen if len(here) == len(axes) else None)


def _both(a: Seen, b: Seen) -> Seen:
    if a is None or b is None or a.step * b.period != b.step * a.period or lcm(a.period, b.period) > LONGEST:
        return None
    places = range(period := lcm(a.period, b.period))
    seen = [(a.at(p), b.at(p)) for p in places]
    first, last = tuple(min(x[0], y[0]) for x, y in seen), tuple(max(x[1], y[1]) for x, y in seen)
    return Track(first, last, a.step * period // a.period)


# ---- operations


def _rule(node: Node) -> Rule:
    return _aligned if node.op.pointwise else RULES.get(node.op.name, lambda *_: Axis())


def _aligned(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    """Axes count from the last; one of length 1 is the same for all positions."""
    if axis.at is None:
        return axis
    at, shape = axis.at + node.type.rank - graph[name].type.rank, graph[name].type.shape
    if axis.seen and shape[axis.at] != node.type.shape[at]:
        return Axis(at, Track((axis.seen.first[0],), (axis.seen.last[0],), 0))
    return replace(axis, at=at) if at != axis.at else axis


def _alone(graph: Graph, name: str, axis: Axis) -> Axis:
    """The same, folded with no others."""
    return Axis(axis.at, axis.unfolded(graph[name].type.shape))


def _window(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    axis = _alone(graph, name, axis)
    if axis.at is None or axis.at < 2 or not axis.seen or name != node.inputs[0]:
        return Axis(axis.at)
    stride, size, dilation, pad = _places(graph, node, axis.at - 2)
    period = axis.seen.period // gcd(axis.seen.period, stride)
    windows = ([p * stride - pad + k * dilation for k in range(size)] for p in range(period))
    return Axis(axis.at, axis.seen.over(windows, period * stride))


def _places(graph: Graph, node: Node, place: int) -> tuple[int, int, int, int]:
    """Stride, length, dilation and pad of a window along an axis of an image."""
    a = node.attributes
    kernel = a.get("kernel") or graph[node.inputs[1]].type.numbers[2:]
    return a["strides"][place], kernel[place], a.get("dilations", (1,) * len(kernel))[place], a["pads"][place]


def _spread(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    """A convolution backwards: a position sees those whose windows it lies in, or the nearest before it."""
    axis = _alone(graph, name, axis)
    if axis.at is None or axis.at < 2 or not axis.seen or name != node.inputs[0]:
        return Axis(axis.at)
    stride, size, dilation, pad = _places(graph, node, axis.at - 2)
    places = [[p + pad - k * dilation for k in range(size)] for p in range(axis.seen.period * stride)]
    windows = ([q // stride for q in those if q % stride == 0] or [those[0] // stride] for those in places)
    return Axis(axis.at, axis.seen.over(windows, axis.seen.period))


def _cut(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    start = node.attributes["start"] if node.op.name == "cut" else -node.attributes["before"]
    if axis.at != node.attributes["axis"]:
        return axis
    axis = _alone(graph, name, axis)
    if not axis.seen:
        return axis
    return Axis(axis.at, axis.seen.moved(start) if isinstance(start, int) else None)


def _concat(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    along, before = node.attributes["axis"], 0
    if axis.at != along:
        return axis
    axis = _alone(graph, name, axis)
    if not axis.seen:
        return axis
    for other in node.inputs[: node.inputs.index(name)]:
        length = graph[other].type.shape[along]
        if not isinstance(length, int):
            return Axis(axis.at)
        before += length
    return Axis(axis.at, axis.seen.moved(-before) if node.inputs.count(name) == 1 else None)


def _flip(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    length = node.type.shape[node.attributes["axis"]]
    if axis.at != node.attributes["axis"]:
        return axis
    axis = _alone(graph, name, axis)
    if not axis.seen:
        return axis
    if not isinstance(length, int):
        return Axis(axis.at)
    back = axis.seen.over([[length - 1 - p] for p in range(axis.seen.period)], axis.seen.period)
    return Axis(axis.at, back and Track(back.first, back.last, -back.step))


def _axes(node: Node) -> tuple[int, ...]:
    """Along which an operation works."""
    a = node.attributes
    return a["axes"] if "axes" in a else (a["axis"],)


def _mixed(_: Graph, node: Node, __: str, axis: Axis) -> Axis:
    """Every position along some axes sees all of them."""
    return Axis(axis.at) if axis.at in _axes(node) else axis


def _reduced(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    axes = _axes(node)
    if axis.at is None or axis.at in axes:
        return Axis()
    return axis if node.attributes.get("keep") else replace(axis, at=axis.at - sum(a < axis.at for a in axes))


def _matmul(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    at = None if axis.at is None else axis.at - graph[name].type.rank
    contracted = {-1: node.inputs[0], -2: node.inputs[1]}
    if at is None or (at in contracted and name == contracted[at]) or node.inputs[0] == node.inputs[1]:
        return Axis()
    return replace(axis, at=at + node.type.rank)


def _transpose(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    return axis if axis.at is None else replace(axis, at=node.attributes["axes"].index(axis.at))


def _reshape(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    """An axis stays one, is folded with others, or comes out of them."""
    if axis.at is None:
        return axis
    shape = graph[name].type.shape
    begin, length = count(shape[: axis.at]) * axis.outer, shape[axis.at] if axis.length is None else axis.length
    for at, n in enumerate(node.type.shape):
        before = count(node.type.shape[:at])
        if before == begin and n == length:
            return Axis(at, axis.seen)
        outer = _ratio(begin, before)
        if isinstance(n, int) and isinstance(length, int) and outer and n > 1 and n % (outer * length) == 0:
            return Axis(at, axis.seen, outer, length)
    return Axis()


def _ratio(a: Dim, b: Dim) -> int:
    """How often a number goes into another, or 0."""
    try:
        ratio = a // b
    except Indivisible:
        return 0
    return ratio if isinstance(ratio, int) and ratio * b == a else 0


def _inside(graph: Graph, node: Node, name: str, axis: Axis) -> Axis:
    """More axes behind those there are, or none of the last."""
    return axis if axis.at is not None and axis.at < min(node.type.rank, graph[name].type.rank) else Axis()


RULES: dict[str, Rule] = {
    **dict.fromkeys(WINDOWS, _window),
    "conv_input_grad": _spread,
    **dict.fromkeys(("cut", "pad"), _cut),
    "concat": _concat,
    "flip": _flip,
    "expand": _aligned,
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "rank_of"), _mixed),
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "logsumexp", "argmax"), _reduced),
    "matmul": _matmul,
    "transpose": _transpose,
    "reshape": _reshape,
    **dict.fromkeys(("one_hot", "pick"), _inside),
}
