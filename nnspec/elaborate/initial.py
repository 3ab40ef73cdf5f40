"""The first values of parameters and states: what inits draw from the seed, and what lies in files."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from math import prod

from nnspec.diagnostics import Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.alike import Look
from nnspec.elaborate.applied import sample
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.recipe import Unlike
from nnspec.elaborate.remember import of_library
from nnspec.elaborate.scope import Frame
from nnspec.elaborate.values import INIT_NAMES, Applied, Owned, Saved
from nnspec.graph import Graph, Shape, Type, Var
from nnspec.graph.types import broadcast, show
from nnspec.ops import OPS
from nnspec.record import dataclass


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out): of a matrix its rows and columns, of a kernel [units, channels, ...] its inputs and outputs a position."""
    sizes = [int(str(d)) for d in shape]
    if len(sizes) < 2:
        return (sizes[0], sizes[0]) if sizes else (1, 1)
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    return prod(sizes[1:]), sizes[0] * prod(sizes[2:])


DRAWN = "drawn"
"""What is remembered of an init that drew a parameter."""


@dataclass(frozen=True)
class Initial:
    """A graph from the seed to the first value of every parameter and state, but for those that start from a file or came with a value."""

    graph: Graph
    saved: dict[str, Saved]


def initial_values(definitions: Definitions, owned: Mapping[str, Owned], dtype: str) -> Initial:
    graph, saved = Graph("init", dtype), dict[str, Saved]()
    e = Elaborator(graph, definitions, training=True)
    for name in (SEED, STEP):
        graph.source(OPS["input"], name, Type("int64"))
    for o in owned.values():
        if o.start is None:
            continue
        with graph.at(span=o.span):
            first = _initial(e, o)
        if isinstance(first, Saved):
            saved[o.name] = first
        else:
            graph.outputs[o.name] = first.name
    return Initial(graph, saved)


def files_of(definitions: Definitions, owned: Mapping[str, Owned], dtype: str) -> dict[str, Saved]:
    """The files that parameters start from; a Fault where one cannot start as it says.

    Of those that start alike one is tried, and of the inits of the library none that has drawn such a parameter before, or
    that the library itself has chosen.
    """
    first: dict[Hashable, Owned] = {}
    tried = {name: first.setdefault(_way(o), o).name for name, o in owned.items() if not (_is_of_library(o) and _place(o).source.library)}
    new = {way: o for way, o in first.items() if way not in of_library()}
    saved = initial_values(definitions, {o.name: o for o in new.values()}, dtype).saved
    of_library().update({way: DRAWN for way, o in new.items() if o.name not in saved and _is_of_library(o)})
    return {name: replace(saved[one], span=_place(owned[name])) for name, one in tried.items() if one in saved}


def _way(o: Owned) -> Hashable:
    """How it starts; with what cannot be compared, as no other does. To an init of the library that gets numbers all sizes are alike."""
    init, values = (o.start.function, o.start.arguments) if isinstance(o.start, Applied) else (None, {"": o.start})
    try:
        look = Look(values)
    except Unlike:
        return o.name
    any_size = _is_of_library(o) and all(isinstance(v, int | float) for v in values.values())
    return id(init), look.key, (o.type.dtype, o.type.rank) if any_size else o.type


def _is_of_library(o: Owned) -> bool:
    return isinstance(o.start, Applied) and o.start.function.of_library and Look(o.start.arguments).library


def _place(o: Owned) -> Span:
    return o.start.span if isinstance(o.start, Applied) else o.span


def _initial(e: Elaborator, o: Owned) -> Var | Saved:
    if not isinstance(o.start, Applied):
        value = batch.as_float(e.graph, o.start, o.span)
    else:
        known = dict(zip(INIT_NAMES, (o.type.shape, *fans(o.type.shape)), strict=True))
        result = sample(e, o.start, known, Frame(o.name))
        if isinstance(result, Saved):
            return replace(result, span=_place(o))
        value = batch.as_float(e.graph, result, o.start.span)
    if value.shape == o.type.shape:
        return value.var
    if broadcast(value.shape, o.type.shape) != o.type.shape:
        assert isinstance(o.start, Applied)
        message = f"the init `{o.start.name}` gives {show(value.shape)}, and the parameter `{o.name}` is {show(o.type.shape)}"
        raise fault("E208", message, o.start.function.definition.name.span)
    return OPS["expand"](value.var, shape=o.type.shape)
