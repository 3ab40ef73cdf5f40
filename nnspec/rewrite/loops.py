"""What a loop need not do at every step: yield what nobody reads, or multiply by several things that no step waits for."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from nnspec.graph import Dim, Graph, Node, Op, Var
from nnspec.graph.loop import Loop
from nnspec.graph.types import Size
from nnspec.loops import of_step
from nnspec.ops.arrange import concat, cut, pad, reshape, transpose
from nnspec.ops.loop import part, parts, scan
from nnspec.ops.pointwise import add, neg
from nnspec.ops.source import input
from nnspec.record import dataclass

Made = list[tuple[Op, dict[str, Any]]]
"""The cuts and pads along one axis by which one value is made of another."""


@dataclass
class Opened:
    """A loop taken apart: its body, whose sources may have any names, and what they are outside."""

    body: Graph
    carries: list[tuple[str, Var]]
    items: dict[str, Var] = field(default_factory=dict)
    given: dict[str, Var] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph, node: Node, inputs: tuple[str, ...]) -> Opened:
        a, values = node.attributes, [graph.var(i) for i in inputs]
        n, m = a["carries"], a["carries"] + a["items"]
        carries = [(f"carry:{i}", v) for i, v in enumerate(values[:n])]
        items = {f"item:{i}": v for i, v in enumerate(values[n:m])}
        return Opened(a["body"].body, carries, items, {f"given:{i}": v for i, v in enumerate(values[m:])})

    def closed(self, node: Node) -> Var:
        """The loop again, without what its body does not read, but for a sequence that says how many steps there are."""
        used = self.body.needed(self.body.outputs.values())
        if isinstance(node.attributes["length"], Size) and used.isdisjoint(self.items):
            used |= {*[*self.items][:1]}
        names = {name: f"carry:{i}" for i, (name, _) in enumerate(self.carries)}
        items, given = ([n for n in group if n in used] for group in (self.items, self.given))
        names |= {n: f"item:{i}" for i, n in enumerate(items)} | {n: f"given:{i}" for i, n in enumerate(given)}

        def rule(new: Graph, inner: Node, inputs: tuple[str, ...]) -> str:
            return new.add(inner.op, inputs, inner.attributes, inner.type, names.get(inner.name, inner.name))

        values = [*(v for _, v in self.carries), *(self.items[n] for n in items), *(self.given[n] for n in given)]
        attributes = {**node.attributes, "body": Loop(self.body.rebuilt(rule)), "items": len(items)}
        found: Var = values[0].graph.call(scan, *values, **attributes)
        return found


# ---- what is yielded


def trim(graph: Graph) -> Graph:
    """The same with loops that yield only what is read of them, and each value once."""
    read = {(n.inputs[0], n.attributes["start"]) for n in graph if n.op is part}
    moved: dict[tuple[str, Dim], tuple[Dim, Made]] = {}

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.op is scan:
            name, places = _trimmed(new, node, inputs, {start for value, start in read if value == node.name})
            moved.update({(node.name, start): place for start, place in places.items()})
            return name
        if node.op is not part:
            return new.copy_node(node, inputs)
        start, made = moved[node.inputs[0], node.attributes["start"]]
        return _piece(new.var(inputs[0]), start, made).name

    return graph.rebuilt(rule)


def _piece(value: Var, start: Dim, made: Made) -> Var:
    """What is made over all steps of what a loop yields from `start` on."""
    body, length = value.node.attributes["body"], value.node.attributes["length"]
    type = dict(parts(body, length))[start]
    found: Var = part(value, start=start, shape=type.shape, dtype=type.dtype)
    for op, attributes in made:
        found = op(found, **{**attributes, "axis": attributes["axis"] + 1})
    return found


def _trimmed(graph: Graph, node: Node, inputs: tuple[str, ...], read: set[Dim]) -> tuple[str, dict[Dim, tuple[Dim, Made]]]:
    """The loop that yields what is read, and how that is made of what it yields: of what starts where."""
    loop: Loop = node.attributes["body"]
    body, length = loop.body.only(loop.body.outputs), node.attributes["length"]
    starts = [start for start, _ in parts(loop, length)]
    wanted = {start: body.outputs[f"out:{i}"] for i, start in enumerate(starts) if start in read}
    whole = {start: _whole(body, name, set(wanted.values())) for start, name in wanted.items()}
    yielded = list(dict.fromkeys(name for name, _ in whole.values()))
    body.outputs = {public: n for public, n in body.outputs.items() if public.startswith("carry:")}
    body.outputs |= {f"out:{i}": name for i, name in enumerate(yielded)}
    found = graph.call(scan, *map(graph.var, inputs), **{**node.attributes, "body": Loop(body.swept())})
    places = dict(zip(yielded, (start for start, _ in parts(found.node.attributes["body"], length)), strict=True))
    return found.name, {start: (places[name], made) for start, (name, made) in whole.items()}


def _whole(body: Graph, name: str, yielded: set[str]) -> tuple[str, Made]:
    """The value to yield, and how what is wanted is made of it: where that is a cut or pad of it, or joined in another that is yielded."""
    node = body[name]
    if node.op in (cut, pad) and node.attributes["axis"] >= 1 and not body[node.inputs[0]].op.is_source:
        base, made = _whole(body, node.inputs[0], yielded)
        return base, [*made, (node.op, node.attributes)]
    for joined in (n for n in body if n.op is concat and name in n.inputs and n.name in yielded and n.attributes["axis"] >= 1):
        axis = joined.attributes["axis"]
        start: Dim = 0
        for other in joined.inputs[: joined.inputs.index(name)]:
            start = start + body[other].type.shape[axis]
        base, made = _whole(body, joined.name, yielded)
        return base, [*made, (cut, {"axis": axis, "start": start, "stop": start + node.type.shape[axis]})]
    return name, []


# ---- what is computed


def hoist(graph: Graph) -> Graph:
    """The same with whatever no step waits for computed before the loop, after products and sums are put in an order that allows it."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return _hoisted(new, node, inputs).name if node.op is scan else new.copy_node(node, inputs)

    return graph.rebuilt(rule)


