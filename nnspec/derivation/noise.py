"""What a formula draws at random: numbers of a distribution, whatever way the library makes them of those from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator, Set
from math import isclose, pi

from nnspec.graph import Graph, Node
from nnspec.rewrite.rules import fits

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
    """Whether it is the transform of Box and Muller (1958)."""
    found = fits("sqrt(k * log(1 - u)) * cos(turn * v)", graph, node.name)
    if not found or not _drawn(graph, found["u"], found["v"]):
        return False
    return _is(graph, found["k"], -2) and _is(graph, found["turn"], 2 * pi)


def _chance(graph: Graph, node: Node) -> float | None:
    """p of `if u < p then 1 else 0`."""
    found = fits("where(u < p, 1, 0)", graph, node.name)
    return _number(graph, found["p"]) if found and _drawn(graph, found["u"]) else None


def _drawn(graph: Graph, *names: str) -> bool:
    return all(graph[name].op.name == "random" for name in names)


def _is(graph: Graph, name: str, number: float) -> bool:
    found = _number(graph, name)
    return found is not None and isclose(found, number, rel_tol=1e-6)


def _number(graph: Graph, name: str) -> float | None:
    value = graph[name].constant
    return float(value) if isinstance(value, int | float) else None
