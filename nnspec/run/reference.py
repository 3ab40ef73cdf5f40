"""The definition of what a graph means: walk it, node by node, in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Graph, Type
from nnspec.graph.types import BATCH_NAME, Size
from nnspec.graph.walk import walk


def run(
    graph: Graph, feeds: Mapping[str, Any], outputs: Iterable[str] | None = None, sizes: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """The outputs by public name (all, or those asked for), given values for the inputs, parameters and states they need.

    Without `sizes` they are read off those values; a graph that reads no input has a batch of 1.
    """
    wanted = {name: graph.outputs[name] for name in (graph.outputs if outputs is None else outputs)}
    needed = graph.needed(wanted.values())
    sizes = sizes or sizes_of(sources_of(graph), feeds)
    with np.errstate(all="ignore"):
        values = walk(graph, feeds, sizes, needed)
    return {public: values[name] for public, name in wanted.items()}


def sources_of(graph: Graph) -> dict[str, Type]:
    """The values that are computed from: inputs, parameters and states."""
    return {n.name: n.type for n in graph if n.op.is_source}


def sizes_of(types: Mapping[str, Type], feeds: Mapping[str, Any]) -> dict[str, int]:
    """What the run-time sizes are, read off the values that are fed."""
    sizes = {BATCH_NAME: 1}
    for name, type in types.items():
        if name in feeds:
            for dim, length in zip(type.shape, np.shape(feeds[name]), strict=True):
                if isinstance(dim, Size) and len(dim.names) == 1 and dim == Size.named(next(iter(dim.names))):
                    sizes[next(iter(dim.names))] = length
    return sizes
