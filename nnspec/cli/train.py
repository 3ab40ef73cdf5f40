"""What `nnspec train` does around the loop: progress, the run directory, the report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np

from nnspec.cli.options import compilation, hush, say, settings_of
from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Source, fault, printable
from nnspec.graph import Type
from nnspec.net import Net
from nnspec.record import dataclass
from nnspec.train import data as data_sets
from nnspec.train import rundir
from nnspec.train.checkpoint import SPEC
from nnspec.train.epoch import Epoch, as_lists
from nnspec.train.interrupt import Interrupted
from nnspec.train.loop import Progress, length
from nnspec.train.pictures import draw_answers, draw_run, is_classifier
from nnspec.train.telling import telling

MOST_LINES = 100


@dataclass(frozen=True)
class Wishes:
    """What the command line says of a training; None where it says nothing."""

    data: str | None = None
    engine: str | None = None
    device: str | None = None
    threads: int | None = None
    changes: Mapping[str, int] = field(default_factory=dict)


def taken_up(file: str, pairs: tuple[str, ...], run: str | None, wishes: Wishes) -> tuple[Compilation, Path | None, Wishes]:
    """The spec, the directory and the wishes of a run that is to go on: what is not said now is as it was when it began."""
    is_run = (Path(file) / SPEC).is_file()
    if is_run and run:
        raise click.UsageError(f"{file} is a run itself, so there is no --run to say which")
    folder = Path(run) if run else Path(file) if is_run else rundir.latest(Path(file).stem)
    kept, checkpoint = rundir.opened(folder)
    said, asked = checkpoint.manifest, checkpoint.manifest["asked"]
    settings = settings_of(pairs) if pairs else said["settings"]
    source = Source(said["file"], kept.source.text)  # so that what is made of it says the same places
    spec = replace(kept, source=source) if is_run else replace(compilation(file), dtype=said["dtype"])
    given = {name: value for name in asked if (value := getattr(wishes, name)) is not None}
    return replace(spec, settings=settings), folder, Wishes(**{**asked, **given}, changes={**said["changes"], **wishes.changes})


def train_run(spec: Compilation, name: str, wishes: Wishes, folder: Path | None = None, *, resume: bool = False) -> dict[str, Any]:
    """Train into a run directory; the document of `train --json`."""
    started = time.perf_counter()
    spec = spec.with_training(**wishes.changes)
    net = Net(spec, wishes.engine or "auto", wishes.device or "cpu", wishes.threads)
    datasets = net.datasets(wishes.data, note=lambda text: click.echo(text, err=True))
    folder = folder or rundir.fresh(name if name != "-" else spec.model.name.lower())
    epochs = sum(length(t, d).epochs for t, d in zip(spec.trainings, datasets, strict=True))
    with rundir.none_left_empty(folder), _progress(epochs) as progress:
        history = net.fit_datasets(datasets, progress, folder, resume=resume, path=wishes.data)
    draw_run(folder, spec, history.epochs, net.params)
    last = datasets[-1]
    test = net.evaluate(last.test) if last.test else {}
    if judged := last.test or last.validation:
        answer(net, folder, judged)
    seen = net.evaluate(last.train) if net.spec.model.metrics and not (last.test or last.validation) else {}
    measured = {"held out": test, "trained on": seen}
    rundir.keep_judged(folder, int(net.engine.steps_done), measured)
    proof = net.export(folder / rundir.MODEL, examples=telling({n: last.train[n] for n in net.inputs}), measured=measured)
    return {
        "run": str(folder),
        "epochs": [e.as_json() for e in history.epochs],
        "final": as_lists(history.epochs[-1].metrics) if history.epochs else {},  # of a log that was lost
        "test": as_lists(test),
        "training_data": as_lists(seen),
        "seconds": round(time.perf_counter() - started, 3),
        "engine": net.engine.name,
        "engine_choice": net.engine.choice or None,
        "stopped": history.stopped or None,
        "warnings": [w.as_json() for w in (*spec.warnings, *history.warnings)],
        "onnx": proof.sentence,
    }


def answer(net: Net, folder: Path, fields: Mapping[str, Any]) -> list[Path]:
    """The pictures of what a classifier says of data that it was not trained on."""
    if not is_classifier(net.spec.model):
        return []
    return draw_answers(folder, net.spec, fields, net.predict({n: fields[n] for n in net.inputs}), net.labels)


def report(result: Mapping[str, Any]) -> str:
    """The end of a training, for a person."""
    lines = [metrics_text("training", result["final"])]
    if result["stopped"]:
        lines.append(f"stopped early: {result['stopped']}")
    lines += [metrics_text(part.replace("_", " "), result[part]) for part in ("training_data", "test") if result[part]]
    lines += [result["onnx"], f"run directory: {printable(result['run'])}"]
    return "\n".join(lines)


def metrics_text(part: str, metrics: Mapping[str, Any]) -> str:
    """Numbers in a line, and a table for each metric that is more than one."""
    tables = [f"{part}: {n}\n{_table(v)}" for n, v in metrics.items() if not isinstance(v, float)]
    return "\n".join([f"{part}: {_numbers(metrics)}", *tables])


def _numbers(metrics: Mapping[str, Any]) -> str:
    return "  ".join(f"{n} {_shown(n, v)}" for n, v in metrics.items() if isinstance(v, float))


def _table(value: Any) -> str:
    """A row of the last axis a line, in columns."""
    array = np.asarray(value)
    rows = [[f"{v:.4g}" for v in row] for row in array.reshape(-1, array.shape[-1])]
    width = max(len(cell) for row in rows for cell in row)
    return "\n".join("  " + "  ".join(f"{cell:>{width}}" for cell in row) for row in rows)


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"


def held_out(net: Net, data: str | None, ports: Mapping[str, Type], *, every_row: bool = False) -> tuple[str, dict[str, Any]]:
    """The data to judge a run by: a file, `every_row` of it if so wanted, or the test part of its own data (or all of it)."""
    source = data_sets.source_for(net.spec.trainings[-1].data if net.spec.trainings else None, data) if data else None
    if data and source:
        folder, dtype = net.spec.folder, net.spec.dtype
        return data, data_sets.read(source, ports, folder, data, dtype, net.labels, net.means, every_row=every_row)
    if net.spec.given and not net.spec.trainings:
        if data:
            data_sets.source_from_path(data)  # a mistake: it is no table
        raise fault("E302", f"there is no data for `{net.name}`", help="give `--data FILE`")
    dataset = net.dataset(data)
    return ("test", dataset.test) if dataset.test else ("training data", dataset.train)


def interrupted(stop: Interrupted) -> NoReturn:
    """Say how to go on, to whoever has interrupted a training and still listens."""
    try:
        click.echo(f"{printable(str(stop))}\nto go on: nnspec train {printable(shlex.quote(str(stop.run)))} --resume", err=True)
    except BrokenPipeError:
        hush()
    sys.exit(128 + stop.number)


@contextmanager
def _progress(epochs: int) -> Iterator[Progress]:
    """A bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _lines(epochs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=epochs)

        def on_batch(epoch: int, done: int, of: int, loss: float) -> None:
            bar.update(task, completed=epoch - 1 + done / of, description=f"loss {loss:.4f}")

        def on_epoch(epoch: Epoch) -> None:
            bar.update(task, completed=epoch.number, description=_line(epoch))

        yield Progress(on_batch, on_epoch, lambda text: bar.console.print(printable(text), markup=False), _warn)


def _lines(epochs: int) -> Progress:
    every = max(1, epochs // MOST_LINES)

    def on_epoch(epoch: Epoch) -> None:
        if epoch.number % every == 0 or epoch.number in (1, epochs):
            stage = f"{epoch.stage}: " if epoch.stage else ""
            click.echo(f"{stage}epoch {epoch.number}/{epochs}  {_line(epoch)}", err=True)

    return Progress(on_epoch=on_epoch, on_note=lambda text: click.echo(printable(text), err=True), on_warning=_warn)


def _warn(warning: Diagnostic) -> None:
    say([warning])


def _line(epoch: Epoch) -> str:
    seconds = f"{epoch.seconds:.0f}" if epoch.seconds >= 10 else f"{epoch.seconds:.2g}"
    return f"{_numbers(epoch.metrics)}  {seconds} s"