def _hoisted(graph: Graph, node: Node, inputs: tuple[str, ...]) -> Var:
    opened = Opened.of(graph, node, inputs)
    carries = [name for name, _ in opened.carries]
    opened.body = _regrouped(opened.body, opened.body.nodes.keys() - opened.body.dependents(carries))
    known = opened.body.nodes.keys() - opened.body.dependents(carries)
    opened.body = opened.body.rebuilt(lambda new, inner, its: _out_of_the_loop(opened, new, inner, its, known))
    return opened.closed(node)


def _out_of_the_loop(opened: Opened, new: Graph, node: Node, inputs: tuple[str, ...], known: set[str]) -> str:
    """A node of the body in the new body: where it is known before the loop, as an item of a sequence computed there."""
    if node.name not in known or not node.op.pointwise or any(new[i].type.rank not in (0, node.type.rank) for i in inputs):
        return new.copy_node(node, inputs)
    outside = [_outside(opened, new, i) for i in inputs]
    if not all(outside) or not any(i in opened.items for i in inputs):
        return new.copy_node(node, inputs)
    sequence = opened.carries[0][1].graph.call(node.op, *outside, **node.attributes)
    opened.items[node.name] = sequence
    return new.source(input, node.name, of_step(sequence.type)).name


def _outside(opened: Opened, body: Graph, name: str) -> Var | None:
    """The value over all steps of something in a body that is known before the loop."""
    node, graph = body[name], opened.carries[0][1].graph
    if name in opened.items:
        return opened.items[name]
    if name in opened.given:
        return opened.given[name]
    if node.op.name == "const":
        return graph.var(graph.copy_node(node, ()))
    inner = _outside(opened, body, node.inputs[0]) if node.op is cut else None
    if inner is None or node.attributes["axis"] < 1:
        return None
    axis = node.attributes["axis"] + (inner.type.rank - node.type.rank)
    found: Var = cut(inner, **{**node.attributes, "axis": axis})
    return found


