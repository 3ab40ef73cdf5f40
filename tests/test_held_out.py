"""What a training holds out, and that whoever judges what was trained holds out the same."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import warnings
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import run

import nnspec
from nnspec.cli.main import cli
from nnspec.diagnostics import Fault

MODEL = """
model Line {
  input  x: [2]
  target y: class(2)
  z = x -> dense(2)
  output z
  loss   cross_entropy(z, y)
  metric accuracy(z, y)
}
"""
POINTS = f"""{MODEL}
train {{ data moons(n = 100)  validation 0.2  test 0.3  batch 10  epochs 4  optimizer sgd(lr = 0.1) }}
"""


@pytest.fixture
def seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """What a training by a seed and a length of the command line says of itself."""
    monkeypatch.chdir(tmp_path)
    Path("line.nn").write_text(POINTS)
    done = CliRunner().invoke(cli, ["train", "line.nn", "--run", "run", "--seed", "2", "--epochs", "3", "--engine", "numpy", "--json"])
    assert done.exit_code == 0
    return dict(json.loads(done.stdout))


def test_a_run_is_judged_on_what_its_own_seed_held_out(seeded: dict[str, dict[str, float]]) -> None:
    net, other = nnspec.open("run"), nnspec.load("line.nn").dataset()
    own = net.dataset()
    assert own.test and other.test and own.test["x"].tolist() != other.test["x"].tolist()
    assert net.evaluate(own.test) == pytest.approx(seeded["test"])
    judged = CliRunner().invoke(cli, ["eval", "run", "--json"])
    assert {n: v for n, v in json.loads(judged.stdout).items() if n != "part"} == pytest.approx(seeded["test"])


def test_a_run_that_is_opened_goes_on_as_it_was_begun(seeded: dict[str, dict[str, float]]) -> None:
    assert len(nnspec.open("run").fit(run="run", resume=True).epochs) == 3


# ---- arrays

TABLE = {"x": np.arange(80.0).reshape(40, 2) / 80, "y": np.arange(40) % 2}


def watched(settings: str, data: Any = TABLE, **more: Any) -> list[str]:
    """The metrics of an epoch of training with these lines in the train block."""
    text = f"{MODEL}train {{ epochs 2  optimizer sgd(lr = 0.1)  {settings} }}"
    return [*nnspec.loads(text).fit(data, **more).epochs[0].metrics]


def test_arrays_are_split_as_a_file_of_them_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("table.npz", **TABLE)
    net = nnspec.loads(POINTS.replace("data moons(n = 100)", ""))
    ours, theirs = net.dataset(data=TABLE), net.dataset("table.npz")
    for part, of_file in ((ours.train, theirs.train), (ours.validation, theirs.validation), (ours.test, theirs.test)):
        assert part and of_file and all(part[n].tolist() == of_file[n].tolist() for n in TABLE)
    by_array, by_file = (nnspec.loads(POINTS.replace("data moons(n = 100)", ""), engine="numpy", threads=1) for _ in range(2))
    assert [e.metrics for e in by_array.fit(TABLE).epochs] == [e.metrics for e in by_file.fit(path="table.npz").epochs]


def test_what_arrays_hold_out_is_watched() -> None:
    assert watched("validation 0.2  stop early(val.loss, patience = 2)") == ["loss", "val.accuracy", "val.loss"]
    assert watched("") == ["loss"]


@pytest.mark.parametrize("settings", ["", "validation 0.2"])
def test_arrays_for_validation_stand_in_the_place_of_the_spec_s_with_its_own_data_too(settings: str) -> None:
    other = {n: v[:4] for n, v in TABLE.items()}
    text = POINTS.replace("validation 0.2  test 0.3", settings)
    for data in (None, TABLE):
        net = nnspec.loads(text, engine="numpy", threads=1).init(3)
        (epoch,) = net.fit(data, epochs=1, validation=other).epochs
        assert epoch.metrics["val.loss"] == pytest.approx(net.evaluate(other)["loss"])
        assert epoch.step == (8 if data is None else 4)  # all of 80 or 40, in batches of 10


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"validation": 0.2}, "not as 0.2"),
        ({"validation": (TABLE["x"], TABLE["y"])}, "not as a tuple"),
        ({"validation": TABLE["x"]}, "not as a ndarray"),
        ({"validation": {"x": TABLE["x"]}}, "there is no data for `y`"),
        ({"data": (TABLE["x"], TABLE["y"])}, "not as a tuple"),
    ],
)
def test_what_is_no_arrays_by_name_is_refused(given: dict[str, Any], said: str) -> None:
    for data in ({"data": None}, {}):
        with pytest.raises(nnspec.SpecError, match=said):
            watched("data moons", **{**data, **given})


def test_arrays_and_a_path_are_not_both_trained_on() -> None:
    with pytest.raises(ValueError, match=r"bom\.csv, and not both"):
        watched("", path="bom.csv")


# ---- other data


@pytest.fixture
def written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose spec has its examples in itself, and files beside it."""
    monkeypatch.chdir(tmp_path)
    Path("in.nn").write_text(f"{MODEL} train {{ data {{ x = [[1, 2], [3, 4]], y = [0, 1] }}  epochs 1  optimizer sgd(lr = 0.1) }}")
    Path("rows.csv").write_text("x_0,x_1,y\n1,2,0\n3,4,1\n5,6,1\n")
    assert CliRunner().invoke(cli, ["train", "in.nn", "--run", "run"]).exit_code == 0


