"""What is known when a spec is compiled: what operations make of numbers alone is computed, and is numbers again."""

from __future__ import annotations

import operator
from dataclasses import replace
from math import prod
from typing import Any

from nnspec import limits
from nnspec.diagnostics import fault
from nnspec.elaborate.values import Applied, Tensor, Value
from nnspec.graph.types import BATCH_NAME, bind, size_names
from nnspec.graph.walk import walk
from nnspec.lazy import np

ALONE = {BATCH_NAME: 1}
"""What has no example before it is computed once."""
EXACT = 2**53
"""Up to here a float tells every whole number from the next."""


def folded(value: Value) -> Value:
    """The value with numbers in the place of what is computed from numbers alone, also in lists and arguments."""
    return _folded(value, {})


def _folded(value: Value, known: dict[int, Value]) -> Value:
    """`known` are lists that have been seen, by their identity: one may hold another many times over."""
    match value:
        case Tensor():
            return _numbers(value) if _of_numbers(value) else value
        case tuple():
            if id(value) not in known:
                known[id(value)] = _list(value, known)
            return known[id(value)]
        case Applied():
            return replace(value, arguments={name: _folded(v, known) for name, v in value.arguments.items()})
    return value


def _list(items: tuple[Value, ...], known: dict[int, Value]) -> tuple[Value, ...]:
    """The list itself where nothing in it is folded."""
    found = tuple([_folded(item, known) for item in items])
    return items if all(map(operator.is_, found, items)) else found


def is_constant(value: Value) -> bool:
    """Whether no part of it waits for a model to run."""
    return _is_constant(value, set())


def _is_constant(value: Value, seen: set[int]) -> bool:
    match value:
        case tuple():
            if id(value) in seen:
                return True
            seen.add(id(value))
            return all(_is_constant(item, seen) for item in value)
        case Applied():
            return all(_is_constant(v, seen) for v in value.arguments.values())
    return not isinstance(value, Tensor)


def _of_numbers(t: Tensor) -> bool:
    """Whether nothing is fed to it, and no size is asked for that only data tell."""
    nodes = map(t.var.graph.__getitem__, t.var.graph.needed([t.var.name]))
    return all(not n.op.is_source and n.op.name != "size_of" and size_names(n.type.shape) <= ALONE.keys() for n in nodes)


def _numbers(t: Tensor) -> Value:
    graph, needed = t.var.graph, t.var.graph.needed([t.var.name])
    for node in graph:
        if node.name in needed and (elements := prod(bind(node.type.shape, ALONE))) > limits.most("list"):
            message = f"a list has at most {limits.most('list'):,} elements, and this is computed from {elements:,}"
            raise limits.exceeded("list", message, node.span)
    with np.errstate(all="ignore"):
        array = walk(graph, {}, ALONE, needed)[t.var.name]
    if not np.isfinite(array).all():
        raise fault("E107", "this is known when the spec is compiled, and is no number", t.origin)
    return _nested((array[0] if t.batched else array).tolist())


def _nested(items: Any) -> Value:
    """As tuples; what is whole can be a size, as a whole quotient can."""
    if isinstance(items, list):
        return tuple(map(_nested, items))
    return int(items) if isinstance(items, float) and items.is_integer() and abs(items) < EXACT else items
