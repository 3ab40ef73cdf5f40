"""What is not as it was when a run began is said before anything is written, and refused where it makes another training."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from error_pages import halves, output_of, run_console, run_script, without_numbers
from helpers import ROOT, contents, run

import nnspec
from nnspec import SpecError
from nnspec.train import environment
from nnspec.train.commit import committed
from nnspec.train.lock import locked

LINE = """
import "more.nn"
let slope = 1
model Line {
  input  x: [2]
  target y: [1]
  output z = slope * (x -> dense(1) -> more)
  loss mse(z, y)
}
train { batch 2  epochs 3  optimizer sgd(lr = 0.1) }
"""
DATA = {"x": np.arange(12.0).reshape(6, 2) / 12, "y": np.ones((6, 1))}
VALIDATION = {n: v[:2] for n, v in DATA.items()}


def line(folder: Path, text: str = LINE, more: str = "fn more(x) = 2 * x", **settings: Any) -> nnspec.Net:
    (folder / "line.nn").write_text(text)
    (folder / "more.nn").write_text(more)
    return nnspec.load(folder / "line.nn", **{"threads": 1, "engine": "numpy", **settings})


def fit(net: nnspec.Net, folder: Path, data: dict[str, Any] = DATA, **more: Any) -> None:
    net.fit(data, **{"validation": VALIDATION, "run": folder / "run", **more})


def refused(net: nnspec.Net, folder: Path, code: str, **more: Any) -> str:
    """What is said instead of going on; and nothing is written."""
    before = contents(folder / "run")
    with pytest.raises(SpecError, match=code) as error:
        fit(net, folder, **{"resume": True, **more})
    assert contents(folder / "run") == before
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": LINE.replace("sgd(lr = 0.1)", "sgd(lr = 0.2)")}, "line.nn:10:1"),
        ({"text": LINE + "\n# more\n"}, "is the run of another spec"),
        ({"more": "fn more(x) = 3 * x"}, "is the run of another spec"),
        ({"slope": 2}, "the slope of the spec, not slope = 2"),
        ({"dtype": "float64"}, "dtype = float32, not dtype = float64"),
    ],
)
def test_another_spec_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    assert said in refused(line(tmp_path, **change), tmp_path, "E542")


def changed(name: str, at: int, value: float) -> dict[str, Any]:
    array = DATA[name].copy()
    array[at] = value
    return {**DATA, name: array}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"data": changed("y", 5, 7.0)}, "`y` of the training data"),
        ({"data": {n: v[:5] for n, v in DATA.items()}}, "`x` of the training data"),
        ({"validation": {n: v[:3] for n, v in DATA.items()}}, "`x` of the validation data"),
        ({"validation": None}, "`x` of the validation data"),
    ],
)
def test_other_data_is_refused(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    assert said in refused(line(tmp_path), tmp_path, "E544", **more)


def test_weights_that_were_only_saved_are_no_training_to_go_on_with(tmp_path: Path) -> None:
    line(tmp_path).save(tmp_path / "run")
    assert 'start from "' in refused(line(tmp_path), tmp_path, "E543")


def test_a_run_that_is_not_there_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="E503"):
        fit(line(tmp_path), tmp_path, resume=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(SpecError, match="E543"):
        fit(line(tmp_path), tmp_path, run=None, resume=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"threads": 2}, "--threads 1, and is now by numpy with --threads 2"), ({"engine": "reference"}, "now by reference")],
)
def test_another_engine_or_number_of_threads_is_said(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    with pytest.warns(UserWarning, match="W541") as found:
        fit(line(tmp_path, **settings), tmp_path, resume=True)
    assert said in str(found[0].message)


def test_another_version_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(line(tmp_path), tmp_path)
    monkeypatch.setattr(environment, "VERSION", "9.9")
    with pytest.warns(UserWarning, match=r"W542.*nnspec_version .*, and is now with 9\.9"):
        fit(line(tmp_path), tmp_path, resume=True)


@pytest.mark.parametrize(("before", "now"), [("numpy", "ort"), ("ort", "numpy")])
def test_another_engine_is_no_other_version_of_a_package_that_one_of_them_needs(before: str, now: str, tmp_path: Path) -> None:
    fit(line(tmp_path, engine=before), tmp_path)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(line(tmp_path, engine=now), tmp_path, resume=True)
    assert ["W541" in str(w.message) for w in found] == [True]


def test_a_run_that_was_not_saved_yet_says_how_it_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    text = line(tmp_path).spec.source.text
    (tmp_path / "run" / "spec.nn").write_bytes(text.encode())
    with pytest.raises(SpecError, match="holds no weights that can be read") as error:
        nnspec.open(tmp_path / "run")
    assert f"`nnspec train F.nn --run {tmp_path / 'run'}`" in str(error.value)
    fit(line(tmp_path), tmp_path)
    assert nnspec.open(tmp_path / "run").params


def test_nothing_is_said_where_nothing_has_changed_and_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    before = contents(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(line(tmp_path), tmp_path, resume=True)
    assert contents(tmp_path / "run") == before


def test_a_finished_run_goes_on_for_more_epochs(tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    with pytest.warns(UserWarning, match="W543"):
        fit(line(tmp_path), tmp_path, resume=True, epochs=5)
    assert [p.name for p in committed(tmp_path / "run")] == ["step-00000009", "step-00000015"]
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(("schedule", "follows"), [("", False), ("schedule cosine()", True), ("schedule step_decay(0.5, 2)", False)])
def test_a_learning_rate_is_said_to_follow_the_length_only_where_it_does(tmp_path: Path, schedule: str, follows: bool) -> None:
    text = LINE.replace("epochs 3", f"epochs 3  {schedule}")
    fit(line(tmp_path, text), tmp_path)
    with pytest.warns(UserWarning, match="W543") as caught:
        fit(line(tmp_path, text), tmp_path, resume=True, epochs=5)
    assert ("the learning rate follows" in str(caught[0].message)) == follows


def test_fewer_epochs_than_are_done_are_refused_and_as_many_are_its_end(tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    said = refused(line(tmp_path), tmp_path, "E543", epochs=2)
    assert "has done 3 epochs, and 2 in all are asked for" in said and "ask for more than 3" in said
    fit(line(tmp_path), tmp_path, resume=True, epochs=3)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("early(val.loss, patience = 2)", "val.loss has not improved for 2 epochs; the best weights are kept"),
        ("plateau(loss, patience = 2)", "loss has been level for 2 epochs"),
        ("converged(weights = 1)", "no weight moved further than 0"),
    ],
)
def test_more_epochs_of_a_run_that_has_stopped_early_are_refused_with_its_reason(tmp_path: Path, stop: str, reason: str) -> None:
    text = LINE.replace("epochs 3", f"epochs 8  stop {stop}").replace("lr = 0.1", "lr = 0")
    fit(line(tmp_path, text), tmp_path)
    done = len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert done < 8
    said = refused(line(tmp_path, text), tmp_path, "E543", epochs=20)
    assert f"has stopped early, after epoch {done}: {reason}" in said and "start from" in said
    before = contents(tmp_path / "run")
    fit(line(tmp_path, text), tmp_path, resume=True)
    assert contents(tmp_path / "run") == before


def test_epochs_asked_for_stand_in_place_of_the_steps_of_the_spec_also_where_a_run_goes_on(tmp_path: Path) -> None:
    text = LINE.replace("epochs 3", "steps 4  schedule cosine()  data { x = [[1, 2]], y = [[3]] }").replace("batch 2", "batch 1")
    (tmp_path / "line.nn").write_text(text)
    (tmp_path / "more.nn").write_text("fn more(x) = 2 * x")
    for command, epochs in (("line.nn --run r --epochs 6", range(1, 7)), ("r --resume --epochs 9", range(1, 10))):
        done = run("train", *command.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        logged = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
        assert [e["epoch"] for e in logged] == [*epochs]
    assert "epoch 9/9" in done.stderr
    assert logged[-1]["lr"] == pytest.approx(0.1 * (1 + math.cos(math.pi * 8 / 9)) / 2, rel=1e-6)


def test_epochs_are_those_of_each_train_block_and_blocks_that_are_over_stay_as_they_are(tmp_path: Path) -> None:
    text = LINE.replace("train {", "train first {") + "train second { batch 2  epochs 2  optimizer sgd(lr = 0.01) }"
    (tmp_path / "line.nn").write_text(text.replace("batch 2", 'data npz("d.npz")  batch 2'))
    (tmp_path / "more.nn").write_text("fn more(x) = 2 * x")
    np.savez(tmp_path / "d.npz", **DATA)
    run("train", "line.nn", "--run", "r", cwd=tmp_path)
    more = run("train", "r", "--resume", "--epochs", "4", cwd=tmp_path)
    assert "what was trained before train block `second` stays as it is" in more.stderr
    assert [line.split("  ")[0] for line in more.stderr.splitlines() if "epoch " in line and "loss" in line] == [
        "second: epoch 6/7",
        "second: epoch 7/7",
    ]
    fewer = run("train", "r", "--resume", "--epochs", "3", cwd=tmp_path)
    assert fewer.returncode == 1
    assert "train block `second` of r has done 4 epochs, and 3 of each train block are asked for" in fewer.stderr


# ---- one writer


def test_a_second_writer_is_refused_and_the_lock_of_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    fit(line(tmp_path), tmp_path)
    with locked(tmp_path / "run"):
        for attempt in (lambda: fit(line(tmp_path), tmp_path, resume=True), lambda: line(tmp_path).save(tmp_path / "run")):
            with pytest.raises(SpecError, match=r"E541.*is being written by process \d+ on "):
                attempt()
    (tmp_path / "run" / "run.lock").write_text("process 1 on nowhere\n")  # as a crash leaves it
    fit(line(tmp_path), tmp_path, resume=True)
    assert not (tmp_path / "run" / "run.lock").exists()


# ---- the pages of the warnings


@pytest.mark.parametrize("page", sorted((ROOT / "nnspec" / "errors").glob("W54*.md")), ids=lambda p: p.stem)
def test_the_wrong_example_of_a_warning_gives_it_and_the_right_one_none(page: Path, tmp_path: Path) -> None:
    wrong, right = halves(page)
    for example, expected in ((wrong, [page.stem]), (right, [])):
        (folder := tmp_path / str(bool(expected))).mkdir()
        console, script = example.get("console"), example.get("python")
        done = run_console(console, folder) if console else run_script(script or "", folder)
        assert done.returncode == 0 and re.findall(r"\[([EW]\d{3})\]", done.stderr) == expected, done.stderr
        if console and expected:
            assert without_numbers(output_of(console)) in without_numbers(done.stderr)


def test_a_run_is_resumed_with_the_settings_it_was_begun_with_but_for_those_given(tmp_path: Path) -> None:
    model = LINE.replace('import "more.nn"', "let rate = 0.1").replace(" -> more", "").replace("lr = 0.1", "lr = rate")
    (tmp_path / "line.nn").write_text(model.replace("epochs 3", "epochs 1  data { x = [[1, 2]], y = [[3]] }"))
    begun = run("train", "line.nn", "--run", "run", "--set", "slope=2", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    for which in (("run",), ("line.nn", "--run", "run")):
        other = run("train", *which, "--resume", "--epochs", "2", "--set", "rate=0.5", cwd=tmp_path)
        assert other.returncode == 1 and "run was begun with the rate of the spec, not rate = 0.5" in other.stderr
    same = run("train", "run", "--resume", "--epochs", "2", "--set", "slope=2", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
