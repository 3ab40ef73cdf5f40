"""A graph cut along the batch: what every part of the batch computes by itself, what is computed once, and where parts have to meet.

A value is the same for all parts, or split among them, or a sum to which each part gives its share. Where a sum is needed before the end
(the mean of a batch normalisation), all parts have to come that far first: the graph falls into rounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from nnspec.graph import BATCH, Graph, Node, Size, Type
from nnspec.graph.loop import Loop
from nnspec.graph.types import BATCH_NAME, count, size_names, with_batch
from nnspec.ops.loop import scan
from nnspec.ops.reduce import mean, size_var, sum
from nnspec.ops.source import const, input, random, size_of
from nnspec.plan.memory import VALUE
from nnspec.record import dataclass

Kind = Literal["same", "split", "sum"]
FIRST, ALL = "first example", "all examples"
"""The named sizes that say with which example a part begins, and how many the whole batch has."""


@dataclass(frozen=True)
class Round:
    """What is computed once, then by every part; then the shares of `sums` are added up.

    A piece reads a value of another piece as an input of its name, a sum that is complete as `whole_of(name)`, and gives one as the
    output `value(name)`.
    """

    once: Graph
    parts: Graph
    sums: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """A graph in rounds, and what is computed once at the end. Parts give what is split of its outputs, and the shares of some sums."""

    graph: Graph
    rounds: tuple[Round, ...]
    end: Graph
    split: frozenset[str]
    shares: frozenset[str]


def value(name: str) -> str:
    """The output of a piece for a node of the whole graph."""
    return f"{VALUE}{name}"


def whole_of(name: str) -> str:
    """The source of a piece for a sum over all parts."""
    return f"{name}/whole"


def cut(graph: Graph, left: Collection[str] = ()) -> Cut | None:
    """The graph cut along the batch; None where examples meet otherwise than in a sum. Of the outputs `left`, parts leave their shares."""
    graph = _with_sums_for_means(graph)
    kinds = _kinds(graph)
    return _Cutting(graph, kinds).run(left) if kinds else None


def sums_in_rounds(graph: Graph) -> tuple[Graph, list[list[str]]] | None:
    """The graph with sums in place of means, and the sums over the batch that have to be complete before others are begun, in rounds.

    None where examples meet otherwise than in a sum, are drawn, or come out one by one.
    """
    graph = _with_sums_for_means(graph)
    kinds = _kinds(graph)
    if kinds is None or any(node.op is random for node in graph) or "split" in (kinds[name] for name in graph.outputs.values()):
        return None
    cutting = _Cutting(graph, kinds)
    whole = {i for node in graph for i in node.inputs if cutting.needs_whole(i, node)}
    whole |= {name for name in graph.outputs.values() if kinds[name] == "sum"}
    rounds: list[list[str]] = [[] for _ in cutting.pieces]
    for name in (node.name for node in graph if node.name in whole):
        rounds[cutting.round[name]].append(name)
    return graph, rounds


def _with_sums_for_means(graph: Graph) -> Graph:
    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        x = new.var(inputs[0]) if inputs else None
        axes = node.attributes.get("axes", ())
        if node.op is not mean or x is None or _batch_axes(x.type).isdisjoint(axes):
            return new.copy_node(node, inputs)
        number = size_var(x, count(x.type.shape[a] for a in axes))
        return (sum(x, **node.attributes) / number).name

    return graph.rebuilt(rule)


def _batch_axes(type: Type) -> set[int]:
    return {i for i, d in enumerate(type.shape) if BATCH_NAME in size_names((d,))}


# ---- how each value is computed


def _kinds(graph: Graph) -> dict[str, Kind] | None:
    kinds: dict[str, Kind] = {}
    for node in graph:
        kind = _kind(graph, node, kinds)
        if kind is None:
            return None
        kinds[node.name] = kind
    return kinds


def _kind(graph: Graph, node: Node, kinds: Mapping[str, Kind]) -> Kind | None:
    read = {kinds[i] for i in node.inputs}
    if not node.type.has_batch and "split" not in read:
        return "sum" if "sum" in read and _passes_sums_on(node, kinds) else "same"
    if not _is_linear_in_batch(node.type):
        return None
    if not node.inputs or node.op is random:
        return "split" if node.type.shape[0] == BATCH and (node.op.is_source or node.op is random) else None
    if node.op is scan:
        return "split" if _steps_keep_apart(node.attributes["body"]) else None
    meeting = _inputs_that_meet(graph, node)
    if meeting is None or (meeting and not node.op.adds_up):
        return None
    if not meeting:
        return "split" if node.type.has_batch else None
    return None if node.type.has_batch or meeting != {i for i in node.inputs if kinds[i] == "split"} else "sum"


def _is_linear_in_batch(type: Type) -> bool:
    """Whether at most one axis has the batch in it, as a multiple."""
    axes = _batch_axes(type)
    dims = [type.shape[a] for a in axes]
    return len(axes) <= 1 and all(m.count(BATCH_NAME) == 1 for d in dims if isinstance(d, Size) for m, _ in d.terms)


def _inputs_that_meet(graph: Graph, node: Node) -> set[str] | None:
    """The inputs whose examples meet in a node; None where nothing is known of it."""
    if node.op.pointwise:
        return set()
    if node.op.meets is None:
        return None
    types = [graph[i].type for i in node.inputs]
    along = node.op.meets(*types, **node.attributes)
    return {i for i, t, axes in zip(node.inputs, types, along, strict=True) if not _batch_axes(t).isdisjoint(axes)}


def _steps_keep_apart(loop: Loop) -> bool:
    if any(n.op is random or (n.op is size_of and BATCH_NAME in size_names(n.attributes["size"])) for n in loop.body):
        return False
    kinds = _kinds(loop.body)
    return kinds is not None and "sum" not in kinds.values() and all(kinds[n] == "split" for n in loop.body.outputs.values())


_LINEAR = ("neg", "reshape", "transpose", "expand", "cut", "pad", "flip", "sum", "add", "sub", "concat")


def _passes_sums_on(node: Node, kinds: Mapping[str, Kind]) -> bool:
    """Whether a value computed from the shares of sums is a share itself."""
    sums = [kinds[i] == "sum" for i in node.inputs]
    if node.op.name in _LINEAR:
        return all(sums)
    if node.op.name in ("mul", "matmul"):
        return sums.count(True) == 1
    return node.op.name == "div" and sums == [True, False]


# ---- the rounds


class _Cutting:
    """Every node that costs something belongs to one piece; what is free, each piece that reads it has for itself."""

    def __init__(self, graph: Graph, kinds: Mapping[str, Kind]) -> None:
        self.graph, self.kinds = graph, kinds
        self.round: dict[str, int] = {}
        for node in graph:
            self.round[node.name] = max((self.round[i] + self.needs_whole(i, node) for i in node.inputs), default=0)
        self.pieces = [(_Piece(self), _Piece(self)) for _ in range(max(self.round.values(), default=0) + 1)]
        self.asked: set[str] = set()
        self.asked_whole: set[str] = set()

    def needs_whole(self, name: str, reader: Node) -> bool:
        return self.kinds[name] == "sum" and self.kinds[reader.name] != "sum"

    def home(self, node: Node) -> _Piece:
        return self.pieces[self.round[node.name]][self.kinds[node.name] != "same"]

    def run(self, left: Collection[str]) -> Cut:
        split = {p for p, n in self.graph.outputs.items() if self.kinds[n] == "split"}
        shares = {p for p, n in self.graph.outputs.items() if p in left and self.kinds[n] == "sum"}
        end = _Piece(self)
        for node in self.graph:
            if not is_free(node):
                self.home(node).bring(node.name)
        for public, name in self.graph.outputs.items():
            # A split output may be written over a source, so it comes last; what reads that source in the same piece, the plan knows of.
            piece = self.pieces[-1][1] if public in split else self.home(self.graph[name]) if public in shares else end
            piece.graph.outputs[public] = piece.bring(name, whole=piece is end and self.kinds[name] == "sum")
        rounds = tuple(Round(once.finished(), parts.finished(), parts.sums()) for once, parts in self.pieces)
        return Cut(self.graph, rounds, end.graph, frozenset(split), frozenset(shares))


class _Piece:
    def __init__(self, cutting: _Cutting) -> None:
        self.cutting, self.graph = cutting, Graph(cutting.graph.name, cutting.graph.dtype)
        self.here: dict[tuple[str, bool], str] = {}

    def bring(self, name: str, whole: bool = False) -> str:
        """A node of the whole graph as a node of this piece, computed here or read from the piece that does."""
        if (name, whole) not in self.here:
            node = self.cutting.graph[name]
            with self.graph.at(role=node.role, span=node.span):
                mine = is_free(node) or (self.cutting.home(node) is self and not whole)
                self.here[name, whole] = self._copy(node, whole) if mine else self._read(node, whole)
        return self.here[name, whole]

    def _copy(self, node: Node, whole: bool) -> str:
        inputs = tuple(self.bring(i, whole=whole or self.cutting.needs_whole(i, node)) for i in node.inputs)
        return self.graph.add(node.op, inputs, _for_parts(node), node.type, node.name)

    def _read(self, node: Node, whole: bool) -> str:
        (self.cutting.asked_whole if whole else self.cutting.asked).add(node.name)
        return self.graph.source(input, whole_of(node.name) if whole else node.name, node.type).name

    def _computed(self) -> Iterator[str]:
        return (n for n, whole in self.here if not whole and not is_free(self.cutting.graph[n]) and self.graph[self.here[n, False]].inputs)

    def finished(self) -> Graph:
        """The piece with everything as an output that others ask for."""
        asked = self.cutting.asked | self.cutting.asked_whole
        self.graph.outputs |= {value(n): self.here[n, False] for n in self._computed() if n in asked}
        return self.graph

    def sums(self) -> tuple[str, ...]:
        return tuple(n for n in self._computed() if n in self.cutting.asked_whole)


def _for_parts(node: Node) -> dict[str, Any]:
    """The attributes of a node that is computed for a part, but speaks of the whole batch."""
    if node.op is random and node.type.has_batch:
        return {**node.attributes, "first": Size.named(FIRST) * count(node.type.shape[1:])}
    return {k: with_batch(v, Size.named(ALL)) for k, v in node.attrs} if node.op is size_of else node.attributes


def is_free(node: Node) -> bool:
    """What costs nothing to compute."""
    return node.op.view or node.op.is_source or node.op in (const, size_of)
