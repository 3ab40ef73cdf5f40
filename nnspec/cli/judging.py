"""What a run is judged by, and how that is told: data held out, metrics as text, pictures of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from nnspec.diagnostics import fault
from nnspec.elaborate.sources import DataSource
from nnspec.graph import Type
from nnspec.net import Net
from nnspec.train.data import read
from nnspec.train.mistakes import judged
from nnspec.train.pictures import draw_answers
from nnspec.train.sources import IDX_SOURCES, source_for, source_from_path


def needs_measure(net: Net, name: str) -> None:
    """A Fault (E110) without a loss or metric to judge by."""
    if not net.spec.model.losses and not net.spec.model.metrics:
        given = "an ONNX model is given them by `--set loss=..`, `--set metric=..`"
        help_ = given if net.spec.given else "a model says them: `metric accuracy(logits, y)`, of an output and a target"
        raise fault("E110", f"`{name}` has neither a loss nor a metric", help=help_)


def held_out(net: Net, data: str | None, ports: Mapping[str, Type], *, every_row: bool = False) -> tuple[str, dict[str, Any]]:
    """The data to judge a run by: a file, `every_row` of it if so wanted, or the test part of its own data (or all of it)."""
    source = source_of(net, data) if data else None
    if data and source:
        folder, dtype = net.spec.folder, net.spec.dtype
        learns = net.spec.given is not None
        known = (dtype, net.labels, net.means)
        return data, read(source, ports, folder, data, *known, every_row=every_row, learns=learns, note=_told)
    own = net.spec.trainings[-1].data if net.spec.trainings else None
    if data and not (own and own.name in IDX_SOURCES):
        source_from_path(data)  # a mistake: it is no table
    if net.spec.given and not net.spec.trainings:
        raise fault("E302", f"there is no data for `{net.name}`", help="give `--data FILE`")
    dataset = net.dataset(data)
    return ("test", dataset.test) if dataset.test else ("training data", dataset.train)


def _told(note: str) -> None:
    click.echo(note, err=True)


def source_of(net: Net, data: str) -> DataSource | None:
    """What a file of `--data` is read as; of a model that brings means they stand for missing values, as in a spec that says so."""
    source = source_for(net.spec.trainings[-1].data if net.spec.trainings else None, data)
    if source and net.spec.given and net.means:
        return replace(source, options={"missing": "mean", **source.options})
    return source


def answer(net: Net, folder: Path, fields: Mapping[str, Any]) -> list[Path]:
    """The pictures of what a classifier says of data that it was not trained on."""
    if not judged(net.spec):
        return []
    return draw_answers(folder, net.spec, fields, net.predict({n: fields[n] for n in net.spec.inputs_in_use}), net.labels)


def metrics_text(part: str, metrics: Mapping[str, Any]) -> str:
    """Numbers in a line, and a table for each metric that is more than one."""
    tables = [f"{part}: {n}\n{_table(v)}" for n, v in metrics.items() if not isinstance(v, float)]
    return "\n".join([f"{part}: {numbers(metrics)}", *tables])


def numbers(metrics: Mapping[str, Any]) -> str:
    return "  ".join(f"{n} {_shown(n, v)}" for n, v in metrics.items() if isinstance(v, float))


def _table(value: Any) -> str:
    """A row of the last axis a line, in columns."""
    array = np.asarray(value)
    rows = [[f"{v:.4g}" for v in row] for row in array.reshape(-1, array.shape[-1])]
    width = max(len(cell) for row in rows for cell in row)
    return "\n".join("  " + "  ".join(f"{cell:>{width}}" for cell in row) for row in rows)


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"
