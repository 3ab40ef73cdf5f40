"""The command line: what it prints, writes and returns, run as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from helpers import GALLERY, ROOT, run

SPEC = """
model Iris {
  input  x: [4]
  target y: class(3)
  logits = x -> dense(8) -> relu -> dense(3)
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
  metric accuracy(logits, y)
}
train { data SOURCE  batch 4  epochs 3  optimizer adam(lr = 0.01) }
"""


def write_csv(folder: Path, rows: int = 20, **cells: str) -> Path:
    rng = np.random.default_rng(0)
    lines = ["a,b,c,d,kind", *(",".join(f"{v:.3f}" for v in rng.random(4)) + f",{i % 3}" for i in range(rows))]
    path = folder / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", GALLERY)
def test_every_gallery_spec_opens_with_a_three_line_header_and_checks(name: str) -> None:
    lines = (ROOT / "specs" / f"{name}.nn").read_text().splitlines()
    assert all(line.startswith("# ") for line in lines[:3]) and not lines[3].startswith("#")
    done = run("check", name)
    assert done.returncode == 0, done.stderr
    assert "params" in done.stdout and not done.stderr


def test_check_counts_the_wide_net_and_holds_its_expectation() -> None:
    out = run("check", "mnist_wide").stdout
    assert "785,000" in out and "10,010" in out and "795,010" in out


def test_check_finds_a_wrong_count(tmp_path: Path) -> None:
    text = (ROOT / "specs" / "mnist_wide.nn").read_text().replace("795_010", "795_011")
    done = run("check", "-", stdin=text)
    assert done.returncode == 1 and "E207" in done.stderr and "params is 795010" in done.stderr


def test_check_json_lists_what_is_wrong_and_where(tmp_path: Path) -> None:
    path = tmp_path / "bad.nn"
    path.write_text("model M {\n  input x: [4]\n  output y = x -> dens(3)\n}\n")
    done = run("check", str(path), "--json")
    (found,) = json.loads(done.stdout)
    assert done.returncode == 1
    assert {"code", "level", "message", "file", "line", "column", "end_line", "end_column", "help", "fix"} <= set(found)
    assert (found["code"], found["line"], found["column"]) == ("E101", 3, 19)


def test_set_overrides_a_let_and_an_unknown_one_is_an_error() -> None:
    assert "(64)" not in run("check", "lenet").stdout
    assert "[64, 7, 7]" in run("check", "lenet", "--set", "width=32").stdout
    done = run("check", "lenet", "--set", "widht=32")
    assert done.returncode == 1 and "did you mean `width`" in done.stderr


@pytest.mark.parametrize("stage", ["ast", "graph", "step"])
def test_a_stage_is_one_json_document_too(stage: str) -> None:
    text, document = (run("compile", "mazur", "--stage", stage, *more).stdout for more in ((), ("--json",)))
    assert json.loads(document) == {"stage": stage, "text": text.removesuffix("\n")}


def test_the_plan_is_one_json_document_too() -> None:
    text, document = (run("compile", "mazur", "--stage", "plan", *more).stdout for more in ((), ("--json",)))
    plan = json.loads(document)
    (piece,) = plan["pieces"]
    names = [row["value"] for row in piece["values"]]
    assert plan["memory"] == json.loads(run("compile", "mazur", "--json").stdout)["memory"]
    assert plan["sizes"] == {"batch": 1} and len(names) > 10 and all(f"\n{name}" in text for name in names)
    assert sum(row["seconds"] or 0 for row in piece["values"]) == pytest.approx(plan["seconds"], rel=0.5)


@pytest.mark.parametrize("stage", ["ast", "graph", "step", "plan"])
def test_compile_prints_a_stage(stage: str) -> None:
    done = run("compile", "mazur", "--stage", stage)
    assert done.returncode == 0 and "mul" in done.stdout if stage != "ast" else "Definition kind='model'" in done.stdout


def test_compile_json_and_onnx(tmp_path: Path) -> None:
    done = run("compile", "digits", "--json", "-o", str(tmp_path / "d.onnx"))
    document = json.loads(done.stdout)
    assert document["params"] == 4810 and document["parameters"][0] == {"name": "dense.W", "shape": [64, 64]}
    assert [i.name for i in onnx.load(tmp_path / "d.onnx").graph.input] == ["image"]


def test_a_csv_is_trained_evaluated_predicted_and_exported(tmp_path: Path) -> None:
    write_csv(tmp_path)
    (tmp_path / "iris.nn").write_text(SPEC.replace("SOURCE", 'csv("data.csv", x = [a, b, c, d], y = kind)  test 0.2  validation 0.2'))
    done = run("train", "iris.nn", "--run", "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) >= {"run", "epochs", "final", "test", "seconds", "engine"}
    assert [e["epoch"] for e in result["epochs"]] == [1, 2, 3] and "val.accuracy" in result["final"]
    out = tmp_path / "out"
    assert [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]
    ElementTree.parse(out / "loss.svg")
    onnx.checker.check_model(onnx.load(out / "model.onnx"), full_check=True)
    assert (out / "spec.nn").read_text() == (tmp_path / "iris.nn").read_text()

    evaluated = run("eval", "out", "--json", cwd=tmp_path)
    assert json.loads(evaluated.stdout)["accuracy"] == pytest.approx(result["test"]["accuracy"])
    assert run("predict", "out", "--data", "data.csv", "-o", "p.csv", cwd=tmp_path).returncode in (0, 1)
    done = run("export", "out", "-o", "m.onnx", cwd=tmp_path)
    assert done.returncode == 0 and "opset 21" in done.stdout and (tmp_path / "m.onnx").exists()


def test_an_npz_is_trained_and_predicted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.random((30, 4)), y=rng.integers(0, 3, 30))
    (tmp_path / "n.nn").write_text(SPEC.replace("SOURCE", 'npz("d.npz")'))
    assert run("train", "n.nn", "--run", "out", cwd=tmp_path).returncode == 0
    done = run("predict", "out", "--data", "d.npz", "-o", "p.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "p.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 30 and sum(float(rows[0][f"probs_{i}"]) for i in range(3)) == pytest.approx(1, abs=1e-5)
    assert run("predict", "out", "--data", "d.npz", "-o", "p.npz", cwd=tmp_path).returncode == 0
    assert np.load(tmp_path / "p.npz")["probs"].shape == (30, 3)


def test_the_same_command_twice_writes_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.random((30, 4)), y=rng.integers(0, 3, 30))
    (tmp_path / "n.nn").write_text(SPEC.replace("SOURCE", 'npz("d.npz")'))
    for name in ("one", "two"):
        assert run("train", "n.nn", "--run", name, cwd=tmp_path).returncode == 0
    for file in ("step-00000024/state.safetensors", "model.onnx", "loss.svg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_a_run_is_never_written_over_another(tmp_path: Path) -> None:
    assert run("train", "mazur", "--epochs", "2", "--run", "out", cwd=tmp_path).returncode == 0
    done = run("train", "mazur", "--epochs", "2", "--run", "out", cwd=tmp_path)
    assert done.returncode == 1 and "E504" in done.stderr


def test_gradcheck_passes_for_a_gallery_spec() -> None:
    done = run("gradcheck", "digits")
    assert done.returncode == 0 and done.stdout.count("ok") == 4


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "E501"), (b"", "E503"), (b"\x89PNG\r\n\x1a\n\x00\x00", "E503"), (b"model \x00 M {}", "E503"), (b"model M {", "E002")],
)
@pytest.mark.parametrize("command", ["check", "train"])
def test_a_file_that_is_no_spec_is_one_clear_error(tmp_path: Path, content: bytes | None, code: str, command: str) -> None:
    if content is not None:
        (tmp_path / "f.nn").write_bytes(content)
    done = run(command, "f.nn", cwd=tmp_path)
    assert done.returncode == 1 and f"error[{code}]" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_named_like_a_gallery_spec_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert run("check", "digits", cwd=tmp_path).returncode == 0


def test_a_setting_is_read_as_the_language_reads_a_value() -> None:
    assert "[16, 28, 28]" in run("check", "lenet", "--set", "width=2*8").stdout
    done = run("check", "lenet", "--set", "width=(")
    assert done.returncode == 1 and "--set width:1:1" in done.stderr and done.stderr.count("error[") == 1


def test_gradcheck_of_a_model_without_a_loss_says_so() -> None:
    done = run("gradcheck", "-", stdin="model M { input x: [2]  output y = x -> dense(1) }")
    assert done.returncode == 1 and "E110" in done.stderr


def test_a_run_where_a_spec_is_expected_is_recognised(tmp_path: Path) -> None:
    assert run("train", "mazur", "--epochs", "2", "--run", "out", cwd=tmp_path).returncode == 0
    done = run("compile", "out", cwd=tmp_path)
    assert done.returncode == 1 and "is a folder" in done.stderr and "spec.nn" in done.stderr
    assert run("check", "out", cwd=tmp_path).stdout == run("check", "out/spec.nn", cwd=tmp_path).stdout
    assert run("export", "out", "--set", "a=1", "-o", "m.onnx", cwd=tmp_path).returncode == 2


def test_usage_errors_exit_with_2() -> None:
    assert run("train").returncode == 2
    assert run("check", "digits", "--set", "x").returncode == 2
    assert run("nosuch").returncode == 2


def test_a_folder_that_is_no_run_is_one_clear_error(tmp_path: Path) -> None:
    done = run("eval", str(tmp_path))
    assert done.returncode == 1 and "E503" in done.stderr


def test_a_spec_that_cannot_be_trained_leaves_no_run_directory(tmp_path: Path) -> None:
    done = run("train", "-", cwd=tmp_path, stdin="model M { input x: [2]  output y = x -> dense(1)  loss y }")
    assert done.returncode == 1 and "E110" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_in_its_first_epoch_leaves_no_run(tmp_path: Path) -> None:
    spec = "model M { input x: [1]  target y: [1]  output z = x -> dense(1)  loss exp(sum((z - y)^2) * 1e9) }"
    (tmp_path / "m.nn").write_text(f"{spec} train {{ data {{ x = [[1]], y = [[9]] }}  epochs 2  optimizer sgd(lr = 1) }}", "utf-8")
    for _ in range(2):
        done = run("train", "m.nn", "--run", "r", cwd=tmp_path)
        assert done.returncode == 1 and "E411" in done.stderr
        assert not (tmp_path / "r").exists()
