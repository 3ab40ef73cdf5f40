"""A whole training: the train blocks in order, each with its data, from the weights that the one before left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nnspec import weights
from nnspec.diagnostics import Fault, fault
from nnspec.elaborate.phases import Word
from nnspec.run.engine import Engine
from nnspec.train import rundir
from nnspec.train.data import Dataset
from nnspec.train.loop import History, Progress, Stage
from nnspec.train.stop import refuse_unwatched

Array = np.ndarray[Any, np.dtype[Any]]
SAFETENSORS = ".safetensors"


def fit(
    engine: Engine,
    data: Sequence[Dataset],
    progress: Progress | None = None,
    keep: Callable[[], object] | None = None,
    *,
    choosing: bool = False,
) -> History:
    """Run every train block, with a data set for each; `keep` writes a checkpoint, where the spec asks for them. `choosing` lets the
    fastest engine do it.

    Before the very first step, states that are fitted to data are fitted to that of the first block.
    """
    progress, history = progress or Progress(), History()
    stages = list(zip(engine.spec.trainings, data, strict=True))
    for training, part in stages:  # before any training, so that a mistake of a later stage costs none
        if training.stop:
            refuse_unwatched(training.stop, bool(part.validation))
    starts = [saved(engine, t.start) if t.start else {} for t, _ in stages]
    if not engine.steps_done:
        engine.fit_states(data[0].train)
    for number, ((training, part), start) in enumerate(zip(stages, starts, strict=True)):
        engine.begin(number)
        if training.start:
            take(engine, start)
            own = len(engine.params) + len(engine.states)
            progress.on_note(f"starting from {training.start.text}: {len(start)} of {own} parameters and states")
        stage = Stage(engine, part, number, progress, keep)
        if choosing and stage.choose():
            progress.on_note(f"engine {engine.choice}")
        stage.run(history)
    return history


def saved(engine: Engine, run: Word) -> dict[str, Array]:
    """The parameters and states of another run, or of a file of weights, that have the name and shape of one of this model."""
    arrays = _arrays(engine.spec.folder / run.text, run)
    own = {**engine.params, **engine.states}
    shared = {n: arrays[n] for n, v in own.items() if n in arrays and arrays[n].shape == v.shape}
    if not shared:
        raise fault("E503", f"no parameter or state in {run.text} has the name and shape of one of this model", run.span)
    return shared


def _arrays(place: Path, run: Word) -> dict[str, Array]:
    if place.suffix == SAFETENSORS:
        return {n: weights.read(place, n) for n in weights.shapes(place, run.span)}
    try:
        return rundir.newest(place)[0]
    except Fault as error:
        raise Fault(replace(error.diagnostic, span=run.span)) from None


def take(engine: Engine, arrays: Mapping[str, Array]) -> None:
    own = {**engine.params, **engine.states}
    for name, array in arrays.items():
        np.copyto(own[name], array)
