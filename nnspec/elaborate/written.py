"""Settings of a train block as the language writes them, by what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from nnspec.elaborate.augmentation import Augmentation
from nnspec.elaborate.phases import PHASE_SETTINGS, Word
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import STOPS, Stop, Training
from nnspec.elaborate.values import Applied, describe

SETTINGS = ("data", "validation", "test", "batch", "epochs", "steps", "optimizer", "schedule", "penalty", "clip", "stop", "augment",
            "seed", "start", "checkpoint")  # fmt: skip
NUMBERED = ("penalty", "clip")
"""Settings that are words with a number each: `l2(0.1)`."""


def settings(training: Training) -> Iterator[tuple[str, str]]:
    """Every setting that a train block has, its name and what stands after it."""
    for name in SETTINGS:
        value = getattr(training, name)
        if value is not None and value != ():
            yield name, _numbered(name, value) if name in NUMBERED else written(value)
    for number, phase in enumerate(training.phases, 1):
        place = f"phase {number}: " if len(training.phases) > 1 else ""
        words = {name: getattr(phase, name) for name in PHASE_SETTINGS}
        yield from ((place + name, ", ".join(w.text for w in found)) for name, found in words.items() if found)


@singledispatch
def written(value: Any) -> str:
    """A value as it would be written."""
    return describe(value)


@written.register
def _(value: tuple) -> str:  # type: ignore[type-arg]
    return ", ".join(map(written, value))


@written.register
def _(value: Applied) -> str:
    arguments = ", ".join(f"{n} = {_argument(v)}" for n, v in value.arguments.items())
    return f"{value.name}({arguments})" if arguments else value.name


@written.register
def _(value: DataSource) -> str:
    """By what its options come to; one that says which field is which as it stands."""
    if value.fields:
        return value.span.one_line
    options = [f"{n} = {v if isinstance(v, str) else describe(v)}" for n, v in value.options.items() if v is not None]
    arguments = ", ".join([*([f'"{value.path}"'] if value.path else []), *options])
    return f"{value.name}({arguments})" if arguments else value.name


@written.register
def _(value: Word) -> str:
    return f'from "{value.text}"'


@written.register
def _(value: Stop) -> str:
    words = [(w, getattr(value, w)) for w in STOPS[value.kind][0]]
    arguments = (v if w == "metric" else f"{w} = {v if w == 'best' else describe(v)}" for w, v in words if v is not None)
    return f"{value.kind}({', '.join(arguments)})"


@written.register
def _(value: Augmentation) -> str:
    return f"{', '.join((value.input, *value.along))} -> {value.kind}({', '.join(map(describe, value.amounts))})"


def _argument(value: Any) -> str:
    return written(value) if isinstance(value, Applied) else describe(value)


def _numbered(name: str, value: Any) -> str:
    pairs = value if name == "penalty" else (value,)
    return ", ".join(f"{word}({describe(number)})" for word, number in pairs)
