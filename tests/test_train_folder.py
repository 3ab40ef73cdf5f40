"""The folder of an exported training: the names in its models, its script by itself, and what is refused."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file
from test_train_step import all_sorts, run_script

import nnspec
from nnspec.cli.export import export
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.run.ort import Session
from nnspec.train.data import Dataset

IMAGES, DIGITS = np.zeros((2, 1, 8, 8)), np.array([1, 2])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    nnspec.load("digits").export_training(folder)
    return folder


def test_models_have_public_names_and_places(digits: Path) -> None:
    model = onnx.load(digits / "step.onnx")
    assert {i.name for i in model.graph.input} >= {"image", "digit", "lr", "step", "dense.W", "dense.W.m"}
    assert {o.name for o in model.graph.output} >= {"next:dense.W", "next:dense.W.m", "next:step", "loss", "loss_is_finite"}
    assert any(n.doc_string.startswith("digits.nn:") for n in model.graph.node)
    assert {p.key for p in model.metadata_props} >= {"nnspec_version", "spec_sha256", "seed"}


def test_the_script_is_thirty_lines_and_needs_nothing_but_numpy_and_onnxruntime(digits: Path) -> None:
    lines = (digits / "train.py").read_text().splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 140 and not any(";" in line for line in lines[1:])
    tree = ast.parse("\n".join(lines))
    named = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    named |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert named - sys.stdlib_module_names == {"numpy", "onnxruntime"}
    assert [p.name for p in digits.glob("*.py")] == ["train.py"]


def in_a_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script by itself, where no checkout is near."""
    command = [sys.executable, "-I", str(folder / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_trains_by_itself(digits: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", image=IMAGES, digit=DIGITS)
    done = in_a_process(digits, str(tmp_path / "d.npz"), str(tmp_path / "t.safetensors"))
    assert done.returncode == 0 and done.stdout.startswith("epoch 1  loss 2.3") and not done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"d.npz", "t.safetensors"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "data.npz'"),
        (["d.npz", "t.safetensors", "more"], "too many values"),
        (["{rows}", "nowhere/t.safetensors"], "nowhere'"),
        (["{wrong}"], "invalid dimensions for input: image for the following indices index: 3 Got: 7 Expected: 8"),
    ],
)
def test_an_error_is_a_line_below_the_usage(digits: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    paths = {"rows": tmp_path / "d.npz", "wrong": tmp_path / "w.npz"}
    np.savez(paths["rows"], image=IMAGES, digit=DIGITS)
    np.savez(paths["wrong"], image=IMAGES[..., 1:], digit=DIGITS)
    failed = in_a_process(digits, *(a.format_map(paths) for a in arguments))
    usage, error = failed.stderr.splitlines()
    assert failed.returncode == 1 and "python train.py [DATA.npz [TRAINED.safetensors]]" in usage and said in error
    assert not failed.stdout  # not an epoch is computed in vain


def test_ctrl_c_ends_the_script_without_a_word_and_leaves_the_last_whole_epoch(tmp_path: Path) -> None:
    model = "model M { input x: []  param w: [] = 1  output y = w - x  loss y^2 }"
    net = nnspec.loads(f"{model}  train {{ epochs 1_000_000  optimizer sgd(lr = 0.1) }}")
    net.export_training(tmp_path, data=[Dataset({"x": np.zeros(3, np.float32)}, None, None)])
    command = [sys.executable, "-I", str(tmp_path / "train.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        assert training.stdout and [training.stdout.readline()[:8] for _ in range(2)] == ["epoch 1 ", "epoch 2 "]
        training.send_signal(signal.SIGINT)
        _, said = training.communicate()
    assert training.returncode == -signal.SIGINT and not said
    assert 0 < load_file(tmp_path / "trained.safetensors")["w"] < 1


@pytest.mark.parametrize(("data", "said"), [
    (None, "No such file"), (b"", "not a zip"), (b"PK\x03\x04 no archive", "not a zip"), (b"\x80\x04]q\x00.", "not a zip"),
    (IMAGES, "not a zip"), ({"image": IMAGES}, "digit is not a file in the archive"),
    ({"image": IMAGES, "digit": np.array(["one", "two"])}, "invalid literal"),
    ({"image": IMAGES, "digit": np.array([{}, {}])}, "allow_pickle"),
    ({"image": IMAGES, "digit": DIGITS[:1]}, "as many of each field: 2 of image, 1 of digit"),
    ({"image": IMAGES[:1], "digit": DIGITS}, "1 of image, 2 of digit"),
    ({"image": IMAGES[:0], "digit": DIGITS[:0]}, "there have to be examples"),
    ({"image": IMAGES, "digit": np.array(3)}, "Invalid rank for input: digit"),
    ({"image": IMAGES[..., 1:], "digit": DIGITS}, r"input: image .*\n.* Got: 7 Expected: 8"),
    ({"image": IMAGES, "digit": DIGITS + 8}, "digit has classes other than 0 to 9"),
    ({"image": IMAGES, "digit": DIGITS - 2}, "digit has classes other than 0 to 9"),
    ({"image": IMAGES * np.nan, "digit": DIGITS}, "the loss became nan in step 1"),
])  # fmt: skip
def test_the_script_says_what_is_wrong_with_data(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, said: str
) -> None:
    path = tmp_path / "d.npz"
    if isinstance(data, dict):
        np.savez(path, **data)
    elif isinstance(data, bytes):
        path.write_bytes(data)
    elif data is not None:
        with path.open("wb") as file:
            np.save(file, data)
    with pytest.raises((Exception, SystemExit), match=said):
        run_script(digits, monkeypatch, str(path), str(tmp_path / "t.safetensors"))
    assert not list(tmp_path.glob("t.safetensors*"))


@pytest.mark.parametrize(
    ("labels", "wrong"), [([1, 9], []), ([1, -1], ["data:classes:digit"]), ([1, 99], ["data:classes:digit"]), ([], ["data:as_many"])]
)
def test_a_batch_by_itself_can_be_asked_whether_it_is_as_it_has_to_be(digits: Path, labels: list[int], wrong: list[str]) -> None:
    session = Session(digits / "examples.onnx")
    said = session.run({"image": np.zeros((len(labels), 1, 8, 8), "float32"), "digit": np.asarray(labels, "int64")})
    must = json.loads((digits / "step.json").read_text())["must_hold"]
    assert [name for name in must if not said.get(name, True)] == wrong


def test_a_spec_without_a_training_has_no_step(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        nnspec.loads("model M { input x: [2]  output y = 2 * x }").export_training(tmp_path / "out")
    assert [d.code for d in error.value.diagnostics] == ["E110"] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("augment image -> flip", ["augment"]),
        ("stop early(loss, patience = 2)", ["stop"]),
        ("validation 0.1  schedule on_plateau", ["validation"]),
        ("validation 0.1  schedule cosine", []),
    ],
)
def test_what_no_step_computes_is_named(settings: str, named: list[str], tmp_path: Path) -> None:
    net, told = all_sorts(settings), list[Diagnostic]()
    proof = net.export_training(tmp_path, on_warning=told.append)
    manifest = json.loads((tmp_path / "step.json").read_text())
    assert named == list(proof.left_out) == manifest["stages"][0]["left_out"] == [d.message.split("`")[1] for d in told]
    assert all(d.code == "W590" and d.span and d.span.text.startswith(*named) for d in told)


@pytest.mark.parametrize("theirs", ["", "{}", "[1]", "\udcff"])
def test_files_of_the_user_s_are_not_replaced(theirs: str, tmp_path: Path) -> None:
    mine = {"README.md": "# My project", "train.py": "mine = 1"} | ({"step.json": theirs} if theirs else {})
    for name, text in mine.items():
        (tmp_path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(SpecError, match=f"already holds {', '.join(f'`{name}`' for name in ('train.py', 'README.md'))}") as error:
        nnspec.load("xor").export_training(tmp_path)
    assert [d.code for d in error.value.diagnostics] == ["E504"]
    assert {p.name: p.read_text(errors="surrogateescape") for p in tmp_path.iterdir()} == mine


def test_an_exported_training_is_replaced_by_the_next(tmp_path: Path) -> None:
    for opset in (20, 21):
        nnspec.load("xor").export_training(tmp_path, opset=opset)
    assert json.loads((tmp_path / "step.json").read_text())["opset"] == 21


def test_the_command_writes_the_folder_and_its_script_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(export, ["xor", "--train-step", "--with-data"])
    assert said.exit_code == 0 and said.output.startswith("xor-step: data.npz, init.onnx, ")
    run_script(tmp_path / "xor-step", monkeypatch)
    first, *_, last = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert last < 0.1 * first


@pytest.mark.parametrize("options", [["--with-data", "-o", "m.onnx"], ["--train-step", "--data", "x.npz"], []])
def test_options_that_do_not_belong_together_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(export, ["xor", *options]).exit_code == 2


WATCHED = """
model M {
  input  x: [4]
  target y: class(3)
  z = x -> dense(3)
  output z
  loss   cross_entropy(z, y)
  metric accuracy(z, y)
  metric perplexity(z, y)
  metric f1(z, y)
}
train { epochs 2  validation 0.1  batch 8  optimizer adam  stop early(val.WATCHED, patience = 2) }
"""


@pytest.mark.parametrize(("watched", "is_there"), [("perplexity", False), ("accuracy", True)])
def test_a_metric_of_all_examples_at_once_is_said_not_to_be_there(watched: str, is_there: bool, tmp_path: Path) -> None:
    net, told = nnspec.loads(WATCHED.replace("WATCHED", watched)), list[Diagnostic]()
    proof = net.export_training(tmp_path, on_warning=told.append)
    said = json.loads((tmp_path / "step.json").read_text())["evaluate"]
    assert set(said["outputs"]) == {"loss", "cross_entropy", "accuracy"} and said["left_out"] == list(proof.left_out_metrics) == [
        "perplexity",
        "f1",
    ]
    assert "evaluate.onnx has no `perplexity`, `f1`: of all examples at once" in proof.sentence
    (doubt,) = told
    assert doubt.code == "W590" and ("and evaluate.onnx, are there to stop by" in (doubt.help or "")) is is_there
    assert (f"`{watched}` is of all examples at once" in (doubt.help or "")) is not is_there
