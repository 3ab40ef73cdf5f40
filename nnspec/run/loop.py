"""A `scan` bound to memory: the body planned once, and run step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from nnspec.graph.loop import KINDS, BoundLoop
from nnspec.ops.loop import order
from nnspec.run.program import Array, Program

Call = Callable[[], Any]


def prepare_scan(out: Array, *inputs: Array, body: BoundLoop, carries: int, items: int, length: int, reverse: bool) -> Call:
    """All steps into `out`, [length, batch, ...]."""
    starts, sequences, given = inputs[:carries], inputs[carries : carries + items], inputs[carries + items :]
    carried, at_step = [np.empty_like(s) for s in starts], [np.empty(s.shape[1:], s.dtype) for s in sequences]
    groups: tuple[Sequence[Array], ...] = (carried, at_step, given)
    memory = {f"{kind}:{i}": array for kind, arrays in zip(KINDS, groups, strict=True) for i, array in enumerate(arrays)}
    named = {n.name for n in body.body if n.op.is_source}
    program = Program(body.body, body.sizes, memory, {f"carry:{i}": f"carry:{i}" for i in range(carries) if f"carry:{i}" in named})
    begin: list[Call] = [partial(np.copyto, c, s) for c, s in zip(carried, starts, strict=True)]
    steps = [c for t in order(length, reverse) for c in _step(program, t, out, at_step, sequences)]
    calls = [*begin, *steps]

    def run() -> None:
        for call in calls:
            call()

    return run


def _step(program: Program, t: int, out: Array, at_step: Sequence[Array], sequences: Sequence[Array]) -> Iterator[Call]:
    """The items of a step in, the body, what it yields out; what it yields of the values before it goes out first."""
    yield from (partial(np.copyto, a, s[t]) for a, s in zip(at_step, sequences, strict=True))
    early: list[Call] = []
    late: list[Call] = []
    start = 0
    plan = program.plan
    for public, name in plan.graph.outputs.items():
        if public.startswith("out:"):
            value = program.output(public)
            width = prod(value.shape[1:])
            copy = partial(np.copyto, out[t, :, start : start + width].reshape(value.shape), value)
            (early if plan.graph[plan.root(name)].op.is_source else late).append(copy)
            start += width
    yield from (*early, *program.calls, *late)