@pytest.mark.usefixtures("written_down")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("predict run --data nope.json -o p.csv", "`nope.json` is not a .csv"),
        ("predict run --data . -o p.csv", "`.` is not a .csv"),
        ("eval run --data nope.json", "`nope.json` is not a .csv"),
        ("eval run --data nope.csv", "nope.csv does not exist"),
        ("train in.nn --data nope.csv", "`data { .. }` brings its own examples and reads no other data"),
        ("train in.nn --data rows.csv", "`data { .. }` brings its own examples and reads no other data"),
    ],
)
def test_data_that_is_given_is_never_passed_over_for_the_values_of_a_spec(command: str, said: str) -> None:
    error = CliRunner().invoke(cli, command.split()).exception
    assert isinstance(error, Fault | nnspec.SpecError) and said in str(error)


@pytest.mark.usefixtures("written_down")
def test_a_table_is_read_in_the_place_of_the_values_of_a_spec() -> None:
    done = CliRunner().invoke(cli, ["predict", "run", "--data", "rows.csv", "-o", "p.csv"])
    assert done.stdout == "3 predictions in p.csv\n"


# ---- arrays in another file than that of the spec

ARRAYS = f'{MODEL} train {{ data npy("train/", x = pix, y = lab)  epochs 1  optimizer sgd(lr = 0.1) }}'


