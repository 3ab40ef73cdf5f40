"""States that are fitted to a whole data set: computed a stretch of examples at a time, as often as a sum over all of them is needed next.

How the examples are cut into stretches does not depend on where they lie, so the states are the same for data in memory and on a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Graph, Node
from nnspec.graph.types import ITEM_BYTES, bind
from nnspec.ops import OPS
from nnspec.plan.shard import sums_in_rounds
from nnspec.run import reference
from nnspec.run.room import check_room

NUMBERS = 1 << 19
"""Numbers of all inputs of the examples that are looked at together."""


def fitted(graph: Graph, fields: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Array]:
    """The outputs, by public name, from all examples of some fields and from what there is one of."""
    read = {n.name: fields[n.name] for n in graph if n.name in fields}
    rows = len(next(iter(read.values()))) if read else 0
    step = max(1, NUMBERS // max(1, sum(prod(v.shape[1:]) for v in read.values())))
    cut = sums_in_rounds(graph) if rows > step else None
    if cut is None:
        check_room(sum(v.size for v in read.values()) * ITEM_BYTES[graph.dtype])
        return reference.run(graph, {**others, **{n: np.asarray(v) for n, v in read.items()}})
    (graph, rounds), known, sizes = cut, dict[str, Array](), reference.sizes_of({n.name: n.type for n in graph}, read)
    for sums in rounds:
        shares = _asked(graph, known, dict(zip(sums, sums, strict=True)), sizes)
        totals: dict[str, Array] = {}
        for start in range(0, rows, step):
            found = reference.run(shares, {**others, **known, **{n: np.asarray(v[start : start + step]) for n, v in read.items()}})
            totals = {n: totals[n] + found[n] for n in sums} if totals else found
        known |= totals
    return reference.run(_asked(graph, known, graph.outputs, sizes), {**others, **known})


def _asked(graph: Graph, known: Mapping[str, Array], outputs: Mapping[str, str], sizes: Mapping[str, int]) -> Graph:
    """What computes some values of a graph, given others and how many examples there are in all."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        if node.name in known:
            return new.source(OPS["input"], node.name, node.type).name
        if node.op is OPS["size_of"]:
            (number,) = bind((node.attributes["size"],), sizes)
            return new.constant(number, node.type.dtype).name
        return new.copy_node(node, inputs)

    return graph.rebuilt(rule, outputs)
