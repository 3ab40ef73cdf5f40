"""What is probably not meant and shows only once the data are there: before the first step of a train block."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Span, printable
from nnspec.elaborate.training import Training
from nnspec.elaborate.update import starts_from_the_base
from nnspec.elaborate.values import Applied
from nnspec.graph import Node
from nnspec.lint.labels import labelled
from nnspec.run.fractions import Fractions
from nnspec.run.stored import in_parts
from nnspec.train.binding import items
from nnspec.train.check import Fields, examples, listing
from nnspec.train.labels import Labels
from nnspec.train.schedule import LearningRate

POINTS, FEW_STEPS = 200, 1024
ROUNDING = 1e-9


def doubts(spec: Compilation, stage: int, data: Fields, labels: Labels, epochs: int, steps: int) -> Iterator[Diagnostic]:
    training = spec.trainings[stage]
    yield from _batch_of_one(spec, training, examples(data))
    yield from _labels_never_seen(spec, training, data, labels)
    yield from _labels_of_another_kind(spec, data)
    yield from _equal_by_rounding(spec, training, data)
    yield from _rates(spec, stage, epochs, steps, ceil(examples(data) / training.batch))


def _place(training: Training, *settings: str) -> Span:
    """The first of these settings that is written, or the head of the block."""
    return next((training.spans[name] for name in settings if name in training.spans), training.head)


def _batch_of_one(spec: Compilation, training: Training, number: int) -> Iterator[Diagnostic]:
    """W114: statistics of a batch, and a batch of one."""
    normalised = next(filter(_is_over_the_batch, spec.training_model[0].graph), None)
    if normalised and (number % training.batch or training.batch) == 1:
        every = training.batch == 1
        message = f"{'every batch' if every else 'the last batch of an epoch'} has one example, from which no mean and variance can be had"
        better = next((size for size in range(training.batch + 1, 2 * training.batch + 3) if number % size != 1), None)
        help_ = f"there are {number:,} examples: write for example `batch {better}`" if better else "there is one example"
        notes = ((normalised.span, "they are wanted here"),) if normalised.span else ()
        yield Diagnostic("W114", message, _place(training, "batch", "data"), notes=notes, help=help_, level="warning")


def _is_over_the_batch(node: Node) -> bool:
    return node.op.name == "mean" and node.role == "forward" and 0 in node.attributes["axes"]


def _labels_never_seen(spec: Compilation, training: Training, data: Fields, labels: Labels) -> Iterator[Diagnostic]:
    """W115: a class of which the training data have no example."""
    for name, type in spec.model.targets.items():
        if type.classes and type.rank == 1 and name in data:
            unseen = sorted(set(range(type.classes)).difference(*(np.unique(part).tolist() for part in in_parts(data[name]))))
            if unseen:
                message = f"the training data have no example of {_classes(unseen)} of `{name}`, a class({type.classes})"
                missing = [printable(labels[name][number]) if name in labels else str(number) for number in unseen]
                declared = "" if name in labels else "declare as many as there are, numbered from 0, or "
                help_ = f"missing: {listing(missing)}; {declared}see how the data are cut"
                notes = ((spec.model.spans[name], "declared here"),)
                yield Diagnostic("W115", message, _place(training, "data"), notes=notes, help=help_, level="warning")


def _labels_of_another_kind(spec: Compilation, data: Fields) -> Iterator[Diagnostic]:
    """W132: labels that are no shares from 0 to 1, or such where -1 and 1 are due."""
    for found in labelled(spec.model, spec.definitions):
        if found.target in data and not spec.model.targets[found.target].classes:
            least, most = zip(*((np.min(part), np.max(part)) for part in in_parts(data[found.target])), strict=True)
            low, high = float(min(least)), float(max(most))
            wrong = low == 0 and high == 1 if found.signed else low < 0 or high > 1
            if wrong:
                yield found.of(low, high)


def _equal_by_rounding(spec: Compilation, training: Training, data: Fields) -> Iterator[Diagnostic]:
    """W135: a column of large numbers close to each other, of which examples have neighbours among the floats, or the same one."""
    for name, type in spec.model.ports.items():
        if name in data and type.is_float and type.rank in (1, 2) and not isinstance(data[name], Fractions):
            made_of = items(training.data, name) if training.data else (name,)
            for column, low, high in _crowded(data[name]):
                found = np.unique(np.concatenate([np.unique(part.reshape(len(part), -1)[:, column]) for part in in_parts(data[name])]))
                if len(found) < len(data[name]) and _are_neighbours(found):
                    which = str(made_of[column]) if len(made_of) > column else name
                    apart = f"whose numbers lie {np.spacing(max(abs(low), abs(high))):g} apart there"
                    message = f"`{which}` of {len(data[name]):,} examples has {len(found):,} values in {spec.dtype}, {apart}"
                    help_ = f"take off in the data block what they have in common, before they are rounded: `{which} - {floor(low)}`"
                    yield Diagnostic("W135", message, _place(training, "data"), help=help_, level="warning")


def _crowded(values: np.ndarray) -> list[tuple[int, np.floating[Any], np.floating[Any]]]:
    """The columns whose numbers span few of the steps between floats of their size: which, and the least and largest."""
    ends = [(part.min(axis=0).reshape(-1), part.max(axis=0).reshape(-1)) for part in in_parts(values)]
    low, high = np.min([e[0] for e in ends], axis=0), np.max([e[1] for e in ends], axis=0)
    near = (low < high) & (high - low < FEW_STEPS * np.spacing(np.maximum(abs(low), abs(high))))
    return [(int(i), low[i], high[i]) for i in np.flatnonzero(near)]


def _are_neighbours(found: np.ndarray) -> bool:
    """Whether between some of these sorted numbers there is no other, unless they are whole numbers, of which there is none either."""
    exact = abs(found).max() <= 2 / np.finfo(found.dtype).eps and bool((found == np.floor(found)).all())
    return not exact and bool((np.nextafter(found[:-1], found[1:]) == found[1:]).any())


def _classes(unseen: list[int]) -> str:
    return f"the class {unseen[0]}" if len(unseen) == 1 else f"{len(unseen)} classes"


def _rates(spec: Compilation, stage: int, epochs: int, steps: int, an_epoch: int) -> Iterator[Diagnostic]:
    """W126 and W116, of what a schedule gives; one that waits for the loss is not judged."""
    schedule = spec.trainings[stage].schedule
    if schedule is None or schedule.name == "constant" or re.search(r"\bstale\b", schedule.function.definition.span.text):
        return
    rate = LearningRate(spec, epochs, steps, stage)
    rates = {step: rate(step // an_epoch, step) for step in np.unique(np.linspace(0, steps - 1, POINTS, dtype=int)).tolist()}
    optimizer, step = spec.trainings[stage].optimizer, next((step for step, r in rates.items() if r < -ROUNDING * rate.base), None)
    if step is not None and rate.base >= 0 and optimizer and optimizer.function.of_library:
        yield _below_zero(schedule, rates[step], f"epoch {step // an_epoch + 1}, step {step + 1}")
    elif optimizer and rates[0] == 1 != rate.base and "lr" not in optimizer.arguments:
        yield from _factor_alone(spec, optimizer, schedule, rate.base)
    else:
        yield from _schedule_longer_than_the_run(schedule, rate.base, list(rates.values()), epochs, steps)


def _below_zero(schedule: Applied, rate: float, when: str) -> Diagnostic:
    """W126: a schedule that gives an optimizer of the library a negative rate, as `sgd(lr = -0.1)` has one."""
    message = f"`{schedule.name}` gives a rate of {rate:.3g} in {when}: that goes up the gradient, so that the loss grows"
    help_ = "a rate is above 0, as that of `linear` or `cosine`, which end at 0; what is to grow is made a loss with a minus in front"
    return Diagnostic("W126", message, schedule.span, help=help_, level="warning")


def _factor_alone(spec: Compilation, optimizer: Applied, schedule: Applied, base: float) -> Iterator[Diagnostic]:
    """W133: a schedule that starts from 1, as a factor does, and leaves out the rate that the optimizer has where none is given."""
    if not starts_from_the_base(spec.definitions, schedule):
        message = f"`{schedule.name}` gives a rate of 1 in the first step, where that of `{optimizer.name}` is {base:g}"
        help_ = "a schedule gives the rate itself, and a factor is multiplied by it: `lr * ...`"
        yield Diagnostic("W133", message, schedule.span, help=help_, level="warning")


def _schedule_longer_than_the_run(schedule: Applied, base: float, rates: Sequence[float], epochs: int, steps: int) -> Iterator[Diagnostic]:
    """W116: a rate that stays as the optimizer says, or still rises at the end."""
    length = f"{steps:,} steps ({epochs} epoch{'s' if epochs > 1 else ''})"
    if len(rates) > 1 and set(rates) == {base}:
        message = f"the schedule `{schedule.name}` does nothing in a run of {length}: the rate is {rates[0]:.3g} all along"
        yield Diagnostic("W116", message, schedule.span, help="let it act earlier, or train longer", level="warning")
    elif len(rates) > 1 and rates[-1] == max(rates) and rates[-1] > rates[-2] and rates[-1] < base:
        message = f"a run of {length} ends while `{schedule.name}` still warms up: the rate has come to {rates[-1]:.3g} of {base:.3g}"
        yield Diagnostic("W116", message, schedule.span, help="a shorter warm-up, or a longer run", level="warning")
