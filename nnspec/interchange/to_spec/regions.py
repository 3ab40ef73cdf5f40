"""Parts of a network that one value goes into and one comes out of, and the chains that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from nnspec.graph.types import size_names
from nnspec.interchange.to_spec.calls import Call, ordered
from nnspec.record import dataclass

FREE = {"units": None, "stride": 1, "groups": 1, "dilation": 1, "heads": None, "ffn": None}
"""Settings that may differ between uses of a block, and what they are where nothing is said."""


@dataclass(frozen=True, eq=False)
class Region:
    """All that lies between a value and the one it becomes; `calls` in the order in which formulas would read them."""

    entry: Call
    result: Call
    calls: tuple[Call, ...]

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """What two regions have in common that differ in free settings and weights only."""
        numbers = {c: i for i, c in enumerate(self.calls)} | {self.entry: -1}
        found = tuple((*_kind(c), *(numbers[i] for i in c.inputs)) for c in self.calls)
        # A size that shows only at run time has its name from what goes in.
        return (*found, *(self.entry.shape if any(size_names(tuple(c.settings.values())) for c in self.calls) else ()))

    @property
    def formulas(self) -> list[Call]:
        return [c for c in self.calls if not c.is_leaf]


def free_settings(c: Call) -> dict[str, Any]:
    """Those of a call, and what they are where nothing is said; of a block, all that it asks for."""
    return {p.name: p.default for p in c.block.parameters} if c.block else FREE


def _kind(c: Call) -> tuple[object, ...]:
    settings = tuple((k, repr(v)) for k, v in c.settings.items() if k not in free_settings(c))
    owned = tuple((n, None if not c.is_leaf else w.shape) for n, w in c.weights.items())
    return c.name, c.block, c.loop, settings, owned


def chains(results: Sequence[Call]) -> list[list[Region]]:
    """Regions one after the other, each as small as can be, where nothing else reads what goes from one to the next."""
    calls = ordered(results)
    readers = _readers(calls)
    found: dict[Call, list[Region]] = {}
    for region in _regions(calls, readers, results):
        inside, before = set(region.calls), found.get(region.entry)
        continues = before and before[-1].result is region.entry and region.entry not in results
        if before and continues and all(r in inside for r in readers[region.entry]):
            before.append(region)
            found[region.result] = before
        else:
            found[region.result] = [region]
    return list({id(chain): chain for chain in found.values()}.values())


def _readers(calls: Iterable[Call]) -> dict[Call, list[Call]]:
    readers: dict[Call, list[Call]] = {c: [] for c in calls}
    for c in readers:
        for i in c.inputs:
            readers[i].append(c)
    return readers


def _regions(calls: Sequence[Call], readers: Mapping[Call, list[Call]], results: Sequence[Call]) -> Iterable[Region]:
    dominators: dict[Call, Call | None] = {}
    depth: dict[Call, int] = {}
    for c in calls:
        sources = [i for i in c.inputs if i.batched]
        entry = _common(sources, dominators, depth) if sources else None
        dominators[c], depth[c] = entry, depth[entry] + 1 if entry else 0
        if entry is None:
            continue
        inside = tuple(ordered([c], {entry}))
        if all(x is c or (x not in results and all(r in inside for r in readers[x])) for x in inside if x.batched):
            yield Region(entry, c, inside)


def _common(values: Sequence[Call], dominators: Mapping[Call, Call | None], depth: Mapping[Call, int]) -> Call | None:
    """The last value that all paths to these go through."""
    first: Call | None = values[0]
    for value in values[1:]:
        other: Call | None = value
        while first is not other:
            if first is None or other is None:
                return None
            if depth[first] >= depth[other]:
                first = dominators[first]
            else:
                other = dominators[other]
    return first
