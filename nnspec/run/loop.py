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
    step = _Step(body, [np.empty_like(s) for s in starts], [np.empty(s.shape[1:], s.dtype) for s in sequences], given)
    calls: list[Call] = [partial(np.copyto, c, s) for c, s in zip(step.carried, starts, strict=True)]
    for t in order(length, reverse):
        calls += [partial(np.copyto, item, s[t]) for item, s in zip(step.items, sequences, strict=True)]
        calls += step.calls(out[t])

    def run() -> None:
        for call in calls:
            call()

    return run


class _Step:
    """The body over memory of its own for the carried values and the items of a step.

    A carried value is computed into its place where the body does not read it later. What a step yields or carries on of the values
    before it is put aside first.
    """

    def __init__(self, body: BoundLoop, carried: Sequence[Array], items: Sequence[Array], given: Sequence[Array]) -> None:
        self.carried, self.items = carried, items
        memory = {f"{kind}:{i}": a for kind, arrays in zip(KINDS, (carried, items, given), strict=True) for i, a in enumerate(arrays)}
        carries = [f"carry:{i}" for i in range(len(carried))]
        in_place = [c for c in carries if c in body.body.nodes and not any(self._is_old(body, other) for other in carries)]
        self.program = Program(body.body, body.sizes, memory, {c: c for c in in_place})
        self.moved = [(self.program.output(c), memory[c]) for c in carries if c not in in_place]
        self.aside = [np.empty_like(target) for _, target in self.moved]
        self.yielded = [(p, self._is_old(body, p)) for p in body.body.outputs if p.startswith("out:")]

    @staticmethod
    def _is_old(body: BoundLoop, public: str) -> bool:
        """Whether an output is a value from before the step, or that value seen otherwise."""
        node = body.body[body.body.outputs[public]]
        while node.op.view:
            node = body.body[node.inputs[0]]
        return node.op.is_source

    def calls(self, out: Array) -> Iterator[Call]:
        """One step, which yields into `out`."""
        copies = list(self._copies(out))
        yield from (copy for copy, old in copies if old)
        yield from self.program.calls
        yield from (copy for copy, old in copies if not old)
        yield from (partial(np.copyto, aside, value) for aside, (value, _) in zip(self.aside, self.moved, strict=True))
        yield from (partial(np.copyto, target, aside) for aside, (_, target) in zip(self.aside, self.moved, strict=True))

    def _copies(self, out: Array) -> Iterator[tuple[Call, bool]]:
        start = 0
        for public, old in self.yielded:
            value = self.program.output(public)
            width = prod(value.shape[1:])
            yield partial(np.copyto, out[:, start : start + width].reshape(value.shape), value), old
            start += width
