"""A `scan` bound to memory: the body planned once, and bound for every step to the memory of that step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph.loop import KINDS, BoundLoop
from nnspec.graph.types import bind
from nnspec.ops.columns import in_turn
from nnspec.ops.linear import turned_into
from nnspec.ops.loop import order, parts, piece
from nnspec.plan.layout import Layout
from nnspec.plan.memory import schedule
from nnspec.run.program import Program

Call = Callable[[], Any]


def prepare_scan(
    out: Array, *inputs: Array, body: BoundLoop, carries: int, items: int, length: int, reverse: bool, columns: bool = False
) -> Call:
    """All steps: what they yield into `out`, one sequence after another. With `columns` every matrix lies with its rows innermost."""
    calls: list[Call] = []
    given = [_ordered(_laid_out(a, body, f"given:{i}", columns), columns, calls) for i, a in enumerate(inputs[carries + items :])]
    sequences = [_ordered(a, columns, calls) for a in inputs[carries : carries + items]]
    yielded = [piece(out, bind(start, {}), type.bound({}).numbers, type.dtype, columns) for start, type in parts(body, length)]
    places = _places(body, inputs[:carries], yielded, length, columns)
    calls += _calls(body, inputs[:carries], sequences, given, places, order(length, reverse), columns)
    return in_turn(calls)


def _laid_out(x: Array, body: BoundLoop, name: str, columns: bool) -> Array:
    """A vector for every example where each step only computes with it number by number: in columns NumPy is slow at broadcasting it."""
    readers = [n for n in body.body if name in n.inputs]
    by_number = bool(readers) and name not in body.body.outputs.values() and all(n.op.pointwise and n.type.rank == 2 for n in readers)
    if not columns or x.ndim != 1 or not by_number:
        return x
    examples = body.types("out:")[0].bound({}).numbers[0]
    return np.broadcast_to(x, (examples, len(x)))


def _ordered(x: Array, columns: bool, calls: list[Call]) -> Array:
    """An array whose matrices lie as every step wants them: itself, or a copy that is made before the first step."""
    inner = x.mT if columns and x.ndim > 1 else x
    if inner.flags.c_contiguous or (x.ndim > 2 and inner.strides[-1] == x.itemsize):
        return x
    memory = np.empty(inner.shape, x.dtype)
    copy = memory.mT if inner is not x else memory
    calls.append(turned_into(copy, x) if x.ndim == 2 else partial(np.copyto, copy, x))
    return copy


def _places(
    body: BoundLoop, starts: Sequence[Array], yielded: Sequence[Array], length: int, columns: bool
) -> dict[str, Array | list[Array]]:
    """Where at each step the outputs of the body go: into the sequences, and a carried value that no step yields to two places in turn."""
    places: dict[str, Array | list[Array]] = {f"out:{i}": sequence for i, sequence in enumerate(yielded)}
    for i, start in enumerate(starts):
        if _yielded_as(body, i) not in places:
            pair = [np.empty(start.shape, start.dtype, "F" if columns else "C") for _ in range(2)]
            places[f"carry:{i}"] = [pair[t % 2] for t in range(length)]
    return places


def _yielded_as(body: BoundLoop, carry: int) -> str:
    """The output that is a carried value as it will be: what the step yields of it, if it does."""
    outputs = body.body.outputs
    same = (p for p, name in outputs.items() if p.startswith("out:") and name == outputs[f"carry:{carry}"])
    return next(same, f"carry:{carry}")


def _calls(
    body: BoundLoop,
    carried: Sequence[Array],
    sequences: Sequence[Array],
    given: Sequence[Array],
    places: Mapping[str, Array | list[Array]],
    steps: range,
    columns: bool,
) -> Iterator[Call]:
    """The calls of all steps: each reads the carried values where the step before it has left them."""
    leaving = [places[_yielded_as(body, i)] for i in range(len(carried))]
    laid = {n.name for n in body.body if columns and n.type.rank == 2}
    plan = schedule(body.body, body.sizes, {public: f"new {public}" for public in places}, Layout(frozenset(), laid))
    arena, scratches = np.empty(plan.arena_bytes, np.uint8), dict[str, Array]()
    for t in steps:
        groups = zip(KINDS, (carried, [s[t] for s in sequences], given), strict=True)
        memory = {f"{kind}:{i}": array for kind, arrays in groups for i, array in enumerate(arrays)}
        memory |= {f"new {public}": place[t] for public, place in places.items()}
        yield from Program(body.body, body.sizes, memory, plan=plan, arena=arena, laid=scratches).calls
        carried = [place[t] for place in leaving]
