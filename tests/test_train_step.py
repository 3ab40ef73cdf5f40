"""The exported training: `train.py`, NumPy and onnxruntime do what the engine does, for every spec of the gallery."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import GALLERY
from kernels import without_kernel
from safetensors.numpy import load_file, save_file

import nnspec
from nnspec import gallery
from nnspec.interchange.nodes import every_node
from nnspec.run.ort import Session
from nnspec.train.data import Dataset
from tools.batches import random_batch
from tools.twenty_steps import data_of

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


def small_googlenet(dtype: str) -> nnspec.Net:
    text = gallery.path("googlenet").read_text("utf-8")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    return nnspec.loads(text, dtype=dtype, engine="numpy", threads=1)


def for_twenty_steps(name: str, dtype: str = "float32", most: int = 64) -> nnspec.Net:
    """A spec of the gallery, its batches no larger than they need to be."""
    net = small_googlenet(dtype) if name == "googlenet" else nnspec.load(name, dtype=dtype, engine="numpy", threads=1)
    size = min(net.spec.trainings[0].batch, SMALL_BATCHES.get(name, most), most)
    net.spec = net.engine.spec = net.spec.with_training(steps=20, epochs=None, batch=size, augment=(), stop=None)
    return net


def batch_of(net: nnspec.Net, examples: int) -> dict[str, Any]:
    ports = net.inputs | net.targets
    return {n: np.asarray(v, ports[n].dtype) for n, v in random_batch(ports, examples).items()}


def exported(net: nnspec.Net, folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a folder with data."""
    double = net.spec.dtype == "float64"
    proof = net.export_training(folder, data=[Dataset(data, None, None)] * len(net.spec.trainings), double=double)
    assert proof.difference < (1e-12 if double else 1e-3) and {p.name for p in folder.iterdir()} == set(proof.files)
    for path in folder.glob("*.onnx"):
        assert_plain(onnx.load(path))
    return dict(json.loads((folder / "step.json").read_text()))


def assert_plain(model: onnx.ModelProto) -> None:
    """Of opset 21 of ONNX's own operators, none of them experimental, and nothing else: what every onnxruntime has, on a phone too, and
    for the kinds of numbers that onnxruntime 1.19 computes with."""
    assert not without_kernel(model)
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
    net = for_twenty_steps(name)
    data = batch_of(net, 5 * net.spec.trainings[0].batch)
    exported(net, tmp_path, data)
    run_script(tmp_path, monkeypatch)
    printed = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    history = net.fit_datasets([Dataset(data, None, None)] * len(net.spec.trainings))
    # Two small images are few to GoogLeNet, and on some processors rounding grows; on its own it is 3e-8, as `tools.twenty_steps` says.
    most = 1e-4 if name == "googlenet" else 1e-5
    np.testing.assert_allclose(printed, [e.metrics["loss"] for e in history.epochs], rtol=most, atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_in_float64_the_weights_are_the_same_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rounding grows so far in twenty steps that it could be taken for another program, or another for it."""
    net = for_twenty_steps(name, "float64", most=4)
    data = data_of(net, 5 * net.spec.trainings[0].batch, normal=True)
    exported(net, tmp_path, data)
    run_script(tmp_path, monkeypatch)
    net.fit_datasets([Dataset(data, None, None)] * len(net.spec.trainings))
    trained, own = load_file(tmp_path / "trained.safetensors"), {**net.params, **net.states}
    largest = max(np.abs(w).max() for w in own.values())
    for parameter, value in own.items():
        np.testing.assert_allclose(trained[parameter], value, rtol=0, atol=1e-10 * largest, err_msg=parameter)


@pytest.mark.parametrize(
    "schedule", ["", "schedule cosine", "steps 17  schedule cosine", "steps 999  schedule cosine", "schedule on_plateau(patience = 1)"]
)
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_states_are_fitted_to_what_weights_make_of_the_data(dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = "model M { input x: [3]  param w: [3, 3] ~ orthogonal  output y = (x @ w -> standardize -> tanh)[0]  loss y^2 }"
    net = nnspec.loads(f"{model}  train {{ epochs 2  batch 4  optimizer sgd(lr = 0.01) }}", dtype=dtype, engine="numpy")
    data = data_of(net, 12)
    exported(net, tmp_path, data)
    run_script(tmp_path, monkeypatch)
    net.fit_datasets([Dataset(data, None, None)])
    trained = load_file(tmp_path / "trained.safetensors")
    for name, value in {**net.params, **net.states}.items():
        np.testing.assert_allclose(trained[name], value, atol=1e-13 if dtype == "float64" else 1e-5)


def test_a_network_without_parameters_is_only_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "model M { input x: [2]  output y = 2 * x  loss mean(y^2) }"
    net = nnspec.loads(f"{model}  train {{ epochs 2  batch 2  optimizer sgd(lr = 1) }}", engine="numpy")
    exported(net, tmp_path, {"x": np.asarray([[1, 2], [3, 4]], np.float32)})
    run_script(tmp_path, monkeypatch)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["30", "30"]


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
