"""The exported training: `train.py`, NumPy and onnxruntime do what the engine does, for every spec of the gallery."""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from helpers import GALLERY, random_batch
from safetensors.numpy import load_file, save_file

import nnspec
from nnspec import gallery
from nnspec.cli.export import export
from nnspec.diagnostics import Diagnostic, SpecError
from nnspec.interchange.names import every_node
from nnspec.run.ort import Session
from nnspec.train.data import Dataset

TRAINED = [n for n in GALLERY if n != "filters"]  # which has no training
SMALL_BATCHES = {"gpt": 16, "char_lstm": 16, "inception_mnist": 16, "resnet": 32, "googlenet": 2}
# GoogLeNet with all of its layers and weights, on images of 32 by 32: on its own it takes minutes.
SMALLER = {"[3, 224, 224]": "[3, 32, 32]", "avgpool(7)": "avgpool(1)", "expect shape": "# expect shape"}

ALL_SORTS = """
fn clipped(x) = min(max(x, 0), 6)

model AllSorts {
  input  image: [2, 8, 8]
  target digit: class(3)
  h      = image -> conv(4, kernel = 3, pad = same, bias = false) -> batchnorm -> maxpool(2) -> clipped -> dropout(0.3) -> flatten
  logits = h -> dense(3, init = orthogonal)
  output probs = softmax(logits)
  loss   cross_entropy(logits, digit, smoothing = 0.1)
  metric accuracy(logits, digit)
}
train { batch 10  epochs 6  optimizer adam(lr = 0.01)  SCHEDULE  seed 3 }
"""


def all_sorts(schedule: str = "schedule cosine", **more: Any) -> nnspec.Net:
    return nnspec.loads(ALL_SORTS.replace("SCHEDULE", schedule), engine="numpy", threads=1, **more)


def small_googlenet() -> nnspec.Net:
    text = gallery.path("googlenet").read_text("utf-8")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    return nnspec.loads(text, engine="numpy", threads=1)


def batch_of(net: nnspec.Net, examples: int) -> dict[str, Any]:
    ports = net.inputs | net.targets
    return {n: np.asarray(v, ports[n].dtype) for n, v in random_batch(ports, examples).items()}


def exported(net: nnspec.Net, folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a folder with data."""
    proof = net.export_training(folder, data=[Dataset(data, None, None)] * len(net.spec.trainings))
    assert proof.difference < 1e-3 and {p.name for p in folder.iterdir()} == set(proof.files)
    for path in folder.glob("*.onnx"):
        assert_plain(onnx.load(path))
    return dict(json.loads((folder / "step.json").read_text()))


def assert_plain(model: onnx.ModelProto) -> None:
    """Of opset 21 of ONNX's own operators, none of them experimental, and nothing else: what every onnxruntime has, on a phone too."""
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 21)] and not model.functions
    for node in every_node(model.graph.node):
        schema = onnx.defs.get_schema(node.op_type, 21, node.domain)
        assert not node.domain and schema.support_level == onnx.defs.OpSchema.SupportType.COMMON and not schema.deprecated, node.op_type


