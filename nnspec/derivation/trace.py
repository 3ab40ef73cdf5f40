"""One step of training on a few examples, as a table of numbers that a person can check by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from textwrap import wrap
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.derivation.chain import Chain
from nnspec.derivation.numbers import backward, forward
from nnspec.derivation.signs import Plain, Term
from nnspec.derivation.step import LOSS
from nnspec.derivation.values import Values, values_of
from nnspec.diagnostics import columns, printable
from nnspec.elaborate.phases import PHASE_SETTINGS
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import optimizer_states
from nnspec.elaborate.written import settings
from nnspec.optimization import LR, T
from nnspec.picture.look import short
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.engine import PHASE_SHIFT, Engine

TITLES = {
    "given": "given",
    "forward": "forward",
    "errors": "errors ε(v) = ∂L/∂v, for each example",
    "derivatives": "derivatives of the mean loss",
    "updated": "weights after the step",
}
CONDITIONS = ("schedule", "penalty", "clip", *PHASE_SETTINGS)
CHANGED = ("param:", "state:", "opt:")
MOST_NUMBERS, SMALL, LEAST = 16, 1e-4, 32


@dataclass(frozen=True)
class Line:
    """One row of the table: its part, what it is called, how it is computed, and its value, perhaps one for each example; and its phase."""

    part: str
    name: str
    formula: str
    value: Array
    batched: bool = False
    phase: int = 1

    @property
    def shown(self) -> Array:
        """The value; of one example without the axis of the batch."""
        return self.value[0] if self.batched and len(self.value) == 1 else self.value


def trace(spec: Compilation, fields: Mapping[str, Array], rate: float, training: Mapping[str, Array] | None = None) -> list[Line]:
    """A step of the first train block on these examples from the initial weights, in float64, phase after phase.

    States that are learnt from the whole `training` data are what they are learnt to be.
    """
    spec = replace(spec, dtype="float64").checked()
    engine = Engine(spec, "reference")
    engine.initialise(seed := spec.trainings[0].seed)
    if training:
        engine.fit_states(training)
    now = {n: v.copy() for n, v in {**engine.params, **engine.states}.items()} | _memory(spec) | {LR: rate, T: 1}
    sizes, lines = reference.sizes_of(spec.model.ports, fields), list[Line]()
    for number, phase in enumerate(spec.first_stage):
        now |= {SEED: seed, STEP: number << PHASE_SHIFT, **fields}
        values = values_of(spec, phase.losses)
        known = forward(values, now)
        found = reference.run(phase.step, now, sizes=sizes)
        now |= {public.partition(":")[2]: value for public, value in found.items() if public.startswith(CHANGED)}
        after = [Line("updated", n, "", now[n]) for n in phase.parameters]
        rows = [*_given(values, known), *_forward(values, known), *_backward(values, known, phase.parameters), *after]
        lines += [replace(line, phase=number + 1) for line in rows]
    return lines


def _memory(spec: Compilation) -> dict[str, Any]:
    """What the optimizer has for each parameter before the first step."""
    optimizer = spec.trainings[0].optimizer
    starts = optimizer_states(optimizer) if optimizer else {}
    return {f"{n}.{s}": np.full(t.numbers, start) for n, t in spec.parameter_types.items() for s, start in starts.items()}


def conditions(training: Training, rate: float) -> list[str]:
    """What else a step hangs on besides its examples and its optimizer, as the train block says it."""
    said = ((name, value) for name, value in settings(training) if name.rpartition(" ")[2] in CONDITIONS)
    return [f"{name} {value}" + f", at first a rate of {rate:.9g}" * (name == "schedule") for name, value in said]


def _given(values: Values, known: Mapping[str, Array]) -> Iterator[Line]:
    yield from (Line("given", printable(n), "", known[n], t.has_batch) for n, t in values.sources.items() if n not in (SEED, STEP))


def _forward(values: Values, known: Mapping[str, Array]) -> Iterator[Line]:
    for name, equation in Chain(values, "", Plain()).formulas():
        yield Line("forward", equation.left, equation.right, known[name], _is_batched(values, name))
    if known[LOSS].size > 1:
        yield Line("forward", f"mean {LOSS}", "", known[LOSS].mean())


def _backward(values: Values, known: Mapping[str, Array], trained: Collection[str]) -> Iterator[Line]:
    """The error of every value, ε = ∂L/∂value of each example, the mean for what they share; and derivatives by what is trained."""
    found, examples, chain = backward(values, known), known[LOSS].size, Chain(values, "", _Errors())
    for name, formula in chain.derivatives():
        if name in found:
            error = found[name] / examples if name in values.shared else found[name]
            yield Line("errors", f"ε({printable(name)})", formula, error, _is_batched(values, name))
    for name in trained:
        if name in found:
            yield Line("derivatives", f"∂{LOSS}/∂{printable(name)}", chain.derivative(name), found[name] / examples)


def _is_batched(values: Values, name: str) -> bool:
    return name not in values.pooled | values.shared


class _Errors(Plain):
    """Derivatives of the loss by values that are no parameters are called errors."""

    def partial(self, of: str, by: str) -> Term:
        return self.call("ε", [self.name(by)]) if of == LOSS else super().partial(of, by)


def table(title: str, lines: Sequence[Line], width: int) -> str:
    """The rows by phase and part, on lines of at most so many columns; values below what they are of, where there is no room beside."""
    name = max(columns(line.name) for line in lines)
    formula = max(columns(short(line.formula)) for line in lines)
    beside = width - name - formula - 6
    text, several = [title], lines[-1].phase > 1
    for (phase, part), rows in groupby(lines, lambda line: (line.phase, line.part)):
        text += ["", f"phase {phase}: {TITLES[part]}" if several else TITLES[part]]
        for line in rows:
            head = f"  {padded(line.name, name)}  {padded(short(line.formula), formula)}"
            text += _beside(head, line.shown, beside) if beside >= LEAST else _below(head, line.shown, max(width - 6, LEAST))
    return "\n".join(text)


def _beside(head: str, value: Array, room: int) -> list[str]:
    first, *more = wrapped(value, room)
    return [f"{head}  {first}", *(" " * (columns(head) + 2) + row for row in more)]


def _below(head: str, value: Array, room: int) -> list[str]:
    return [head.rstrip(), *(" " * 6 + row for row in wrapped(value, room))]


def padded(text: str, width: int) -> str:
    """Text with spaces after it, up to so many columns of a terminal."""
    return text + " " * (width - columns(text))


def wrapped(value: Array, room: int) -> list[str]:
    """A value on lines of so many columns, rows of a matrix below each other."""
    text = shown(value)
    if len(text) <= room or value.ndim < 2 or value.size > MOST_NUMBERS:
        return wrap(text, room, subsequent_indent=" " * text.startswith("["))
    rows = [row for i, part in enumerate(value) for row in _item(part, room - 2, last=i == len(value) - 1)]
    return [f"[{rows[0]}", *(f" {row}" for row in rows[1:])]


def _item(value: Array, room: int, *, last: bool) -> list[str]:
    *rows, end = wrapped(value, room)
    return [*rows, end + ("]" if last else ",")]


def shown(value: Array) -> str:
    """Numbers as nested lists; of many, how many there are and what they are like."""
    if value.size <= MOST_NUMBERS:
        return _nested(value)
    low, high, mean = (_number(f(value)) for f in (np.min, np.max, np.mean))
    return f"{list(value.shape)} from {low} to {high}, mean {mean}"


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if value.ndim else _number(value)


def _number(value: Any) -> str:
    """To the ninth decimal, which is what worked examples print; smaller numbers to their sixth digit."""
    if value.dtype.kind in "bi":
        return str(value)
    return f"{value:.9f}".rstrip("0").rstrip(".") if value == 0 or abs(value) >= SMALL else f"{value:.5e}"
