"""One operation on a stretch of a value instead of several on pieces of it that lie side by side: the gates of a recurrent layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nnspec.graph import Graph, Node, Var
from nnspec.ops.arrange import cut
from nnspec.record import dataclass


@dataclass(frozen=True)
class Stretch:
    """From where to where the pieces of each input lie that are computed in one go."""

    starts: tuple[int, ...]
    length: int


def join_neighbours(graph: Graph) -> Graph:
    """The same with operations on neighbouring pieces joined."""
    while stretches := _stretches(graph):
        graph = _joined(graph, stretches)
    return graph


def _joined(graph: Graph, stretches: Mapping[str, Stretch]) -> Graph:
    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        stretch = stretches.get(node.name)
        if stretch is None:
            return new.copy_node(node, inputs)
        pieces = [new[i] for i in inputs]
        axis = pieces[0].attributes["axis"]
        wholes = [_cut(new.var(p.inputs[0]), axis, start, stretch.length) for p, start in zip(pieces, stretch.starts, strict=True)]
        start = pieces[0].attributes["start"] - stretch.starts[0]
        return _cut(new.call(node.op, *wholes, **node.attributes), axis, start, node.type.shape[axis]).name

    return graph.rebuilt(rule)


def _cut(value: Var, axis: int, start: int, length: Any) -> Var:
    """A stretch of a value; the value itself where that is all of it."""
    if length == value.type.shape[axis]:
        return value
    found: Var = cut(value, axis=axis, start=start, stop=start + length)
    return found


def _stretches(graph: Graph) -> dict[str, Stretch]:
    """The stretch that each operation is part of, which has a neighbour."""
    alike: dict[tuple[Any, ...], list[Node]] = {}
    for node in graph:
        if key := _key(graph, node):
            alike.setdefault(key, []).append(node)
    return {n.name: s for nodes in alike.values() if len(nodes) > 1 for run in _runs(graph, nodes) for n, s in _of_run(graph, run)}


def _key(graph: Graph, node: Node) -> tuple[Any, ...] | None:
    """What neighbours have in common: the operation, and what it reads pieces of; nothing for what reads anything else."""
    pieces = [graph[i] for i in node.inputs]
    if not node.op.pointwise or not pieces or not all(_is_piece(p) and p.type.shape == node.type.shape for p in pieces):
        return None
    axis = pieces[0].attributes["axis"]
    sources = tuple(p.inputs[0] for p in pieces)
    return (node.op.name, node.attrs, axis, sources) if all(p.attributes["axis"] == axis for p in pieces) else None


def _is_piece(node: Node) -> bool:
    return node.op is cut and all(isinstance(node.attributes[k], int) for k in ("start", "stop"))


def _starts(graph: Graph, node: Node) -> tuple[int, ...]:
    return tuple(graph[i].attributes["start"] for i in node.inputs)


def _length(graph: Graph, node: Node) -> int:
    piece = graph[node.inputs[0]].attributes
    return int(piece["stop"] - piece["start"])


def _runs(graph: Graph, nodes: Iterable[Node]) -> Iterator[list[Node]]:
    """Runs of at least two, each of which begins where the one before it ends."""
    run: list[Node] = []
    for node in sorted(nodes, key=lambda n: _starts(graph, n)):
        ends = tuple(s + _length(graph, run[-1]) for s in _starts(graph, run[-1])) if run else ()
        if ends == _starts(graph, node):
            run.append(node)
        else:
            if len(run) > 1:
                yield run
            run = [node]
    if len(run) > 1:
        yield run


def _of_run(graph: Graph, run: list[Node]) -> Iterator[tuple[Node, Stretch]]:
    stretch = Stretch(_starts(graph, run[0]), sum(_length(graph, n) for n in run))
    return ((n, stretch) for n in run)
