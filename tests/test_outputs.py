"""What a command writes takes the place of nothing that it reads, nor of a file of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import contents

import nnspec
from nnspec.cli.main import cli

SPEC = """model M {
  input  x: [2]
  target y: [1]
  output z = x -> dense(1)
  loss   mse(z, y)
}

train {
  data      csv("t.csv", x = [a, b], y = c)
  epochs    1
  optimizer sgd(0.1)
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.nn").write_text(SPEC)
    Path("t.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    nnspec.load("m.nn").save("run")
    nnspec.load("m.nn").export("m.onnx")
    return tmp_path


@pytest.mark.parametrize(("command", "said"), [
    ("export m.nn -o m.nn", "what is written is .onnx, not `.nn`"), ("export run -o model.txt", "what is written is .onnx"),
    ("compile m.nn -o m.nn", "what is written is .onnx"), ("predict run --data t.csv -o t.csv", "t.csv is what is read"),
    ("predict run --data t.csv -o ./t.csv", "is what is read"), ("import m.onnx -o m.nn", "m.nn is there already"),
    ("import m.onnx -o other.txt", "what is written is .nn"),
])  # fmt: skip
def test_no_file_is_lost(folder: Path, command: str, said: str) -> None:
    before = contents(folder)
    done = CliRunner().invoke(cli, command.split())
    assert done.exception and said in str(done.exception)
    assert contents(folder) == before


OWN = (
    "spec.nn",
    "health.jsonl",
    "metrics.jsonl",
    "judged.json",
    "loss.svg",
    "metrics.svg",
    "confusion.svg",
    "mistakes.svg",
    "model.onnx",
    "dense.W.png",
)


@pytest.mark.parametrize("name", [*OWN, "imports/part.nn"])
def test_a_run_takes_the_place_of_no_file_of_another(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    before = contents(folder)
    done = CliRunner().invoke(cli, ["train", "m.nn", "--run", "."])
    assert f"`{Path(name).parts[0]}` is there already" in str(done.exception)
    assert contents(folder) == before


def test_a_run_beside_files_that_it_does_not_write_leaves_them(folder: Path) -> None:
    (folder / "notes.svg").write_text("mine")
    (folder / "model.md").write_text("mine")
    before = contents(folder)
    assert CliRunner().invoke(cli, ["train", "m.nn", "--run", "."]).exception is None
    now = contents(folder)
    assert before.items() <= now.items() and Path("loss.svg") in now
    assert CliRunner().invoke(cli, ["train", ".", "--resume"]).exception is None


def test_weights_are_saved_over_no_spec_of_another(folder: Path) -> None:
    (folder / "spec.nn").write_text("mine")
    with pytest.raises(nnspec.SpecError, match=r"spec\.nn` is there already"):
        nnspec.load("m.nn").save(".")
    assert (folder / "spec.nn").read_text() == "mine"


@pytest.mark.parametrize("run", [[], ["--run", "r"]])
def test_a_training_that_cannot_begin_leaves_no_directory(folder: Path, run: list[str]) -> None:
    before = sorted(folder.rglob("*"))
    done = CliRunner().invoke(cli, ["train", "m.nn", "--engine", "ort", "--device", "cuda", *run])
    assert "does not compute on cuda" in str(done.exception)
    assert sorted(folder.rglob("*")) == before


def test_a_path_is_no_model() -> None:
    with pytest.raises(nnspec.SpecError, match=r"nnspec\.load"):
        nnspec.from_onnx("m.onnx")
