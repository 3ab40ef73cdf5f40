"""A `scan` bound to memory: the body planned once, and bound for every step to the memory of that step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnspec.graph.loop import KINDS, BoundLoop
from nnspec.ops.loop import order, part, parts
from nnspec.run.program import Array, Program

Call = Callable[[], Any]


def prepare_scan(out: Array, *inputs: Array, body: BoundLoop, carries: int, items: int, length: int, reverse: bool) -> Call:
    """All steps: what they yield into `out`, one sequence after another."""
    starts, sequences, given = inputs[:carries], inputs[carries : carries + items], inputs[carries + items :]
    places = _places(body, starts, [part.kernel(out, start, shape) for start, shape in parts(body, length)], length)
    calls = list(_calls(body, starts, sequences, given, places, order(length, reverse)))

    def run() -> None:
        for call in calls:
            call()

    return run


def _places(body: BoundLoop, starts: Sequence[Array], yielded: Sequence[Array], length: int) -> dict[str, Array | list[Array]]:
    """Where at each step the outputs of the body go: into the sequences, and a carried value that no step yields to two places in turn."""
    places: dict[str, Array | list[Array]] = {f"out:{i}": sequence for i, sequence in enumerate(yielded)}
    for i, start in enumerate(starts):
        if _yielded_as(body, i) not in places:
            pair = np.empty_like(start, order="C"), np.empty_like(start, order="C")
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
) -> Iterator[Call]:
    """The calls of all steps: each reads the carried values where the step before it has left them."""
    leaving = [places[_yielded_as(body, i)] for i in range(len(carried))]
    program = None
    for t in steps:
        groups = zip(KINDS, (carried, [s[t] for s in sequences], given), strict=True)
        memory = {f"{kind}:{i}": array for kind, arrays in groups for i, array in enumerate(arrays)}
        memory |= {f"new {public}": place[t] for public, place in places.items()}
        program = Program(body.body, body.sizes, memory, {public: f"new {public}" for public in places}, program)
        yield from program.calls
        carried = [place[t] for place in leaving]
