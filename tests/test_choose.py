"""Which engine trains: tried where training is long enough, recorded, and nothing but time depends on it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.diagnostics import fault
from nnspec.run.engine import Engine
from nnspec.train import choose as choosing
from nnspec.train.choose import choose
from nnspec.train.loop import Progress
from tools.batches import random_batch


@pytest.fixture
def long_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training is worth a choice."""
    monkeypatch.setattr(choosing, "WORTH_IT", 0.0)
    monkeypatch.setattr(choosing, "TRIAL", 0.01)


def started(name: str) -> tuple[Engine, dict[str, Any]]:
    net = nnspec.load(name)
    net.init(3)
    return net.engine, random_batch({**net.inputs, **net.targets}, 8)


def test_a_short_training_tries_nothing() -> None:
    engine, batch = started("digits")
    assert not choose(engine, batch, 10)
    assert engine.name == "numpy" and "too few to try others" in engine.choice


@pytest.mark.usefixtures("long_training")
@pytest.mark.parametrize("name", ["digits", "lenet", "gan"])
def test_trying_engines_leaves_everything_as_it_was(name: str) -> None:
    engine, batch = started(name)
    engine.step(batch, 0.01)
    before = {n: v.copy() for n, v in engine.all_arrays().items()}
    assert choose(engine, batch, 10)
    assert engine.steps_done == 1
    assert all(np.array_equal(v, before[n]) for n, v in engine.all_arrays().items())
    assert re.fullmatch(r"(numpy|ort): [\d.]+ ms a step, (numpy|ort) [\d.]+ ms(, too little faster to change)?", engine.choice)


@pytest.mark.usefixtures("long_training")
def test_an_onnxruntime_that_cannot_be_imported_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "nnspec.run.ort", raising=False)
    monkeypatch.delitem(sys.modules, "nnspec.run.session", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    engine, batch = started("digits")
    before = {n: v.copy() for n, v in engine.all_arrays().items()}
    assert choose(engine, batch, 10)
    assert engine.name == "numpy" and engine.choice.endswith("ort cannot run it")
    assert all(np.array_equal(v, before[n]) for n, v in engine.all_arrays().items())


@pytest.mark.usefixtures("long_training")
@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({"numpy": 0.0009, "ort": 0.0013}, "numpy: 0.9 ms a step, ort 1.3 ms"),
        ({"numpy": 0.002, "ort": 0.001}, "ort: 1.0 ms a step, numpy 2.0 ms"),
        ({"numpy": 0.002, "ort": 0.0019}, "numpy: 2.0 ms a step, ort 1.9 ms, too little faster to change"),
    ],
)
def test_the_fastest_is_taken_and_why_is_said(seconds: dict[str, float], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, batch = started("digits")
    monkeypatch.setattr(choosing, "_tried", lambda engine, name, batch: seconds[name])
    choose(engine, batch, 10)
    assert engine.choice == said and engine.name == said.partition(":")[0]
    assert np.isfinite(engine.step(batch, 0.01))


@pytest.mark.usefixtures("long_training")
def test_an_engine_that_cannot_run_the_spec_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, batch = started("digits")
    step = Engine.step

    def refusing(self: Engine, *args: Any, **more: Any) -> float:
        if self.name == "ort":
            raise fault("E506", "no")
        return step(self, *args, **more)

    monkeypatch.setattr(Engine, "step", refusing)
    choose(engine, batch, 10)
    assert engine.name == "numpy" and engine.choice.endswith(" ms a step; ort cannot run it")


@pytest.mark.usefixtures("long_training")
def test_the_choice_is_said_and_kept_in_the_manifest(tmp_path: Path) -> None:
    net, notes = nnspec.load("digits"), list[str]()
    net.fit_datasets(net.datasets(None), Progress(on_note=notes.append))
    assert [n for n in notes if n.startswith("engine ")] == [f"engine {net.engine.choice}"]
    (checkpoint,) = net.save(tmp_path / "run").glob("step-*")
    kept = json.loads((checkpoint / "manifest.json").read_text("utf-8"))
    assert (kept["engine"], kept["engine_choice"]) == (net.engine.name, net.engine.choice)


def test_an_engine_asked_for_by_name_is_not_changed() -> None:
    net = nnspec.load("digits", engine="numpy")
    net.fit(epochs=1)
    assert net.engine.choice == ""


@pytest.mark.usefixtures("long_training")
def test_onnxruntime_is_not_tried_where_it_would_take_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, batch = started("lenet")
    windows = choosing._windows(engine.spec.stages[0][0].objective, {"batch": 8})
    assert windows == 4 * 8 * (28 * 28 * 9 * 1 + 14 * 14 * 9 * 16)
    monkeypatch.setattr(choosing, "MOST_WINDOWS", windows - 1)
    choose(engine, batch, 10)
    assert engine.name == "numpy" and engine.choice.endswith(" ms a step; ort not tried, as it would keep 0.0 GB of windows")
