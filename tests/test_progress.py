"""How far a training is, as a terminal shows it."""

from __future__ import annotations

import io
import re
import sys

import pytest

from nnspec.cli.progress import shown
from nnspec.train.epoch import Epoch

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def last_line(columns: int, epochs: int, epoch: Epoch, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of what a terminal of so many columns shows after an epoch."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with shown(epochs) as progress:
        progress.on_batch(epoch.number, 1, 2, 1.5)
        progress.on_epoch(epoch)
    return [line for line in CONTROLS.sub("", terminal.getvalue()).splitlines() if line.strip()][-1]


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 200])
@pytest.mark.parametrize("metrics", [{"loss": 0.9617}, {"loss": 0.9617, "val.accuracy": 0.4828, "val.loss": 1.451}])
def test_the_number_of_the_epoch_is_whole_in_a_terminal_of_any_width(
    columns: int, metrics: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = last_line(columns, 10, Epoch(10, 450, 0.01, metrics, 0.0043), monkeypatch)
    assert re.match(r"epoch 10/10 .*loss 0", line) and len(line) <= columns


def test_an_epoch_under_way_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with shown(10) as progress:
        progress.on_batch(7, 39, 40, 1.5)
    assert re.search(r"epoch 6/10 .*loss 1\.5000", CONTROLS.sub("", terminal.getvalue()))