@pytest.fixture
def foldered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was trained on a folder of npy files, and others of the same fields."""
    monkeypatch.chdir(tmp_path)
    pix, lab = np.arange(20.0).reshape(10, 2) / 20, np.arange(10) % 2
    for folder in ("train", "more"):
        Path(folder).mkdir()
        np.save(f"{folder}/pix.npy", pix)
        np.save(f"{folder}/lab.npy", lab)
    Path("x").mkdir()
    np.save("x/x.npy", pix)
    np.savez("more.npz", pix=pix, lab=lab)
    Path("net.nn").write_text(ARRAYS)
    assert CliRunner().invoke(cli, ["train", "net.nn", "--run", "run"]).exit_code == 0


@pytest.mark.usefixtures("foldered")
@pytest.mark.parametrize("data", ["more", "more/", "more.npz"])
def test_a_run_of_a_folder_of_arrays_takes_another_one_and_an_npz_file_of_the_same_names(data: str) -> None:
    predicted = CliRunner().invoke(cli, ["predict", "run", "--data", data, "-o", "p.csv"])
    assert predicted.stdout == "10 predictions in p.csv\n"
    own, other = (CliRunner().invoke(cli, ["eval", "run", *more]).stdout for more in ((), ("--data", data)))
    assert own.partition(": ")[2] == other.partition(": ")[2] != ""


@pytest.mark.usefixtures("foldered")
def test_a_run_of_an_npz_file_takes_a_folder_of_arrays_and_one_of_a_table_by_its_names() -> None:
    Path("npz.nn").write_text(ARRAYS.replace('npy("train/"', 'npz("more.npz"'))
    Path("csv.nn").write_text(MODEL + 'train { data csv("t.csv")  epochs 1  optimizer sgd(lr = 0.1) }')
    Path("t.csv").write_text("x_0,x_1,y\n1,2,0\n3,4,1\n")
    for name, data in (("npz", "train"), ("csv", "x")):
        assert CliRunner().invoke(cli, ["train", f"{name}.nn", "--run", name]).exit_code == 0
        assert CliRunner().invoke(cli, ["predict", name, "--data", data, "-o", "p.csv"]).stdout == "10 predictions in p.csv\n"


# ---- data that is not what it was

HELD = 'csv("train.csv")  test 0.3'


def written(name: str, rows: list[int]) -> None:
    Path(name).write_text("x_0,x_1,y\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in rows))


def judged_after(settings: str, rows: list[int], *options: str) -> str:
    """What `eval` says beside the metrics of a run whose table has other rows since."""
    written("train.csv", [*range(40)])
    written("test.csv", [*range(40, 60)])
    Path("net.nn").write_text(f"{MODEL} train {{ data {settings}  epochs 1  optimizer sgd(lr = 1e-3) }}")
    assert CliRunner().invoke(cli, ["train", "net.nn", "--run", "run"]).exit_code == 0
    assert nnspec.open("run").trained_on
    written("train.csv", rows)
    done = run("eval", "run", *options, cwd=Path())
    assert done.returncode == 0
    return done.stderr


@pytest.mark.parametrize("rows", [[*range(41)], [*range(39)], [*range(40)][::-1]], ids=["grown", "shorter", "reversed"])
def test_a_run_whose_table_has_changed_is_not_judged_without_a_word(
    rows: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = judged_after(HELD, rows)
    assert "W545]: `Line` was trained on other data: what is held out now may have been trained on" in said
    assert 'data csv("train.csv")' in said


@pytest.mark.parametrize(
    ("settings", "rows", "options"),
    [
        (HELD, [*range(40)], ()),
        (HELD, [*range(41)], ("--data", "test.csv")),
        ('csv("train.csv")  test csv("test.csv")', [*range(41)], ()),
    ],
    ids=["the same", "another file", "a test of its own"],
)
def test_a_run_is_judged_without_a_word_by_what_it_has_not_seen(
    settings: str, rows: list[int], options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert judged_after(settings, rows, *options) == ""


def test_a_copy_of_a_run_knows_what_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    judged_after(HELD, [*range(41)])
    net = nnspec.open("run")
    net.save("again")
    for other in (net, copy(net), nnspec.open("again")):
        with pytest.warns(UserWarning, match="W545"):
            other.dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.init().dataset()


# ---- the weights that are kept


def test_the_summary_and_the_card_are_of_the_weights_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stop = "stop early(val.loss, patience = 2)"
    settings = f"data moons(n = 60)  validation 0.3  batch 6  epochs 30  optimizer sgd(lr = 30)  {stop}"
    Path("net.nn").write_text(f"{MODEL} train {{ {settings} }}")
    done = CliRunner().invoke(cli, ["train", "net.nn", "--run", "run", "--engine", "numpy", "--json"])
    result = json.loads(done.stdout)
    best = min(result["epochs"], key=lambda e: e["val.loss"])
    assert best["epoch"] == result["final_epoch"] == len(result["epochs"]) - 2
    net = nnspec.open("run")
    validation = net.dataset().validation
    assert validation and net.evaluate(validation)["loss"] == pytest.approx(result["final"]["val.loss"]) == best["val.loss"]
    assert CliRunner().invoke(cli, ["export", "run", "-o", "m.onnx"]).exit_code == 0
    assert f"| epoch {best['epoch']} | val.loss | {best['val.loss']:.4g} |" in Path("m.md").read_text()
    again = CliRunner().invoke(cli, ["train", "run", "--resume"])
    assert f"training, epoch {best['epoch']}: loss {best['loss']:.4g}" in again.stdout


NOISY = """
model Noisy {
  input  x: [4]
  target y: class(3)
  z = (x + normal(0, 1)) -> dense(3)
  output z
  loss   cross_entropy(z, y)
}
train { epochs 2  batch 100  optimizer adam(lr = 1e-2)  seed 3 }
"""


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_what_is_drawn_in_judging_is_the_same_whoever_asks(tmp_path: Path, engine: str) -> None:
    rng = np.random.default_rng(0)
    data = {"x": rng.standard_normal((500, 4)), "y": rng.integers(0, 3, 500)}
    net = nnspec.loads(NOISY, engine=engine)
    history = net.fit(data, validation=data, run=tmp_path / "run")
    assert history.final
    logits = net.predict({"x": data["x"]})["z"].astype(float)
    by_hand = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(500), data["y"]])
    net(x=data["x"][:7])
    opened, fresh = nnspec.open(tmp_path / "run"), nnspec.loads(NOISY, engine=engine)
    fresh.params = dict(net.params)
    losses = [history.final.metrics["val.loss"], *(n.evaluate(data)["loss"] for n in (net, opened, fresh))]
    assert losses == pytest.approx([by_hand] * 4, rel=1e-5)


@pytest.mark.skipif(shutil.which("gunzip") is None, reason="gunzip is not installed")
@pytest.mark.usefixtures("written_down")
@pytest.mark.parametrize("name", ["rows.csv.gz", "packed.csv"])
def test_the_command_that_unpacks_a_table_makes_one_that_is_read(name: str) -> None:
    Path(name).write_bytes(gzip.compress(Path("rows.csv").read_bytes()))
    Path("rows.csv").unlink()
    error = CliRunner().invoke(cli, ["predict", "run", "--data", name, "-o", "p.csv"]).exception
    assert isinstance(error, Fault)
    command = error.diagnostic.help.split("unpack it: `")[1].split("`")[0]
    before = {*Path().glob("*.csv")}
    subprocess.run(command, shell=True, check=True)  # it is to be copied into a shell
    [table] = {*Path().glob("*.csv")} - before
    assert CliRunner().invoke(cli, ["predict", "run", "--data", str(table), "-o", "p.csv"]).stdout == "3 predictions in p.csv\n"
