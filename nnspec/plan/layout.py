"""How values lie in memory. Nothing but the plan knows: what a value means does not depend on how it lies.

Images `[batch, channels, *size]` lie with their channels last, so that windows are whole stretches of memory. What the steps of a loop
compute lies with the examples innermost, `[..., batch, n]` as n rows of a batch each: BLAS is up to twice as fast at `W h` with an
example a column as at `h W` with an example a row, and the gates of a recurrent layer are then whole stretches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import field

from nnspec.graph import Graph, Node
from nnspec.graph.types import BATCH_NAME
from nnspec.ops.arrange import concat, cut, reshape, transpose
from nnspec.ops.linear import matmul
from nnspec.ops.loop import part, scan
from nnspec.record import dataclass

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The values of a graph that lie with their channels last, and those with the examples innermost."""

    images: Set[str]
    columns: Set[str]
    turned: Mapping[str, Axes] = field(default_factory=dict)
    """The order of the axes of products that lie as they are seen."""

    def order(self, name: str, rank: int) -> tuple[int, ...]:
        """The axes of a value from the slowest to the fastest in memory."""
        axes = tuple(range(rank))
        if name in self.images:
            return (0, *axes[2:], 1)
        if name in self.turned:
            return self.turned[name]
        return (*axes[:-2], axes[-1], axes[-2]) if name in self.columns and rank > 1 else axes


def layout(graph: Graph, sizes: Mapping[str, int], given: Collection[str]) -> Layout:
    """How the values lie that the outputs need; outputs in `given` memory lie there as they are."""
    needed = graph.needed(graph.outputs.values())
    order = [n for n in graph if n.name in needed]
    in_columns = columns(graph, order, sizes)
    return Layout(images(graph, given), in_columns, turned([n for n in order if n.name not in in_columns]))


FEWEST = 8
"""Below so many examples the inner loops over them cost more than is gained."""


def images(graph: Graph, given: Collection[str] = ()) -> set[str]:
    """What is made with channels last in memory, and what is elementwise of such; not the outputs that go to `given` memory."""
    found: set[str] = set()
    elsewhere = {graph.outputs[public] for public in given}
    for node in graph:
        along = node.op.pointwise or node.op in (concat, cut)
        like = along and any(i in found and graph[i].type.rank == node.type.rank for i in node.inputs)
        if (node.op.images or like) and node.name not in elsewhere:
            found.add(node.name)
    return found


def columns(graph: Graph, order: Sequence[Node], sizes: Mapping[str, int]) -> set[str]:
    """The loops whose steps can work so, and what is computed of their values or for them."""
    loops = {n.name for n in order if n.op is scan and sizes.get(BATCH_NAME, 1) >= FEWEST and _fits(n.attributes["body"].body)}
    found = set(loops)
    for node in order:
        if (node.op is part or _passes(node) or _as_rows(graph, node)) and not found.isdisjoint(node.inputs):
            found.add(node.name)
    for node in reversed(order):
        if node.name in loops:
            found.update(_sequences(graph, node))
        elif node.name in found and _passes(node):
            found.update(i for i in node.inputs if _can(graph[i]))
    return {n.name for n in order if n.name in found and not n.op.view}


def _sequences(graph: Graph, loop: Node) -> list[str]:
    """What is computed to be walked by a loop."""
    carries = loop.attributes["carries"]
    return [i for i in loop.inputs[carries : carries + loop.attributes["items"]] if _can(graph[i])]


def _passes(node: Node) -> bool:
    """Whether an op leaves the last two axes what they are."""
    return node.type.rank in (2, 3) and (node.op.pointwise or node.op in (cut, concat))


def _as_rows(graph: Graph, node: Node) -> bool:
    """Whether an op makes [steps * batch, n] of [steps, batch, n]."""
    return node.op is reshape and node.type.rank == 2 and graph[node.inputs[0]].type.shape[2:] == node.type.shape[1:]


def _can(node: Node) -> bool:
    return node.type.rank == 3 and (_passes(node) or node.op is matmul)


def turned(order: Sequence[Node]) -> dict[str, Axes]:
    """The products of many matrices that are seen with their axes in one other order, and then as rows: so heads of attention lie side by
    side, and nothing is copied. BLAS writes them as long as rows or columns stay whole.
    """
    readers: dict[str, list[Node]] = {}
    for node in order:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)

    def seen(name: str, axes: Axes) -> Iterator[Axes | None]:
        for reader in readers.get(name, ()):
            if reader.op is transpose:
                yield from seen(reader.name, tuple(axes[a] for a in reader.attributes["axes"]))
            else:
                yield axes if reader.op is reshape else None

    found: dict[str, Axes] = {}
    for node in order:
        rank = node.type.rank
        if node.op is matmul and rank > 2 and len(ways := {*seen(node.name, tuple(range(rank)))}) == 1:
            (way,) = ways
            if way and way[-1] >= rank - 2:
                found[node.name] = way
    return found


def _fits(body: Graph) -> bool:
    """Whether the steps of a loop only compute on rows of numbers, one an example, and by products with what they are given."""
    return all(_fits_node(body, node) for node in body)


def _fits_node(body: Graph, node: Node) -> bool:
    if node.op is matmul:
        weights = body[node.inputs[1]]
        return node.type.rank == 2 and weights.op.is_source and not weights.type.has_batch
    movable = node.op in (cut, concat) and node.attributes["axis"] == 1
    return node.type.rank <= 2 and (node.op.is_source or not node.inputs or node.op.pointwise or movable)
