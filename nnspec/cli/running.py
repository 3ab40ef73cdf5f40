"""A training from the command line, into its run directory."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from nnspec.cli.failure import diagnostics_of, document
from nnspec.cli.judging import answer, metrics_text
from nnspec.cli.options import STDIN, compilation, hush, settings_of
from nnspec.cli.progress import shown
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, printable
from nnspec.net import Net
from nnspec.record import dataclass
from nnspec.strict_json import dumps
from nnspec.train import rundir
from nnspec.train.checkpoint import SPEC
from nnspec.train.data import Dataset
from nnspec.train.epoch import as_lists
from nnspec.train.interrupt import Interrupted
from nnspec.train.loop import length
from nnspec.train.pictures import draw_run
from nnspec.train.standing import Standing
from nnspec.train.telling import telling


@dataclass(frozen=True)
class Wishes:
    """What the command line says of a training; None where it says nothing."""

    data: str | None = None
    engine: str | None = None
    device: str | None = None
    threads: int | None = None
    changes: Mapping[str, int | None] = field(default_factory=dict)


def taken_up(file: str, pairs: tuple[str, ...], run: str | None, wishes: Wishes) -> tuple[Compilation, Path | None, Wishes]:
    """The spec, the directory and the wishes of a run that is to go on: what is not said now is as it was when it began."""
    is_run = (Path(file) / SPEC).is_file()
    if is_run and run:
        raise click.UsageError(f"{file} is a run itself, so there is no --run to say which")
    folder = Path(run) if run else Path(file) if is_run else rundir.latest(Path(file).stem)
    kept, checkpoint = rundir.opened(folder)
    said, asked = checkpoint.manifest, checkpoint.manifest["asked"]
    settings = {**said["settings"], **settings_of(pairs)}
    source = Source(said["file"], kept.source.text)  # so that what is made of it says the same places
    spec = replace(kept, source=source) if is_run else replace(compilation(file), dtype=said["dtype"])
    given = {name: value for name in asked if (value := getattr(wishes, name)) is not None}
    return replace(spec, settings=settings), folder, Wishes(**{**asked, **given}, changes={**said["changes"], **wishes.changes})


def train_run(
    spec: Compilation, name: str, wishes: Wishes, folder: Path | None, *, resume: bool = False
) -> tuple[dict[str, Any], Sequence[Diagnostic]]:
    """Train into a run directory; the document of `train --json`, and why no model was written where none was."""
    started = time.perf_counter()
    spec = spec.with_training(**wishes.changes)
    net = Net(spec, wishes.engine or "auto", wishes.device or "cpu", wishes.threads)
    datasets = net.datasets(wishes.data, note=lambda text: click.echo(text, err=True))
    folder = folder or rundir.fresh(name if name != STDIN else spec.model.name.lower())
    with rundir.none_left_empty(folder), shown(_last_epoch(spec, datasets, folder if resume else None)) as progress:
        history = net.fit_datasets(datasets, progress, folder, resume=resume, path=wishes.data)
    draw_run(folder, spec, history.epochs, net.params)
    last = datasets[-1]
    test = net.evaluate(last.test) if last.test else {}
    if judged := last.test or last.validation:
        answer(net, folder, judged)
    seen = net.evaluate(last.train) if net.spec.model.metrics and not (last.test or last.validation) else {}
    measured = {"held out": test, "trained on": seen}
    rundir.keep_judged(folder, int(net.engine.steps_done), measured)
    final = history.final
    onnx, refused = _exported(net, folder, examples=telling({n: last.train[n] for n in net.inputs}), measured=measured)
    result = {
        "run": str(folder),
        "epochs": [e.as_json() for e in history.epochs],
        "final": as_lists(final.metrics) if final else {},
        "final_epoch": final.number if final else None,
        "test": as_lists(test),
        "training_data": as_lists(seen),
        "seconds": round(time.perf_counter() - started, 3),
        "engine": net.engine.name,
        "engine_choice": net.engine.choice or None,
        "stopped": history.stopped or None,
        "warnings": [w.as_json() for w in (*spec.warnings, *history.warnings)],
        "onnx": onnx,
    }
    return result | (document(refused) if refused else {}), refused


def _last_epoch(spec: Compilation, datasets: Sequence[Dataset], run: Path | None) -> int:
    """The number of the last epoch, unless a block stops early; of a run that goes on, those that are over count as they were."""
    at = rundir.standing(run) if run else Standing()
    lengths = [length(t, d).epochs for t, d in zip(spec.trainings, datasets, strict=True)]
    return at.epochs_before + sum(lengths[at.stage :])


def _exported(net: Net, folder: Path, **more: Any) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """What is said of the model of a run, or why it is not written: the run itself is whole then."""
    try:
        return net.export(folder / rundir.MODEL, **more).sentence, ()
    except Exception as error:
        found = diagnostics_of(error)
    again = f"`nnspec export {shlex.quote(str(folder))} -o {rundir.MODEL}` tries again"
    path = printable(str(folder / rundir.MODEL))
    said = (replace(d, message=f"{path} is not written: {d.message}", help="; ".join(filter(None, (d.help, again)))) for d in found)
    return None, tuple(said)


def _so_far(stop: Interrupted) -> dict[str, Any]:
    """The document of `train --json` where the training was interrupted: nothing was judged yet."""
    epochs = rundir.logged(stop.run)
    return {
        "run": str(stop.run),
        "epochs": [e.as_json() for e in epochs],
        "final": as_lists(epochs[-1].metrics) if epochs else {},
        "test": {},
        "seconds": round(sum(e.seconds for e in epochs), 3),
        "engine": rundir.opened(stop.run)[1].manifest["engine"],
        "stopped": str(stop),
    }


def report(result: Mapping[str, Any]) -> str:
    """The end of a training, for a person."""
    last = result["epochs"][-1]["epoch"] if result["epochs"] else None
    part = "training" if result["final_epoch"] in (None, last) else f"training, epoch {result['final_epoch']}"
    lines = [metrics_text(part, result["final"])]
    if result["stopped"]:
        lines.append(f"stopped early: {result['stopped']}")
    lines += [metrics_text(part.replace("_", " "), result[part]) for part in ("training_data", "test") if result[part]]
    lines += [*filter(None, [result["onnx"]]), f"run directory: {printable(result['run'])}"]
    return "\n".join(lines)


def interrupted(stop: Interrupted, *, as_json: bool) -> NoReturn:
    """Say how to go on, to whoever has interrupted a training and still listens."""
    try:
        if as_json:
            click.echo(dumps(_so_far(stop), indent=2))
        click.echo(f"{printable(str(stop))}\nto go on: nnspec train {printable(shlex.quote(str(stop.run)))} --resume", err=True)
    except BrokenPipeError:
        hush()
    sys.exit(128 + stop.number)
