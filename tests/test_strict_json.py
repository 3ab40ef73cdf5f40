"""Metrics that are no finite numbers, in all that a run writes as JSON."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from helpers import run

from nnspec.strict_json import dumps
from nnspec.train import rundir

SPEC = """model M {
  input  x: [1]
  target y: []
  output z = x -> dense(1, init = ones) -> squeeze
  loss   mse(z, y)
  metric percent = 100 * abs(z - y) / y
  metric each = batch_mean(stack(abs(z - y) / y, y))
}
train { data { x = [[0.5], [1], [2], [3]], y = [0, 0, 0, 0] }  validation 0.5  epochs 2  optimizer sgd(lr = 0.01) }"""


def strict(text: str) -> Any:
    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refused)


@pytest.fixture
def trained(tmp_path: Path) -> Any:
    (tmp_path / "m.nn").write_text(SPEC)
    done = run("train", "m.nn", "--json", "--engine", "numpy", "--run", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return strict(done.stdout)


def test_what_is_no_finite_number_is_null_wherever_a_run_is_told(trained: Any, tmp_path: Path) -> None:
    assert trained["final"]["val.percent"] is None and trained["final"]["val.each"] == [None, 0]
    (*_, last) = map(strict, (tmp_path / "r/metrics.jsonl").read_text().splitlines())
    assert last["val.percent"] is None and last["val.each"] == [None, 0] and last["loss"] > 0
    assert strict((tmp_path / "r/judged.json").read_text())["measured"].keys() == {"held out", "trained on"}
    assert strict(run("eval", "r", "--json", cwd=tmp_path).stdout)["percent"] is None


def test_a_run_with_such_metrics_is_read_again(trained: Any, tmp_path: Path) -> None:
    epoch = rundir.last_epoch(tmp_path / "r")
    assert epoch and isnan(epoch.metrics["val.percent"]) and isnan(epoch.metrics["val.each"][0])
    later = (("train", "r", "--resume", "--epochs", "3"), ("export", "r", "-o", "m.onnx"), ("diff", "r", "r"))
    for command in later:
        done = run(*command, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        strict(done.stdout)


def test_numbers_and_words_stay_as_they_are() -> None:
    document = {"a": [1, 2.5, True, None, "NaN"], "b": {"c": (0.1,)}}
    assert json.loads(dumps(document)) == {"a": [1, 2.5, True, None, "NaN"], "b": {"c": [0.1]}}
