"""Parts that come several times, as layers of the spec's own: what differs between them becomes an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from string import ascii_lowercase
from typing import Any

from nnspec.interchange.names import Names
from nnspec.interchange.to_spec.calls import Argument, Block, Call, Parameter, Place, ordered
from nnspec.interchange.to_spec.regions import FREE, Region, chains, free_settings
from nnspec.record import dataclass

LONGEST = 12  # regions in a row
LARGEST = 12  # formulas: more than these do not make a block more worth while
SMALLEST = 3  # formulas
MOST = 8  # blocks
COST = 3  # lines of a definition
Column = tuple[Any, ...]
"""What a setting is in each use."""


@dataclass(frozen=True, eq=False)
class Use:
    """Regions in a row that are one use of a block."""

    regions: tuple[Region, ...]

    @property
    def entry(self) -> Call:
        return self.regions[0].entry

    @property
    def result(self) -> Call:
        return self.regions[-1].result

    @property
    def calls(self) -> list[Call]:
        return [c for r in self.regions for c in r.calls]

    @property
    def layers(self) -> list[Call]:
        return [c for c in self.calls if c.owns]

    @property
    def path(self) -> str:
        """The module that all of its layers are in."""
        return _beginning([c.place.path for c in self.layers])

    @property
    def within(self) -> str | None:
        """The same as seen from the block that it is in, if it is in one."""
        seen = [c.place.within for c in self.layers]
        return None if None in seen else _beginning([s for s in seen if s is not None])


def _beginning(paths: Sequence[str]) -> str:
    """What paths have in common."""
    parts = zip(*(p.split(".") for p in paths), strict=False)
    return ".".join(part[0] for part in takewhile(lambda part: len(set(part)) == 1, parts))


@dataclass
class Found:
    """A model and its blocks, each with what it gives; what is found last is in others."""

    results: list[Call]
    bodies: dict[Block, Call]


def with_blocks(results: Sequence[Call], taken: Names) -> Found:
    """A model with all that is worth while as blocks, the blocks among them."""
    found = Found(list(results), {})
    while len(found.bodies) < MOST:
        uses = _best([found.results, *([body] for body in found.bodies.values())])
        if not uses:
            break
        block, body, calls = _block(uses, taken)
        found.results = _rebuilt(found.results, calls)
        found.bodies = {b: _rebuilt([r], calls)[0] for b, r in found.bodies.items()} | {block: body}
    return found


def _best(graphs: Sequence[Sequence[Call]]) -> list[Use]:
    """The uses of what is most worth while to be a block; none where nothing is."""
    numbers: dict[tuple[object, ...], int] = {}
    uses: dict[tuple[int, ...], list[Use]] = {}
    for row in (chain for results in graphs for chain in chains(results)):
        kinds = [numbers.setdefault(region.signature, len(numbers)) for region in row]
        for length in range(1, LONGEST + 1):
            for at in _apart(kinds, length):
                uses.setdefault(tuple(kinds[at : at + length]), []).append(Use(tuple(row[at : at + length])))
    best = max(uses.values(), key=_preference, default=[])
    return best if best and _worth(best) > 0 else []


def _apart(kinds: Sequence[int], length: int) -> Iterator[int]:
    """Where runs of this length begin that do not overlap with an earlier one like them."""
    ends: dict[tuple[int, ...], int] = {}
    for at in range(len(kinds) - length + 1):
        key = tuple(kinds[at : at + length])
        if at >= ends.get(key, 0):
            ends[key] = at + length
            yield at


def _preference(uses: Sequence[Use]) -> tuple[int, bool, int]:
    """Of what saves as much, that which begins with a layer, and the larger."""
    return _worth(uses), any(c.owns for c in uses[0].regions[0].calls), len(uses[0].calls)


def _worth(uses: Sequence[Use]) -> int:
    """How many formulas need not be written, less what the block costs."""
    layers = uses[0].layers
    size = sum(len(r.formulas) for r in uses[0].regions) + sum(c.block is not None for c in layers)
    if len(uses) < 2 or size < SMALLEST or sum(1 + (c.block is not None) for c in layers) < 2:
        return 0
    return (len(uses) - 1) * min(size, LARGEST) - COST - len(set(_columns(uses).values()))


def _columns(uses: Sequence[Use]) -> dict[tuple[int, str], Column]:
    """The settings that differ between uses, by the number of the call and their name."""
    found = {}
    for i, calls in enumerate(zip(*(u.calls for u in uses), strict=True)):
        for key, usual in free_settings(calls[0]).items():
            values = tuple(c.settings.get(key, usual) for c in calls)
            if len(set(values)) > 1:
                found[i, key] = values
    return found


def _block(uses: Sequence[Use], taken: Names) -> tuple[Block, Call, dict[Call, Call]]:
    """A block, what it gives, and the call that is each use, by its result."""
    columns = _columns(uses)
    names = _argument_names(columns)
    first = uses[0]
    parameters = sorted((_parameter(n, v, columns) for v, n in names.items()), key=lambda p: p.default is not None)
    x = replace(first.entry, name="input", inputs=(), settings={"name": "x"}, weights={}, block=None, parts=(), slot=-1)
    block = Block(_free(_name(first), taken), tuple(parameters), x, tuple(dict.fromkeys(u.path for u in uses if u.path)))
    body = _body(first, x, {at: names[v] for at, v in columns.items()}, _paths_within(uses))
    values = {n: v for v, n in names.items()}
    calls = {u.result: _use(u, block, {p.name: values[p.name][i] for p in parameters}) for i, u in enumerate(uses)}
    return block, body, calls


def _free(name: str, taken: Names) -> str:
    """A name for a block, without a number: `NAME_2` is what the second use of `NAME` owns its weights by."""
    return taken.give(name, *(f"{name}_{letter}" for letter in ascii_lowercase[1:]))


def _use(use: Use, block: Block, given: Mapping[str, Any]) -> Call:
    usual = {p.name: p.default for p in block.parameters}
    settings = {n: v for n, v in given.items() if usual[n] is None or v != usual[n]}
    place = Place(path=use.path, within=use.within)
    of = {"settings": settings, "weights": {}, "place": place, "block": block, "parts": tuple(use.layers), "slot": -1}
    return replace(use.result, name=block.name, inputs=(use.entry,), **of)  # type: ignore[arg-type]  # of these fields


def _paths_within(uses: Sequence[Use]) -> list[str]:
    """The path of each call from the module of its use, where it is the same in all uses."""
    within = ([c.place.path.removeprefix(f"{u.path}.") if u.path else "" for c in u.calls] for u in uses)
    return ["".join({*paths}) if len({*paths}) == 1 else "" for paths in zip(*within, strict=True)]


def _body(use: Use, x: Call, arguments: Mapping[tuple[int, str], str], paths: Sequence[str]) -> Call:
    """The calls of a use, given `x`, with its arguments in the place of what differs, and its layers numbered."""
    new, slots = {use.entry: x}, iter(range(len(use.calls)))
    for i, c in enumerate(use.calls):
        asked = {key: Argument(name) for (at, key), name in arguments.items() if at == i}
        slot = next(slots) if c.owns else -1
        new[c] = replace(
            c, inputs=tuple(new[j] for j in c.inputs), settings={**c.settings, **asked}, slot=slot, place=replace(c.place, within=paths[i])
        )
    return new[use.result]


def _argument_names(columns: Mapping[tuple[int, str], Column]) -> dict[Column, str]:
    """What each argument is called: after its setting, and of several units the last is that of the result."""
    names, found = Names(), dict[Column, str]()
    by_key = [(key, values) for (_, key), values in columns.items()]
    for last in [v for k, v in by_key if k == "units"][-1:]:
        found[last] = names.give("units")
    for key, values in by_key:
        if values not in found:
            found[values] = names.give("hidden" if key == "units" else key)
    return found


def _parameter(name: str, values: Column, columns: Mapping[tuple[int, str], Column]) -> Parameter:
    """It has a default where one of its uses says nothing, and every setting that it is for has one."""
    keys = {key for (_, key), v in columns.items() if v == values}
    usual = {FREE.get(key) for key in keys}
    return Parameter(name, usual.pop() if len(usual) == 1 and usual & set(values) else None)


def _name(use: Use) -> str:
    """What it is, as far as it shows."""
    names = {c.name for c in use.calls}
    joined = next((r for r in use.regions if r.result.name == "+"), None)
    if joined:
        return "residual_block" if joined.entry in joined.result.inputs else "projection_block"
    if all(c.block for c in use.layers):
        return "stage"
    kinds = {"concat": "branches", "attention": "attention_block", "depthwise": "bottleneck", "conv": "convolved"}
    return next((kinds[n] for n in kinds if n in names), "block")


def _rebuilt(results: Sequence[Call], uses: Mapping[Call, Call]) -> list[Call]:
    """The results with blocks in the place of their uses."""
    new: dict[Call, Call] = {}
    for c in ordered(results):
        call = uses.get(c, c)
        new[c] = call.over(*(new[i] for i in call.inputs))
    return [new[r] for r in results]


def layers_of(call: Call, orders: Mapping[Block, Sequence[Call]]) -> list[Call]:
    """The layers that a call stands for, in the order in which the language calls them; `orders` are those within blocks."""
    if call.block is None:
        return list(call.parts) or [call]
    return [leaf for part in _parts(call, orders) for leaf in layers_of(part, orders)]


def _parts(call: Call, orders: Mapping[Block, Sequence[Call]]) -> list[Call]:
    """The layers that a use of a block has taken the place of, as its body has them in order."""
    assert call.block
    return [call.parts[inner.slot] for c in orders[call.block] for inner in _numbered(c, orders)]


def _numbered(c: Call, orders: Mapping[Block, Sequence[Call]]) -> list[Call]:
    """The numbered layers of a body that a call in it stands for: what has become a block later has no number."""
    return [c] if c.slot >= 0 else [inner for part in _parts(c, orders) for inner in _numbered(part, orders)]
