"""The sides of choices: what one side alone reads gets its gradient where that side is chosen, and elsewhere not even 0 times infinity.

There its derivatives may be infinite or no numbers at all, as those of `sqrt(x)` in `if x > 0 then sqrt(x) else 0` are. So what goes
back through a side is cut off where it leaves it, and not where it enters.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from itertools import takewhile

from nnspec.graph import Graph, Node, Var
from nnspec.ops.loop import parts, scan
from nnspec.ops.pointwise import where

Choice = tuple[str, bool]
"""A condition, and whether it is to hold."""
Choices = tuple[Choice, ...]


def choices(graph: Graph, on_the_way: Set[str], free: Collection[str]) -> dict[str, Choices]:
    """Between each node and all that sends it a gradient, the choices that its gradient is not yet cut off by, the outermost first.

    There are none for what is `free`.
    """
    found: dict[str, Choices] = dict.fromkeys(free, ())
    if not any(graph[name].op in (where, scan) for name in on_the_way):
        return found
    for node in reversed(list(graph)):
        if node.name in on_the_way:
            if any(graph[i].op is scan for i in node.inputs):
                found[node.name] = ()  # a loop takes it as it is
            of_items = _of_items(graph, node, on_the_way) if node.op is scan else {}
            for place, name in enumerate(node.inputs):
                before = of_items.get(place) or _to_input(graph, node, place, found.get(node.name, ()))
                found[name] = _common(found[name], before) if name in found else before
    return found


def _to_input(graph: Graph, node: Node, place: int, of_node: Choices) -> Choices:
    """Those left on the way from a node, which has some, to one of its inputs: all, as long as every number goes its own way."""
    return leaving(node, place, of_node) if graph[node.inputs[place]].type.shape == node.type.shape else ()


def _of_items(graph: Graph, loop: Node, on_the_way: Set[str]) -> dict[int, Choices]:
    """Those of what a loop walks, by the place of its sequence, as far as the conditions are walked, too."""
    a, outputs = loop.attributes, loop.attributes["body"].body.outputs
    read = {n.attributes["start"] for n in graph if n.inputs == (loop.name,) and n.name in on_the_way}
    yielded = (f"out:{i}" for i, (start, _) in enumerate(parts(a["body"], a["length"])) if start in read)
    ends = [outputs[public] for public in (*(f"carry:{i}" for i in range(a["carries"])), *yielded)]
    inside = choices(a["body"].body, a["body"].body.needed(ends), ends)
    walked = {f"item:{i}": loop.inputs[a["carries"] + i] for i in range(a["items"])}
    known = {i: takewhile(lambda choice: choice[0] in walked, inside.get(item, ())) for i, item in enumerate(walked)}
    return {a["carries"] + i: tuple((walked[c], holds) for c, holds in by) for i, by in known.items()}


def leaving(node: Node, place: int, of_node: Choices) -> Choices:
    """All that the share of an input has to be cut off by: what its node has, if that is still to be done, and what it is a side of."""
    side: Choices = ((node.inputs[0], place == 1),) if node.op is where and place else ()
    return (*of_node, *side) if node.op.pointwise else ()


def cut_off(g: Var, by: Choices) -> Var:
    """A gradient where all these choices are as they are to be, and 0 elsewhere."""
    for condition, holds in reversed(by):
        c = g.graph.var(condition)
        g = where(c, g, 0.0) if holds else where(c, 0.0, g)
    return g


def _common(a: Choices, b: Choices) -> Choices:
    return tuple(x for x, _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
