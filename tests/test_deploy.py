"""Export in other forms: cut at a value, in half precision, on 8-bit numbers, with pixels as bytes; each compared before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bright import CODES, bright, trained, values_of
from click.testing import CliRunner
from helpers import GALLERY

import nnspec
from nnspec.cli.export import export
from nnspec.deploy.comparison import Run, settled
from nnspec.diagnostics import SpecError
from nnspec.gradcheck import gradcheck
from nnspec.run.ort import Session
from nnspec.train.data import Dataset
from nnspec.train.telling import telling
from tools.batches import random_batch


@pytest.fixture
def net() -> nnspec.Net:
    return trained()


def elements(model: onnx.ModelProto) -> set[int]:
    return {t.data_type for t in model.graph.initializer}


# ---- where it is cut


def test_a_model_is_cut_at_any_value_that_has_a_name(net: nnspec.Net, tmp_path: Path) -> None:
    image = bright(3)["image"]
    net.export(tmp_path / "encoder.onnx", outputs=["code"])
    model = onnx.load(tmp_path / "encoder.onnx")
    assert [o.name for o in model.graph.output] == ["code"] and "dense_2.W" not in {t.name for t in model.graph.initializer}
    (code,) = values_of(tmp_path / "encoder.onnx", image).values()
    net.export(tmp_path / "both.onnx", outputs=["probs", "code"])
    both = values_of(tmp_path / "both.onnx", image)
    assert list(both) == ["probs", "code"] and code.shape == (3, 3)
    np.testing.assert_allclose(both["code"], code, atol=1e-6)
    np.testing.assert_allclose(both["probs"], net(image=image)["probs"], atol=1e-6)


def test_a_name_that_the_model_does_not_have_is_an_error(net: nnspec.Net, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean `code`") as error:
        net.export(tmp_path / "m.onnx", outputs=["cod"])
    assert [d.code for d in error.value.diagnostics] == ["E510"] and not list(tmp_path.iterdir())


# ---- half precision


@pytest.mark.parametrize("name", [n for n in GALLERY if n != "googlenet"])
def test_every_spec_of_the_gallery_exports_in_half_precision(name: str, tmp_path: Path) -> None:
    net = nnspec.load(name, engine="numpy", threads=1)
    single, half = net.export(tmp_path / "single.onnx"), net.export(tmp_path / "half.onnx", half=True)
    assert single.difference < 1e-5 and half.difference < 1e-2
    kept = {t.name for t in onnx.load(half.path).graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert not any(n.op_type in ("MatMul", "Gemm", "Conv") and kept & {*n.input} for n in onnx.load(half.path).graph.node)
    if single.size > 20_000:
        assert half.size < 0.7 * single.size


def test_inputs_and_outputs_of_half_precision_keep_names_and_types(net: nnspec.Net, tmp_path: Path) -> None:
    net.export(tmp_path / "m.onnx", half=True)
    graph = onnx.load(tmp_path / "m.onnx").graph
    ports = [(v.name, v.type.tensor_type.elem_type, v.type.tensor_type.shape.dim[0].dim_param) for v in (*graph.input, *graph.output)]
    assert ports == [("image", onnx.TensorProto.FLOAT, "batch"), ("probs", onnx.TensorProto.FLOAT, "batch")]


def test_numbers_beyond_half_precision_are_found_out(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [2]  output y = 1e6 * dense(x, 2) }")
    with pytest.raises(SpecError, match="differ by"):
        net.export(tmp_path / "m.onnx", half=True)


def test_raw_values_beyond_half_precision_are_standardized_in_single(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(18, 90, 500), np.exp(rng.normal(10.5, 1, 500))]).astype(np.float32)
    net = nnspec.loads(
        "model M { input x: [2]  target y: []  output out = (x -> standardize -> dense(8) -> tanh -> dense(1))[0]  loss mse(out, y) }\n"
        "train { epochs 1  optimizer sgd(lr = 0.1) }",
        engine="numpy",
        threads=1,
    )
    net.fit({"x": x, "y": x[:, 0] / 90})
    path = net.export(tmp_path / "m.onnx", half=True, examples={"x": x}).path
    assert x.max() > 65504
    np.testing.assert_allclose(Session(path).run({"x": x})["out"], net(x=x)["out"], atol=2e-2 * np.abs(net(x=x)["out"]).max())


def test_a_model_is_compared_on_examples_too(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [1]  output y = x -> dense(1) }")
    proof = net.export(tmp_path / "m.onnx", examples={"x": [[3], [70000]]})
    assert proof.compared == "at batch 1 and 7, and on 2 examples of the data"


def test_values_that_half_precision_does_not_hold_are_found_on_the_data(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [1]  output y = x -> dense(1) }")
    x = np.float32([[3], [70000]])
    net.export(tmp_path / "m.onnx", half=True, examples={"x": x[:1]}).path.unlink()
    with pytest.raises(SpecError, match="`x` goes beyond 65,504, where half precision ends") as error:
        net.export(tmp_path / "m.onnx", half=True, examples={"x": x})
    assert [(d.code, "standardize" in d.help) for d in error.value.diagnostics] == [("E505", True)]
    assert not (tmp_path / "m.onnx").exists()


# ---- what is equal


@pytest.mark.parametrize(("size", "code"), [("1e-8", "E505"), ("1e-2", None)])
def test_small_outputs_are_compared_by_their_own_size(size: str, code: str | None, tmp_path: Path) -> None:
    net = nnspec.loads(f"model M {{ input x: [2]  output y = {size} * dense(x, 2) }}")
    assert net.export(tmp_path / "single.onnx").difference < 1e-5
    try:
        assert net.export(tmp_path / "m.onnx", half=True).difference < 1e-2
    except SpecError as error:
        assert [d.code for d in error.diagnostics] == [code]
    assert (tmp_path / "m.onnx").exists() == (code is None)


@pytest.mark.parametrize("formula", ["sum(softmax(x)) - 1", "mean(x - mean(x))", "(x + 1) ^ 2 - x ^ 2 - 2 * x - 1", "x - x"])
def test_an_output_of_which_only_rounding_is_left_is_compared_with_what_cancelled(formula: str, tmp_path: Path) -> None:
    net = nnspec.loads(f"model M {{ input x: [9]  output y = {formula} }}")
    net.export(tmp_path / "m.onnx")


def test_outputs_that_are_never_finite_prove_nothing(tmp_path: Path) -> None:
    net = nnspec.loads("model M { input x: [2]  output y = log(0 - x * x)  output z = x }")
    with pytest.raises(SpecError, match="`y` is not finite for any input that was tried, so nothing was compared") as error:
        net.export(tmp_path / "m.onnx")
    assert [d.code for d in error.value.diagnostics] == ["E505"] and not list(tmp_path.iterdir())


def test_logarithms_are_compared_on_positive_numbers(tmp_path: Path) -> None:
    assert nnspec.loads("model M { input x: [50]  output y = sum(log(x)) }").export(tmp_path / "m.onnx").difference < 1e-5


@pytest.mark.parametrize("stretch", [1 << 20, 100, 1])
def test_examples_that_tell_most_hold_the_extremes_of_every_column(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnspec.train.telling, "STRETCH", stretch)
    x, y = np.random.default_rng(0).normal(size=(1000, 3)), np.arange(1000) % 7
    found = telling({"x": x, "y": y})
    assert len(found["x"]) == len(found["y"]) == 64 and (found["x"][0] == x[0]).all()
    assert (found["x"].max(axis=0) == x.max(axis=0)).all() and (found["x"].min(axis=0) == x.min(axis=0)).all()
    assert len(telling({"image": np.zeros((9, 1, 40, 40))})["image"]) == 4
    assert len(telling({"x": x[:3]})["x"]) == 3


@pytest.mark.parametrize("layer", ["maxpool(2)", "flatten -> reshape([8, 2]) -> gru(3)", "flatten -> reshape([8, 2]) -> lstm(3)"])
def test_what_onnxruntime_makes_of_no_number_does_not_count(layer: str, tmp_path: Path) -> None:
    net = nnspec.loads(f"model M {{ input x: [1, 4, 4]  output y = log(x) -> {layer}, k = argmax(flatten(x)) }}")
    assert net.export(tmp_path / "m.onnx").difference < 1e-5
    x = np.random.default_rng(0).uniform(1, 2, (3, 1, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(Session(tmp_path / "m.onnx").run({"x": x})["y"], net(x=x)["y"], atol=1e-6)


def test_a_number_that_a_model_loses_or_finds_counts() -> None:
    nan, one, two = np.full(2, np.nan), np.array([[1.0], [2.0]]), np.array([5, 6])
    expected = [np.array([[np.nan], [2.0]]), two]
    assert settled(Run({}, [one, np.array([9, 6])], expected)).got[1].tolist() == [5, 6]
    assert settled(Run({}, [one, np.array([5, 9])], expected)).got[1].tolist() == [5, 9]
    assert settled(Run({}, [nan, two], [one[:, 0], two])).got[0] is nan
    assert settled(Run({}, [one[:1], two], expected)).got[0].shape == (1, 1)


# ---- 8-bit numbers


def test_a_quantized_model_says_what_it_lost_and_if_it_is_not_smaller(net: nnspec.Net, tmp_path: Path) -> None:
    data = Dataset(bright(200), None, bright(100, 1))
    single, proof = net.export(tmp_path / "single.onnx"), net.export(tmp_path / "int8.onnx", int8=data)
    model = onnx.load(proof.path)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {n.op_type for n in model.graph.node}
    assert onnx.TensorProto.INT8 in elements(model) and [i.name for i in model.graph.input] == ["image"]
    assert [o.name for o in model.graph.output] == ["probs"] and proof.opset == single.opset == 21
    probs = values_of(proof.path, data.test["image"])["probs"]  # type: ignore[index]  # it has a test part
    after = float((probs.argmax(1) == data.test["kind"]).mean())  # type: ignore[index]
    before = net.evaluate(data.test or {})["accuracy"]
    assert proof.remarks[0] == f"accuracy {before:.4g} before and {after:.4g} after it was quantized"
    assert proof.remarks[1] == f"larger than in single precision by {proof.size - single.size:,} bytes, as its weights are few"
    assert 0 < proof.difference < 0.1
    digits = nnspec.load("digits", engine="numpy")
    large, small = digits.export(tmp_path / "large.onnx"), digits.export(tmp_path / "small.onnx", int8=digits.dataset())
    assert small.size < large.size / 2 and len(small.remarks) == 1


def test_a_quantized_part_of_a_network_is_judged_by_the_whole(net: nnspec.Net, tmp_path: Path) -> None:
    proof = net.export(tmp_path / "m.onnx", outputs=["code"], int8=Dataset(bright(100), None, None))
    assert [o.name for o in onnx.load(proof.path).graph.output] == ["code"]
    assert proof.remarks and proof.remarks[0].startswith("accuracy ")


WHOLE = """model M {
  input  image: [1, 6, 6]
  target kind: class(3)
  z = image -> flatten -> dense(8) -> batchnorm -> relu -> dense(3)
  output z
  loss   cross_entropy(z, kind)
  metric perplexity(z, kind)
  metric own  = exp(batch_mean(-log(pick(softmax(z), kind))))
  metric root = sqrt(batch_mean(sum((softmax(z) - one_hot(kind, 3))^2)))
  metric f1(z, kind)
}
train { epochs 1  optimizer adam }"""


def test_metrics_over_all_examples_before_it_is_quantized_are_those_that_evaluate_gives(tmp_path: Path) -> None:
    net, data = nnspec.loads(WHOLE), bright(100, 1)
    proof = net.export(tmp_path / "m.onnx", int8=Dataset(bright(200), None, data))
    reached = net.evaluate(data)
    for name in ("perplexity", "own", "root", "f1"):
        (said,) = (r for r in proof.remarks if r.startswith(f"{name} "))
        before, after = (float(word) for word in said.split() if word[0].isdigit())
        assert before == pytest.approx(reached[name], rel=1e-3) and after == pytest.approx(before, rel=0.1)


# ---- pixels


def test_pixels_come_as_bytes(net: nnspec.Net, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 1, 6, 6))
    net.export(tmp_path / "m.onnx", pixels=["image"])
    (entering,) = onnx.load(tmp_path / "m.onnx").graph.input
    assert entering.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    got = values_of(tmp_path / "m.onnx", image.astype(np.uint8))["probs"]
    np.testing.assert_allclose(got, net(image=image / 255)["probs"], atol=1e-6)


@pytest.mark.parametrize(("text", "name"), [(CODES, "kind"), ("model M { input k: class(3)  output y = k -> embedding(3, 2) }", "k")])
def test_only_fractions_come_as_bytes(text: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        nnspec.loads(text).export(tmp_path / "m.onnx", pixels=[name])
    assert [d.code for d in error.value.diagnostics] == ["E511"]


# ---- what else it says


def test_what_is_learnt_from_the_data_goes_with_the_model(tmp_path: Path) -> None:
    net = nnspec.load("iris", engine="numpy", threads=1)
    net.fit(epochs=1)
    net.export(tmp_path / "m.onnx")
    x = net.dataset().train["x"][:9]
    np.testing.assert_allclose(Session(tmp_path / "m.onnx").run({"x": x})["probs"], net(x=x)["probs"], atol=1e-6)
    assert abs(net.states["standardize.mu"]).min() > 0.5


def test_sequences_are_compared_at_two_lengths(tmp_path: Path) -> None:
    proof = nnspec.load("char_lstm").export(tmp_path / "m.onnx")
    assert "at batch 1 and 7, T 3 and 5" in proof.sentence


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 22, 23, 24, 25, 26])
def test_every_opset_from_17_to_26_will_do(net: nnspec.Net, opset: int, tmp_path: Path) -> None:
    assert (net.export(tmp_path / "m.onnx", opset=opset).opset, onnx.load(tmp_path / "m.onnx").opset_import[0].version) == (opset, opset)


# ---- float64


def kinds(model: onnx.ModelProto) -> set[int]:
    """The numbers that a model takes, keeps and gives."""
    return {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)} | elements(model)


@pytest.mark.parametrize("name", [n for n in GALLERY if n != "googlenet"])
def test_every_spec_of_the_gallery_exports_in_float64(name: str, tmp_path: Path) -> None:
    net = nnspec.load(name, dtype="float64", engine="numpy", threads=1)
    proof = net.export(tmp_path / "m.onnx", double=True)
    assert proof.difference < 1e-13 and onnx.TensorProto.FLOAT not in kinds(onnx.load(proof.path))


@pytest.mark.parametrize("opset", [17, 26])
def test_float64_in_any_opset(net: nnspec.Net, opset: int, tmp_path: Path) -> None:
    assert net.export(tmp_path / "m.onnx", double=True, opset=opset).difference < 1e-13


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_written_as_they_are_asked_for(dtype: str, tmp_path: Path) -> None:
    """Whatever those of the network are; weights of float64 keep all of their digits."""
    net = nnspec.load("iris", dtype=dtype, engine="numpy")
    net.params["dense.W"][0, 0] = 1 / 3
    single, double = net.export(tmp_path / "single.onnx"), net.export(tmp_path / "double.onnx", double=True)
    assert onnx.TensorProto.DOUBLE not in kinds(onnx.load(single.path)) and onnx.TensorProto.FLOAT not in kinds(onnx.load(double.path))
    assert double.path.with_suffix(".md").read_text().count("np.float64") == 1
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(double.path).graph.initializer}
    np.testing.assert_array_equal(weights["dense.W"], np.asarray(net.params["dense.W"], "float64"))


def test_a_model_of_float64_is_a_network_of_float64(net: nnspec.Net, tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((3, 1, 6, 6))
    path = net.export(tmp_path / "m.onnx", double=True).path
    again = nnspec.load(path)
    assert again.spec.dtype == "float64"
    np.testing.assert_allclose(again(image=image)["probs"], values_of(path, image)["probs"], rtol=1e-12)
    assert again.export(tmp_path / "again.onnx", double=True).difference < 1e-13


@pytest.mark.parametrize("wishes", [{"half": True, "double": True}, {"double": True, "int8": Dataset({}, None, None)}])
def test_a_model_has_one_kind_of_numbers(net: nnspec.Net, wishes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in several"):
        net.export(tmp_path / "m.onnx", **wishes)


# ---- the command


@pytest.mark.parametrize(
    "options",
    [
        ["--opset", "16"],
        ["--preprocess", "image"],
        ["--preprocess", "image=grey"],
        ["--data", "x.csv"],
        ["--quantize", "int8", "--dtype", "float16"],
        ["--quantize", "int8", "--dtype", "float64"],
        ["--train-step", "--output", "probs"],
        ["--train-step", "--dtype", "float16"],
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], tmp_path: Path) -> None:
    assert CliRunner().invoke(export, ["digits", "-o", str(tmp_path / "m.onnx"), *options]).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_was_compared(tmp_path: Path) -> None:
    said = CliRunner().invoke(export, ["iris", "--quantize", "int8", "--output", "probs", "-o", str(tmp_path / "m.onnx")])
    assert said.exit_code == 0 and "on 30 examples; accuracy 0." in said.output


def test_random_values_are_those_of_the_definition_in_every_batch(tmp_path: Path) -> None:
    net = nnspec.load("gan", engine="numpy", threads=1)
    net.export(tmp_path / "m.onnx")
    batch = {n: np.asarray(v, "float32") for n, v in random_batch(net.inputs, 6).items()}
    got = Session(tmp_path / "m.onnx").run({**batch, "seed": np.asarray(int(net.engine.seed)), "step": np.asarray(0)})
    np.testing.assert_allclose(got["made"], net(**batch)["made"], atol=1e-6)


def test_the_command_says_the_same_as_json(tmp_path: Path) -> None:
    said = CliRunner().invoke(export, ["xor", "--json", "-o", str(tmp_path / "m.onnx")])
    document = json.loads(said.output)
    assert document["path"] == str(tmp_path / "m.onnx") and document["opset"] == 21 and document["difference"] < 1e-5
    said = CliRunner().invoke(export, ["xor", "--json", "--train-step", "-o", str(tmp_path / "step")])
    assert "step.onnx" in json.loads(said.output)["files"]


OF_A_LENGTH = """
model M {
  input x: [4, 3]
  input s: [T]
  %s
  output y
  target t: [3]
  loss mse(y, t)
}
train { batch 2  epochs 1  optimizer sgd(lr = 0.1) }
"""
LENGTHS = {
    "in a formula": "y = dense(x[0], 3) * T",
    "in the steps of a loop": "hs = scan x_t in x with h = zeros(3) { h = dense(h, 3) + x_t * T }\n  y = hs[-1]",
}


@pytest.mark.parametrize("where", LENGTHS)
def test_an_input_of_which_only_the_length_is_read_is_one_everywhere(where: str, tmp_path: Path) -> None:
    net = nnspec.loads(OF_A_LENGTH % LENGTHS[where]).init(0)
    assert net.export(tmp_path / "m.onnx").difference < 1e-4
    assert net.export_training(tmp_path / "step").difference < 1e-3
    assert all(checked.passed for checked in gradcheck(net.spec))
    x, s = np.ones((2, 4, 3), np.float32), np.ones((2, 6), np.float32)
    exported = Session(tmp_path / "m.onnx").run({"x": x, "s": s})["y"]
    assert np.allclose(exported, net(x=x, s=s)["y"], rtol=1e-5)
    assert not np.allclose(exported, net(x=x, s=s[:, :5])["y"], rtol=1e-2)
