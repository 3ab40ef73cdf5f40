"""What a formula draws at random: numbers of a distribution, whatever way the library makes them of those from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator, Set
from math import isclose, pi

from nnspec.graph import Graph, Node

Drawn = tuple[str, str, tuple[str, float, float] | tuple[str, float]]
"""A letter, a node, and the distribution of its numbers: what it is called and its parameters."""


def noise(graph: Graph, value: str, inside: Set[str]) -> Iterator[Drawn]:
    """All that is drawn for a value."""
    needed = graph.needed([value]) & inside
    found, used = list[Drawn](), set[str]()
    for node in reversed([n for n in graph if n.name in needed]):
        if node.name in used:
            continue
        if _is_normal(graph, node):
            found.append(("ξ", node.name, ("normal", 0, 1)))
        elif (chance := _chance(graph, node)) is not None:
            found.append(("m", node.name, ("bernoulli", chance)))
        elif node.op.name == "random":
            found.append(("u", node.name, ("uniform", 0, 1)))
        else:
            continue
        used |= graph.needed([node.name])
    return reversed(found)


def _is_normal(graph: Graph, node: Node) -> bool:
    """sqrt(-2 log(1 - u)) cos(2 pi v), the transform of Box and Muller (1958)."""
    if node.op.name != "mul":
        return False
    root, wave = (graph[i] for i in node.inputs)
    length = _of(graph, root, "sqrt", "mul")
    angle = _of(graph, wave, "cos", "mul")
    if not length or not angle or not _is(graph, length.inputs[0], -2) or not _is(graph, angle.inputs[0], 2 * pi):
        return False
    rest = _of(graph, graph[length.inputs[1]], "log", "sub")
    drawn = rest and _is(graph, rest.inputs[0], 1) and graph[rest.inputs[1]].op.name == "random"
    return bool(drawn) and graph[angle.inputs[1]].op.name == "random"


def _chance(graph: Graph, node: Node) -> float | None:
    """p of `if u < p then 1 else 0`."""
    if node.op.name != "where" or not (_is(graph, node.inputs[1], 1) and _is(graph, node.inputs[2], 0)):
        return None
    drawn = _of(graph, graph[node.inputs[0]], "less", "random")
    return _number(graph, graph[node.inputs[0]].inputs[1]) if drawn else None


def _of(graph: Graph, node: Node, outer: str, inner: str) -> Node | None:
    """What an operation is applied to, if that is another."""
    found = graph[node.inputs[0]] if node.op.name == outer else None
    return found if found and found.op.name == inner else None


def _is(graph: Graph, name: str, number: float) -> bool:
    found = _number(graph, name)
    return found is not None and isclose(found, number, rel_tol=1e-6)


def _number(graph: Graph, name: str) -> float | None:
    value = graph[name].attributes["value"] if graph[name].op.name == "const" else None
    return float(value) if isinstance(value, int | float) else None
