"""A training that is kept: its log and its checkpoints, when they are written, and how one is taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnspec.array import Array
from nnspec.diagnostics import Diagnostic
from nnspec.files import sync, writing
from nnspec.run.engine import Engine
from nnspec.train import commit, rundir
from nnspec.train.changes import Said, refuse_changed, warned
from nnspec.train.checkpoint import manifest, restore
from nnspec.train.commit import Checkpoint
from nnspec.train.epoch import Epoch
from nnspec.train.interrupt import Interrupted, Interrupts
from nnspec.train.lock import locked
from nnspec.train.loop import Stage
from nnspec.train.schedule import follows_length
from nnspec.train.standing import Standing
from nnspec.train.trail import all_finite

# Seconds between checkpoints where the spec does not say how many steps; and at least so many times what writing one takes.
EVERY, PATIENCE = 60.0, 50
STOP = "stop/"


class Run:
    """A run directory while it is trained into. `said` goes into every manifest.

    Of a run that is taken up again, `begun` is where it stood, `arrays` what its rule for stopping remembers, and `epochs` those it had.
    """

    def __init__(self, folder: Path, engine: Engine, said: Said, interrupts: Interrupts) -> None:
        self.folder, self.engine, self.said, self.interrupts = folder, engine, said, interrupts
        self.begun: Standing | None = None
        self.arrays: dict[str, Array] = {}
        self.epochs: list[Epoch] = []
        self.logged, self.saved, self.due = 0, -1, 0.0

    # ---- while it trains

    def between(self, stage: Stage) -> None:
        """Before a step: save where it is time to, and stop where that is asked for."""
        if self.interrupts.number:
            self.save(stage)
            raise Interrupted(self.interrupts.number, self.folder)
        if self._is_due(stage):
            self.save(stage)

    def _is_due(self, stage: Stage) -> bool:
        every = stage.training.checkpoint
        if self.saved < 0 or every is None:
            return time.monotonic() >= self.due
        return stage.at.step > 0 and stage.at.step % every == 0

    def log(self, epoch: Epoch) -> None:
        with writing(self.folder):
            self.logged = rundir.log(self.folder, epoch)

    def looked(self, look: Mapping[str, Any]) -> None:
        with writing(self.folder):
            rundir.log_health(self.folder, look)

    def save(self, stage: Stage) -> None:
        """Where the training stands, as a checkpoint; those before the last ones go. Weights that are no numbers are not kept."""
        step, started = int(self.engine.steps_done), time.monotonic()
        if step == self.saved or not all_finite(self.engine.params):
            return
        stop = stage.stopper.arrays if stage.stopper else {}
        arrays = {**self.engine.all_arrays(), **{STOP + name: array for name, array in stop.items()}}
        said = {**manifest(self.engine), **self.said, "training": stage.standing().as_json(), "metrics": self.logged}
        with writing(self.folder):
            if self.logged:
                sync(self.folder / rundir.METRICS)
            commit.commit(self.folder, step, arrays, said)
            commit.prune(self.folder)
        now = time.monotonic()
        self.saved, self.due = step, now + max(EVERY, PATIENCE * (now - started))

    def finish(self, stage: Stage) -> None:
        """At the end of the last block: its beginning is of no use any more."""
        self.save(stage)
        first = commit.place(self.folder, self.saved - stage.at.steps_before - stage.at.step)
        if first != commit.place(self.folder, self.saved) and first.exists():
            commit.discard(first)
        if self.interrupts.number:
            raise Interrupted(self.interrupts.number, self.folder)

    # ---- taken up again

    def take_up(self, checkpoint: Checkpoint) -> Standing:
        """Stand where a checkpoint was taken; what was written after it is no part of the run any more."""
        said = checkpoint.manifest
        restore(self.engine, checkpoint.arrays, said)
        with writing(self.folder):
            commit.set_aside(self.folder, checkpoint.step)
            self.epochs, self.logged = rundir.cut_log(self.folder, said["metrics"])
            rundir.cut_health(self.folder, len(self.epochs))
        self.begun = at = Standing.from_json(said["training"])
        self.arrays = {n.removeprefix(STOP): a for n, a in checkpoint.arrays.items() if n.startswith(STOP)}
        self.saved, self.due = checkpoint.step, time.monotonic() + EVERY
        return at


@contextmanager
def begun(folder: Path, engine: Engine, said: Said) -> Iterator[Run]:
    """A new run, into a directory that holds none; one that fails before its first epoch leaves nothing behind."""
    rundir.make(folder)
    with rundir.none_left_empty(folder), locked(folder), Interrupts() as interrupts:
        rundir.refuse_used(folder)
        rundir.refuse_replaced(folder, engine.spec, rundir.everything(engine.spec))
        rundir.create(folder, engine.spec)
        try:
            yield Run(folder, engine, said, interrupts)
        except Exception:
            rundir.take_back_unbegun(folder)
            raise


@contextmanager
def resumed(folder: Path, engine: Engine, said: Said, choosing: bool, warn: Callable[[Diagnostic], None]) -> Iterator[Run]:
    """A run that goes on where it was saved last, once it is said what has changed; with the engine it chose, where `choosing`."""
    rundir.refuse_no_run(folder)
    with locked(folder), Interrupts() as interrupts:
        spec, checkpoint = rundir.opened(folder)
        before = checkpoint.manifest
        if choosing:
            engine.use(before["engine"])
            engine.choice = before["engine_choice"]
        now, blocks = {**manifest(engine), **said}, engine.spec.trainings
        refuse_changed(str(folder), before, now, spec.source.text, engine.spec.source, blocks)
        for warning in (*checkpoint.skipped, *warned(str(folder), before, now, blocks, rate_follows=follows_length(engine.spec))):
            warn(warning)
        run = Run(folder, engine, said, interrupts)
        at = run.take_up(checkpoint)
        if lost := at.epochs_before + at.epoch - len(run.epochs):
            message = f"{folder / rundir.METRICS} has lost {lost} of its epochs"
            warn(Diagnostic("W540", message, help="the weights are whole, and the log goes on", level="warning"))
        yield run
