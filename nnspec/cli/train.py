"""What `nnspec train` does around the loop: progress, the run directory, the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from nnspec.api import Net
from nnspec.compile import Compilation
from nnspec.graph import Type
from nnspec.train import data as data_sets
from nnspec.train import rundir, templates
from nnspec.train.epoch import Epoch, as_lists
from nnspec.train.loop import Progress, length

MOST_LINES = 100


def train_run(
    spec: Compilation, name: str, data: str | None, engine: str, run: str | None, device: str = "cpu", threads: int | None = None
) -> dict[str, Any]:
    """Train into a run directory; the document of `train --json`."""
    started = time.perf_counter()
    net = Net(spec, engine, device, threads)
    datasets = net.datasets(data)
    folder = Path(run) if run else rundir.fresh(name if name != "-" else spec.model.name.lower())
    rundir.refuse_used(folder)
    rundir.create(folder, spec.source.text, spec.imports.texts)
    epochs = sum(length(t, d).epochs for t, d in zip(spec.trainings, datasets, strict=True))
    try:
        with _progress(epochs, folder) as progress:
            history = net.fit_datasets(datasets, progress, folder)
    finally:
        rundir.take_back_unbegun(folder)
    net.save(folder)
    rundir.prune(folder)
    rundir.draw(folder, f"{spec.model.name}: loss", history.epochs)
    templates.draw(folder, spec.graph, net.params)
    proof = net.export(folder / rundir.MODEL)
    last = datasets[-1]
    test = net.evaluate(last.test) if last.test else {}
    seen = net.evaluate(last.train) if net.spec.model.metrics and not (last.test or last.validation) else {}
    return {
        "run": str(folder),
        "epochs": [e.as_json() for e in history.epochs],
        "final": as_lists(history.epochs[-1].metrics),
        "test": as_lists(test),
        "training_data": as_lists(seen),
        "seconds": round(time.perf_counter() - started, 3),
        "engine": net.engine.name,
        "engine_choice": net.engine.choice or None,
        "stopped": history.stopped or None,
        "onnx": proof.sentence,
    }


def report(result: Mapping[str, Any]) -> str:
    """The end of a training, for a person."""
    lines = [metrics_text("training", result["final"])]
    if result["stopped"]:
        lines.append(f"stopped early: {result['stopped']}")
    lines += [metrics_text(part.replace("_", " "), result[part]) for part in ("training_data", "test") if result[part]]
    lines += [result["onnx"], f"run directory: {result['run']}"]
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


def held_out(net: Net, data: str | None, ports: Mapping[str, Type]) -> tuple[str, dict[str, Any]]:
    """The data to judge a run by: a file, or the test part of its own data (all of it, where there is none)."""
    source = data_sets.source_for(net.spec.trainings[-1].data if net.spec.trainings else None, data) if data else None
    if data and source:
        return data, data_sets.read(source, ports, net.spec.folder, data, net.spec.dtype, net.labels)
    dataset = net.dataset(data)
    return ("test", dataset.test) if dataset.test else ("training data", dataset.train)


@contextmanager
def _progress(epochs: int, folder: Path) -> Iterator[Progress]:
    """A bar on a terminal, lines elsewhere; every epoch also goes to metrics.jsonl."""
    if not sys.stderr.isatty():
        yield _lines(epochs, folder)
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
            rundir.log(folder, epoch)
            bar.update(task, completed=epoch.number, description=_line(epoch))

        yield Progress(on_batch, on_epoch, bar.console.print)


def _lines(epochs: int, folder: Path) -> Progress:
    every = max(1, epochs // MOST_LINES)

    def on_epoch(epoch: Epoch) -> None:
        rundir.log(folder, epoch)
        if epoch.number % every == 0 or epoch.number in (1, epochs):
            stage = f"{epoch.stage}: " if epoch.stage else ""
            click.echo(f"{stage}epoch {epoch.number}/{epochs}  {_line(epoch)}", err=True)

    return Progress(on_epoch=on_epoch, on_note=lambda text: click.echo(text, err=True))


def _line(epoch: Epoch) -> str:
    seconds = f"{epoch.seconds:.0f}" if epoch.seconds >= 10 else f"{epoch.seconds:.2g}"
    return f"{_numbers(epoch.metrics)}  {seconds} s"