def start_with(graph: Graph) -> Graph:
    """The same with loops that start with what comes in at their first step only, as the gradient of a last value does."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return _started(Opened.of(new, node, inputs), node).name if node.op is scan else new.copy_node(node, inputs)

    return graph.rebuilt(rule)


def _started(opened: Opened, node: Node) -> Var:
    length, body = node.attributes["length"], opened.body
    first = length - 1 if node.attributes["reverse"] else 0
    readers = body.readers()
    only = [n for n in body if n.op.name == "add" and all(readers[i] == 1 for i in n.inputs)]
    passed: dict[str, str] = {}
    for position, (carry, start) in enumerate(opened.carries):
        for adding in [n for n in only if carry in n.inputs]:
            item = next((i for i in adding.inputs if i in opened.items), "")
            coming = _at_one_step(opened.items[item], first) if item else None
            if coming and adding.type == body[carry].type == body[item].type:
                opened.carries[position] = carry, start + reshape(coming, shape=start.type.shape)
                passed[adding.name] = carry
    opened.body = body.rebuilt(lambda new, n, its: passed.get(n.name) or new.copy_node(n, its))
    return opened.closed(node)


def _at_one_step(sequence: Var, step: Dim) -> Var | None:
    """The one element of a sequence [steps, ...] that is not zeros all over, if it is that of a step."""
    node, graph = sequence.node, sequence.graph
    if node.op is transpose:
        axes = node.attributes["axes"]
        inner = _padded(graph[node.inputs[0]], axes[0], step)
        return transpose(graph.var(inner), axes=axes) if inner else None
    inner = _padded(node, 0, step)
    return graph.var(inner) if inner else None


def _padded(node: Node, axis: int, before: Dim) -> str:
    """What one element before or behind zeros is."""
    fits = node.op is pad and node.attributes["axis"] == axis and node.attributes["before"] == before
    return node.inputs[0] if fits and node.type.shape[axis] - node.attributes["after"] - before == 1 else ""


def _regrouped(body: Graph, known: set[str]) -> Graph:
    """`(x * a) * b` as `x * (a * b)`, and `x * a + x * b` as `x * (a + b)`, where a and b are known before the loop and x is not."""
    readers = body.readers()
    factors: dict[str, tuple[Var, Var]] = {}

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        free = node.op.name == "neg"  # its product is another factor for the old one's: nothing is computed twice
        apart = [factors.get(i) if free or readers[old] == 1 else None for i, old in zip(inputs, node.inputs, strict=True)]
        found = _factors(new, node, inputs, [i not in known for i in node.inputs], apart)
        made = found[0] * found[1] if found else None
        if not found or not made or made.type != node.type:
            return new.copy_node(node, inputs)
        factors[made.name] = found
        return made.name

    return body.rebuilt(rule)


Factors = tuple[Var, Var] | None
"""A product of something that the next step waits for, and of something known before the loop."""


def _factors(new: Graph, node: Node, inputs: tuple[str, ...], waiting: list[bool], apart: list[Factors]) -> Factors:
    """A value as such a product, given which of its inputs wait and as what products they are known."""
    match node.op.name, apart:
        case "mul", _ if sum(waiting) == 1:
            at = waiting.index(True)
            x, factor = apart[at] or (new.var(inputs[at]), None)
            other = new.var(inputs[1 - at])
            return x, factor * other if factor else other
        case "neg", [(x, factor)]:
            return x, -factor
        case "add" | "sub", [(x, factor), (same, other)] if x == same:
            return x, new.call(node.op, factor, other)
        case "add" | "sub", [None, (x, factor)] if x.name == inputs[0]:
            return x, _beside_one(node.op, factor)
        case "add" | "sub", [(x, factor), None] if x.name == inputs[1]:
            return x, new.call(node.op, factor, 1.0)
    return None


def _beside_one(op: Op, factor: Var) -> Var:
    """1 + x, or 1 - x; which also 1 + -x is."""
    if op is add and factor.node.op is neg:
        return 1.0 - factor.graph.var(factor.node.inputs[0])
    return factor.graph.call(op, 1.0, factor)
