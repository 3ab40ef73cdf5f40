"""Lengths of sequences at which everything in a graph has a value: for who has no data to take them from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, product

from nnspec.diagnostics import Fault, fault
from nnspec.graph import Graph, Size, Type
from nnspec.graph.types import BATCH_NAME, bind, size_names
from nnspec.run.reach import check_reach

Sizes = Mapping[str, int]
# Of all sizes alike, those that are tried first in front: far enough for what looks back or reaches over thousands of steps.
ALIKE = (3, 5, 4, 2, 1, *range(6, 65), *(n << i for i in range(1, 9) for n in (48, 64)))
# Of several sizes that do not fit when they are alike.
APART, MOST_TRIED = (2, 3, 5, 4, 8, 1, 6, 12, 16, 24, 32, 64), 2000


def names_of(types: Mapping[str, Type]) -> list[str]:
    """The sizes besides the batch that are known only at run time."""
    return sorted(set().union(*(size_names(t.shape) for t in types.values())) - {BATCH_NAME})


def fitting(graphs: Sequence[Graph], types: Mapping[str, Type], first: Sequence[int] = (), data: Mapping[str, int] = {}) -> Iterator[Sizes]:
    """A length of each size of these inputs, and others; E205 where none is found.

    Those that come `first` are tried before others, and those of the `data`, which fit, after other small ones.
    """
    names, none = names_of(types), True
    for sizes in _candidates(names, first, data) if names else [{}]:
        if _misfit(graphs, sizes) is None:
            none = False
            yield sizes
    if none:
        misfit = _misfit(graphs, dict.fromkeys(names, ALIKE[-1]))
        assert misfit  # it was tried
        of, why = " and ".join(f"`{n}`" for n in names), misfit.diagnostic.message
        raise fault("E205", f"no length of {of} was found at which the whole model has a value: {why}", misfit.diagnostic.span)


def _candidates(names: Sequence[str], first: Sequence[int], data: Sizes) -> Iterator[Sizes]:
    yield from (dict.fromkeys(names, length) for length in dict.fromkeys(chain(first, ALIKE)))
    if set(names) <= data.keys():
        yield from ({name: data[name] + more for name in names} for more in (0, 1, -1))
    if len(names) > 1:
        yield from (dict(zip(names, apart, strict=True)) for apart in islice(product(APART, repeat=len(names)), MOST_TRIED))


def _misfit(graphs: Sequence[Graph], sizes: Sizes) -> Fault | None:
    """What has no value for these sizes, or has an output of nothing, which tells nothing."""
    sizes = {BATCH_NAME: 1, **sizes}
    try:
        for graph in graphs:
            check_reach(graph, sizes)
            for node in (graph[name] for name in graph.outputs.values()):
                if any(isinstance(d, Size) and bind(d, sizes) == 0 for d in node.type.shape):
                    raise fault("E205", "an output has no elements", node.span)
    except Fault as misfit:
        return misfit
    return None