def run_script(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the script sets
    monkeypatch.setattr(sys, "argv", [str(folder / "train.py"), *arguments])
    return runpy.run_path(str(folder / "train.py"), run_name="__main__")


def state_of(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    return {**load_file(folder / manifest["state"]), "lr": np.asarray(0.01, np.float32)}


def run(session: Session, values: dict[str, Any]) -> dict[str, Any]:
    return session.run({n: values[n] for n in session.inputs})


@pytest.mark.parametrize("name", TRAINED)
def test_twenty_steps_of_the_script_are_twenty_steps_of_the_engine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = small_googlenet() if name == "googlenet" else nnspec.load(name, engine="numpy", threads=1)
    size = min(net.spec.trainings[0].batch, SMALL_BATCHES.get(name, 64))
    net.spec = net.engine.spec = net.spec.with_training(steps=20, epochs=None, batch=size, augment=(), stop=None)
    data = batch_of(net, 5 * size)
    exported(net, tmp_path, data)
    run_script(tmp_path, monkeypatch)
    printed = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    history = net.fit_datasets([Dataset(data, None, None)] * len(net.spec.trainings))
    np.testing.assert_allclose(printed, [e.metrics["loss"] for e in history.epochs], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["", "schedule cosine", "steps 17  schedule cosine", "schedule on_plateau(patience = 1)"])
def test_a_whole_training_ends_with_the_same_weights_whatever_the_schedule(
    schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = all_sorts(schedule)
    data = batch_of(net, 44)
    exported(net, tmp_path, data)
    run_script(tmp_path, monkeypatch)
    net.fit_datasets([Dataset(data, None, None)])
    trained = load_file(tmp_path / "trained.safetensors")
    assert trained["step"] == int(net.engine.steps_done) > 16
    for name in ("dense.W", "conv.W", "batchnorm.mu"):
        np.testing.assert_allclose(trained[name], {**net.params, **net.states}[name], rtol=1e-3, atol=1e-4)


def test_an_epoch_is_its_steps_to_the_last_bit(tmp_path: Path) -> None:
    net = all_sorts()
    data = batch_of(net, 30)
    manifest = exported(net, tmp_path, data)
    stage, state = manifest["stages"][0], state_of(tmp_path, manifest)
    step, epoch = (Session(tmp_path / file) for file in (stage["models"]["step"], stage["epoch"]))
    several = {n: v.reshape(3, 10, *v.shape[1:]) for n, v in data.items()}
    whole = run(epoch, {**state, **several, "lr": np.full(3, 0.01, np.float32)})
    losses = []
    for k in range(3):
        outputs = run(step, {**state, **{n: v[k] for n, v in several.items()}})
        state |= {n: outputs[o] for n, o in stage["carried"].items()}
        losses.append(outputs["loss"])
    assert whole["loss"].tolist() == losses and whole["loss_is_finite"].all()
    for name, output in stage["carried"].items():
        np.testing.assert_array_equal(whole[output], state[name])


def test_first_values_are_drawn_from_any_seed(tmp_path: Path) -> None:
    net = all_sorts()
    manifest = exported(net, tmp_path, batch_of(net, 4))
    drawn = Session(tmp_path / manifest["init"]).run({"seed": np.asarray(7)})
    net.init(7)
    assert drawn.keys() == manifest["stages"][0]["carried"].keys()
    for name, value in {**net.params, **net.states}.items():
        np.testing.assert_allclose(drawn[name], value, atol=1e-6)
    assert not drawn["dense.W.m"].any() and drawn["step"] == 0


@pytest.mark.parametrize("place", ["image", "conv.W", "dense.b"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_is_seen_through_pooling_and_limits(place: str, value: float, tmp_path: Path) -> None:
    net = all_sorts()
    data = batch_of(net, 4)
    manifest = exported(net, tmp_path, data)
    step, values = Session(tmp_path / "step.onnx"), {**state_of(tmp_path, manifest), **data}
    assert run(step, values)["loss_is_finite"]
    values[place] = values[place].copy()
    values[place].reshape(-1)[1] = value
    outputs = run(step, values)
    assert not outputs["loss_is_finite"] and not np.isfinite(outputs["loss"])


def test_the_largest_and_smallest_of_values_keep_what_is_no_number(tmp_path: Path) -> None:
    model = "model M { input x: [5]  param w: [5] ~ ones  output y = max(w * x) + min(w * x)  loss y }"
    net = nnspec.loads(f"{model}  train {{ epochs 1  optimizer sgd(lr = 1) }}")
    exported(net, tmp_path, {"x": np.ones((3, 5), np.float32)})
    step, state = Session(tmp_path / "step.onnx"), load_file(tmp_path / "state.safetensors")
    for place in range(5):
        x = np.arange(10, dtype=np.float32).reshape(2, 5)
        x[1, place] = np.nan
        assert np.isnan(run(step, {**state, "x": x, "lr": np.asarray(1, np.float32)})["loss"])


def test_a_product_of_two_reciprocals_survives_onnxruntime() -> None:
    """Its optimiser joins 1 / n and 1 / s with the product of both, and would lose one of them."""
    model = "model M { input x: [5]  param w: [5] ~ ones  output y = max(w * x) + min(w * x)  loss y }"
    x = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    (loss, first), (other, second) = (nnspec.loads(model, engine=engine).gradients(x=x) for engine in ("ort", "reference"))
    assert loss == pytest.approx(other)
    np.testing.assert_allclose(first["w"], second["w"], rtol=1e-6)


def test_the_model_in_use_takes_the_weights_that_training_leaves(tmp_path: Path) -> None:
    net = all_sorts()
    data = batch_of(net, 12)
    net.fit({n: np.asarray(v) for n, v in data.items()}, epochs=1)
    manifest = exported(net, tmp_path, data)
    values = {**state_of(tmp_path, manifest), **data}
    got = run(Session(tmp_path / manifest["predict"]["file"]), values)
    np.testing.assert_allclose(got["probs"], net(image=data["image"])["probs"], atol=1e-6)
    seen = run(Session(tmp_path / manifest["evaluate"]["file"]), values)
    expected = net.evaluate(data)
    for metric, output in manifest["evaluate"]["outputs"].items():
        if metric in expected:
            assert seen[output] == pytest.approx(expected[metric], abs=1e-5)


def test_a_trained_network_goes_on_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = all_sorts()
    data = batch_of(net, 20)
    net.fit(data, epochs=2)
    manifest = exported(net, tmp_path, data)
    state = state_of(tmp_path, manifest)
    assert state["step"] == 4 and state["dense.W.v"].any()
    loss = run(Session(tmp_path / "step.onnx"), {**state, **data})["loss"]
    assert loss == pytest.approx(net.step(**data), rel=1e-5)


def test_a_training_that_starts_from_saved_weights_has_them_in_its_state(tmp_path: Path) -> None:
    save_file({"dense.W": np.full((2, 1), 5, np.float32)}, tmp_path / "w.safetensors")
    spec = tmp_path / "m.nn"
    spec.write_text(
        "model M { input x: [2]  target y: [1]  output p = x -> dense(1)  loss mse(p, y) }\n"
        'train { start from "w.safetensors"  epochs 1  optimizer sgd(lr = 0.1)  augment noise(0.1) }'.replace("augment noise(0.1)", "")
    )
    nnspec.load(spec).export_training(tmp_path / "out")
    assert (load_file(tmp_path / "out" / "state.safetensors")["dense.W"] == 5).all()


def test_a_later_train_block_takes_over_what_it_starts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"second.W": np.full((3, 1), 0.5, np.float32)}, tmp_path / "w.safetensors")
    spec = tmp_path / "m.nn"
    spec.write_text(
        "model M { input x: [2]  target y: [1]  output p = x -> dense(3) as first -> tanh -> dense(1) as second  loss mse(p, y) }\n"
        "train one { epochs 2  optimizer adam(lr = 0.1) }\n"
        'train two { start from "w.safetensors"  epochs 3  optimizer momentum(lr = 0.1)  schedule exponential(0.5) }'
    )
    net = nnspec.load(spec, engine="numpy", threads=1)
    data = batch_of(net, 50)
    manifest = exported(net, tmp_path / "out", data)
    assert [stage["left_out"] for stage in manifest["stages"]] == [[], []]
    run_script(tmp_path / "out", monkeypatch)
    net.fit_datasets([Dataset(data, None, None)] * 2)
    trained = load_file(tmp_path / "out" / "trained.safetensors")
    for name, value in net.params.items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-4, atol=1e-5)
    assert trained["begun"] == 4 and trained["step"] == 10


def test_a_spec_starts_from_what_the_script_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = all_sorts()
    exported(net, tmp_path / "out", batch_of(net, 20))
    run_script(tmp_path / "out", monkeypatch)
    (tmp_path / "m.nn").write_text(ALL_SORTS.replace("SCHEDULE", 'start from "out/trained.safetensors"'))
    nnspec.load(tmp_path / "m.nn").export_training(tmp_path / "again")
    trained, begun = (load_file(tmp_path / name) for name in ("out/trained.safetensors", "again/state.safetensors"))
    assert trained["step"] == 12 and begun["step"] == 0
    for name in {**net.params, **net.states}:
        np.testing.assert_array_equal(begun[name], trained[name])


def test_weights_from_a_file_lie_in_the_model_of_first_values(tmp_path: Path) -> None:
    save_file({"W": np.asarray([3, 4], np.float32)}, tmp_path / "w.safetensors")
    spec = tmp_path / "m.nn"
    spec.write_text(
        'model M { input x: [2]  param W: [2] ~ pretrained("w.safetensors")  output y = sum(W * x)  loss y^2 }\n'
        "train { epochs 1  optimizer sgd(lr = 0.1) }"
    )
    nnspec.load(spec).export_training(tmp_path / "out")
    assert Session(tmp_path / "out" / "init.onnx").run({"seed": np.asarray(0)})["W"].tolist() == [3, 4]


def test_an_input_called_lr_leaves_the_rate_another_name(tmp_path: Path) -> None:
    net = nnspec.loads(
        "model M { input lr: []  param w: [] = 1  output y = w - lr  loss y^2 }  train { epochs 1  optimizer sgd(lr = 0.25) }"
    )
    manifest = exported(net, tmp_path, {"lr": np.zeros(3, np.float32)})
    (stage,) = manifest["stages"]
    assert (stage["fields"], stage["lr"]) == (["lr"], {"input": "optimizer:lr", "base": 0.25})
    values = {"w": 1, "lr": [3.0], "optimizer:lr": 0.25, "step": 0}
    outputs = run(Session(tmp_path / "step.onnx"), {n: np.asarray(v, "int64" if n == "step" else "float32") for n, v in values.items()})
    assert outputs["next:w"] == 2 and outputs["loss"] == 4


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
        (["{rows}", "nowhere/t.safetensors"], "nowhere/t.safetensors.new'"),
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


IMAGES, DIGITS = np.zeros((2, 1, 8, 8)), np.array([1, 2])


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
    net, told = nnspec.loads(ALL_SORTS.replace("SCHEDULE", settings)), list[Diagnostic]()
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
