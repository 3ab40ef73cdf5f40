"""A whole training: the train blocks in order, each with its data, from the weights that the one before left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

import numpy as np

from nnspec import weights
from nnspec.array import Array
from nnspec.diagnostics import Fault, fault
from nnspec.elaborate.phases import Word
from nnspec.elaborate.training import Training
from nnspec.lint import allowed
from nnspec.record import dataclass
from nnspec.run.engine import Engine
from nnspec.train.changes import renumbered
from nnspec.train.data import Dataset
from nnspec.train.labels import Labels
from nnspec.train.loop import History, Progress, Stage
from nnspec.train.run import Run
from nnspec.train.rundir import opened
from nnspec.train.standing import Standing
from nnspec.train.stop import refuse_unwatched

SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Start:
    """What a block begins with: arrays of this model from another run or a file, and what class numbers stood for there."""

    arrays: dict[str, Array]
    labels: Labels = field(default_factory=dict)


def fit(
    engine: Engine, data: Sequence[Dataset], progress: Progress | None = None, run: Run | None = None, *, choosing: bool = False
) -> History:
    """Run every train block, with a data set for each; a `run` is kept, and goes on where it stood. `choosing` lets the fastest engine
    do it.

    Before the very first step, states that are fitted to data are fitted to that of the first block.
    """
    progress, history = progress or Progress(), History(list(run.epochs) if run else [])
    trainings, at = engine.spec.trainings, run.begun if run else None
    for training, part in zip(trainings, data, strict=True):  # before any training, so that a mistake of a later stage costs none
        if training.stop:
            refuse_unwatched(training.stop, bool(part.validation))
    first = at.stage if at else 0
    starts = {n: saved(engine, t.start) for n, t in enumerate(trainings) if t.start and (at is None or n > first)}
    for number, start in starts.items():
        for doubt in renumbered(trainings[number], start.labels, data[number].labels):
            if not allowed(doubt):
                history.warnings.append(doubt)
                progress.on_warning(doubt)
    if at is None and not engine.steps_done:
        engine.fit_states(data[0].train)
    for number in range(first, len(trainings)):
        if at is None or number > first:
            engine.begin(number)
            _take(engine, trainings[number], starts.get(number, Start({})).arrays, progress)
            stage = Stage(engine, data[number], _beginning(number, history), progress, run)
            if choosing and stage.choose():
                progress.on_note(f"engine {engine.choice}")
        else:
            stage = Stage(engine, data[number], at, progress, run)
            stage.remember(run.arrays if run else {})
            progress.on_note(f"going on after epoch {at.epochs_before + at.epoch}, step {at.steps_before + at.step}")
        stage.run(history)
    if run:
        run.finish(stage)
    return history


def _beginning(stage: int, history: History) -> Standing:
    """Of a block, after the epochs of those before it."""
    before = history.epochs[-1] if history.epochs else None
    return Standing(stage, before.number if before else 0, before.step if before else 0, stopped=history.stopped)


def saved(engine: Engine, run: Word) -> Start:
    """The parameters and states of another run, or of a file of weights, that have the name and shape of one of this model."""
    found = _opened(engine.spec.folder / run.text, run)
    own = {**engine.params, **engine.states}
    shared = {n: found.arrays[n] for n, v in own.items() if n in found.arrays and found.arrays[n].shape == v.shape}
    if not shared:
        raise fault("E503", f"no parameter or state in {run.text} has the name and shape of one of this model", run.span)
    return replace(found, arrays=shared)


def _opened(place: Path, run: Word) -> Start:
    if place.suffix == SAFETENSORS:
        return Start({n: weights.read(place, n) for n in weights.shapes(place, run.span)})
    try:
        _, checkpoint = opened(place)
    except Fault as error:
        raise Fault(replace(error.diagnostic, span=run.span)) from None
    return Start(checkpoint.arrays, checkpoint.manifest["labels"])


def _take(engine: Engine, training: Training, arrays: Mapping[str, Array], progress: Progress) -> None:
    """Begin a block with what it takes over from another run."""
    own = {**engine.params, **engine.states}
    for name, array in arrays.items():
        np.copyto(own[name], array)
    if training.start:
        progress.on_note(f"starting from {training.start.text}: {len(arrays)} of {len(own)} parameters and states")
