"""Single operators of ONNX as formulas: what is written, proved equal by the import itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnspec
from nnspec.diagnostics import Fault
from nnspec.importing import import_model

RNG = np.random.default_rng(0)
IMAGE = ["batch", 4, 6, 6]


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def single(op: str, folder: Path, x: list[Any], arrays: dict[str, Any], opset: int = 20, outputs: int = 1, **attributes: Any) -> Path:
    """A model of one node, the first of whose outputs is given."""
    kinds = {"class": TensorProto.INT64}
    port = helper.make_tensor_value_info("x", kinds.get(attributes.pop("kind", ""), TensorProto.FLOAT), x)
    order = attributes.pop("inputs", ["x", *arrays])
    node = helper.make_node(op, order, [*[f"unused_{i}" for i in range(outputs - 1)], "y"][::-1], **attributes)
    result = helper.make_empty_tensor_value_info("y")
    initializers = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()]
    model = helper.make_model(
        helper.make_graph([node], "g", [port], [result], initializers), opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    )
    inferred = onnx.shape_inference.infer_shapes(model)
    onnx.save(inferred, folder / "m.onnx")
    return folder / "m.onnx"


def formula(model: Path) -> str:
    """What the output of the spec is."""
    import_model(model, model.with_suffix(".nn"))
    return " ".join(model.with_suffix(".nn").read_text().split()).partition("output y = ")[2].removesuffix(" }")


REPEATED = {
    "concat(x, ones(T, 1), axis = 1) -> dense(3)": "concat(x, 1 -> expand([T, 1]), axis = -1) -> dense(3)",
    "x + cumsum(zeros(T, 2) + 1, axis = 0)": "x + (1 -> expand([T, 2]) -> cumsum(axis = 0))",
    "x @ ones(2, 3) + (zeros(T, 2) + 2) @ ones(2, 3)": "2 -> expand([T, 2]) -> shared_dense",
    "sum(x) / sum(ones(T))": "sum(x) / (1 -> expand([T]) -> sum)",
    "x[:, :1] + zeros(T, 3)": "x[:, :1] + (0 -> expand([T, 3]))",
    "if x > 0 then ones(T, 2) else zeros(T, 2) * 3": "if x > 0 then 1 else 0",
    "grad(sum(x -> dense(3) -> tanh -> dense(1)), x)": "1 -> expand([T, 1])",
    "x @ (tanh([[1, 2], [3, 4]]) @ transpose(x))": "@ (x -> transpose)",
}


CHOSEN = {
    "x % 2": "x % 2",
    "x % -1.5": "x % -1.5",
    "2 % (abs(x) + 1)": None,
    "(x + 1) % [0.5, -1.5]": None,
    "pick(x, argmax(x))": "pick(x, argmax(x))",
    "pick(x[:2], k)": "pick(x[:2], k)",
    "take(x, argmax(x, axis = 0))": "pick(x -> argmax(axis = 0) -> ",
    "take(x[0], k)": "pick(k)",
    "grad(sum(cumsum(x)^2), x)": "-> reverse(axis = 1) -> cumsum -> reverse(axis = 1)",
}


@pytest.mark.parametrize("written", CHOSEN)
def test_rests_and_elements_that_data_chooses_come_back(written: str, tmp_path: Path) -> None:
    text = f"model M {{ input x: [T, 2]  input k: class(2)[2]  output y = {written} }}"
    nnspec.loads(text).init(seed=0).export(tmp_path / "m.onnx")
    assert (CHOSEN[written] or "") in formula(tmp_path / "m.onnx")


def test_a_rest_of_a_file_has_the_sign_of_what_is_divided(tmp_path: Path) -> None:
    model = single("Mod", tmp_path, ["batch", 3], {"d": np.float32([2, -2, 0.75])}, fmod=1)
    assert formula(model) == "sign(x) * (abs(x) % [2, 2, 0.75])"
    x = np.float32([[-3.5, 3.5, -1], [5, -5, 2]])
    assert np.array_equal(nnspec.load(model.with_suffix(".nn"))(x=x)["y"], np.fmod(x, np.float32([2, -2, 0.75])))


@pytest.mark.parametrize("written", REPEATED)
def test_a_number_repeated_to_a_shape_of_the_data_has_that_shape(written: str, tmp_path: Path) -> None:
    nnspec.loads(f"model M {{ input x: [T, 2]  output y = {written} }}").init(seed=0).export(tmp_path / "m.onnx")
    assert REPEATED[written] in formula(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("op", "attributes", "expected"),
    [
        ("Abs", {}, "abs(x)"),
        ("Celu", {"alpha": 0.5}, "relu(x) + 0.5 * (exp(min(x, 0) / 0.5) - 1)"),
        ("Elu", {"alpha": 0.7}, "x -> elu(alpha = 0.7)"),
        ("Erf", {}, "erf(x)"),
        ("Flatten", {}, "x -> flatten"),
        ("Gelu", {}, "gelu(x)"),
        ("GlobalMaxPool", {}, "x -> global_maxpool -> reshape([4, 1, 1])"),
        ("HardSigmoid", {}, "(0.2 * x + 0.5) -> clip(0, 1)"),
        ("HardSigmoid", {"alpha": 1 / 6}, "hard_sigmoid(x)"),
        ("HardSwish", {}, "hard_swish(x)"),
        ("IsNaN", {}, "x != x"),
        ("LeakyRelu", {"alpha": 0.2}, "x -> leaky_relu(alpha = 0.2)"),
        ("LogSoftmax", {"axis": 1}, "x -> log_softmax(axis = 0)"),
        ("Mish", {}, "mish(x)"),
        ("Neg", {}, "-x"),
        ("Reciprocal", {}, "1 / x"),
        ("ReduceMax", {"keepdims": 0}, None),
        ("Selu", {}, "selu(x)"),
        ("Sign", {}, "sign(x)"),
        ("Softplus", {}, "softplus(x)"),
        ("Softsign", {}, "softsign(x)"),
        ("Softmax", {}, "softmax(x)"),
        ("ThresholdedRelu", {"alpha": 0.5}, "if x > 0.5 then x else 0"),
        ("Transpose", {"perm": [0, 2, 3, 1]}, "x -> transpose(axes = [1, 2, 0])"),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, "x -> avgpool(2)"),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, "x -> avgpool(3, pad = 1, stride = 1)"),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, "PADDED -> avgpool(3, stride = 1)"),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, "x -> maxpool(3, stride = 2, pad = same)"),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, "x -> maxpool(3, stride = 2, ceil_mode = true)"),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, "x -> maxpool(2)"),  # which come out even
        ("MaxPool", {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [0, 1] * 2, "ceil_mode": 1},
         "x -> maxpool([2, 3], stride = [1, 2], pad = [0, 1], ceil_mode = true)"),
        ("AveragePool", {"kernel_shape": [4, 4], "strides": [4, 4], "ceil_mode": 1}, "x -> avgpool(4, ceil_mode = true)"),
        ("DepthToSpace", {"blocksize": 2, "mode": "CRD"},
         "x -> reshape([1, 2, 2, 6, 6]) -> transpose(axes = [0, 3, 1, 4, 2]) -> reshape([1, 12, 12])"),
    ],
)  # fmt: skip
def test_an_operator_of_one_value(op: str, attributes: dict[str, Any], expected: str | None, tmp_path: Path) -> None:
    model = single(op, tmp_path, IMAGE, {}, **attributes)
    if expected is None:
        with pytest.raises(Fault, match="examples of a batch would meet"):
            formula(model)
        return
    pads = "x -> pad_axis(axis = 1, before = 1, after = 1) -> pad_axis(axis = 2, before = 1, after = 1)"
    assert formula(model) == expected.replace("PADDED", pads)


@pytest.mark.parametrize(
    ("op", "arrays", "attributes", "expected"),
    [
        ("Add", {"c": np.float32(0.1)}, {}, "x + 0.1"),
        ("Clip", {"low": np.float32(0), "high": np.float32(6)}, {}, "relu6(x)"),
        ("Clip", {"low": np.float32(-1), "high": np.float32(1)}, {}, "x -> clip(-1, 1)"),
        ("Clip", {"low": np.float32(2), "high": np.float32(1)}, {}, "min(max(x, 2), 1)"),
        ("Concat", {}, {"axis": 1, "inputs": ["x", "x"]}, "concat(x, x)"),
        ("Div", {"c": np.float32(2)}, {}, "x / 2"),
        ("Gather", {"i": np.array(2)}, {"axis": 1}, "x[2]"),
        ("Gather", {"i": np.array([1, 2])}, {"axis": 2}, "x[:, 1:3]"),
        ("Greater", {"c": np.float32(0)}, {}, "x > 0"),
        ("Max", {"c": np.float32(0.5)}, {}, "max(x, 0.5)"),
        ("Pad", {"p": np.array([0, 0, 1, 2, 0, 0, 1, 2])}, {}, "x -> pad([1, 2])"),
        ("Pad", {"p": np.array([0, 0, 0, 1, 0, 0, 0, 0])}, {}, "x -> pad_axis(axis = 2, before = 1, after = 0)"),
        ("Pad", {"p": np.array([0, 0, -1, 0, 0, 0, -2, 0])}, {}, "x[:, 1:4]"),
        ("Pad", {"p": np.array([0, -1, 2, -1, 0, 2, -1, -1])}, {}, None),
        ("Pow", {"c": np.float32(2)}, {}, "x^2"),
        ("ReduceMean", {"a": np.array([2, 3])}, {"keepdims": 0}, "x -> global_avgpool"),
        ("ReduceL2", {"a": np.array([1])}, {"keepdims": 0}, "x^2 -> sum(axis = -3) -> sqrt"),
        ("ReduceSum", {"a": np.array([1])}, {"keepdims": 1}, "x -> sum(axis = -3, keep = true)"),
        ("Resize", {"roi": floats(0), "s": np.float32([1, 1, 2, 3])}, {}, "x -> upsample([2, 3])"),
        ("Reshape", {"s": np.array([0, 4, -1])}, {}, "x -> reshape([4, 36])"),
        ("Reshape", {"s": np.array([-1, 2, 72])}, {}, "x -> reshape([2, 72])"),
        ("Slice", {"b": np.array([1]), "e": np.array([-1]), "a": np.array([3])}, {}, "x[:, :, 1:5]"),
        ("Slice", {"b": np.array([-1]), "e": np.array([-(2**62)]), "a": np.array([2]), "s": np.array([-1])}, {}, "x -> reverse(axis = 1)"),
        ("Tile", {"n": np.array([1, 2, 1, 1])}, {}, "concat(x, x)"),
        ("Sub", {"c": floats(1, 4, 1, 1)}, {}, None),
        ("Conv", {"w": floats(3, 4, 3, 3), "b": floats(3)}, {"strides": [2, 2], "pads": [1] * 4}, "x -> conv(3, 3, stride = 2, pad = 1)"),
        ("Conv", {"w": floats(3, 4, 3, 3)}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
         "x -> conv(3, 3, stride = 2, pad = same, bias = false)"),
        ("Conv", {"w": floats(4, 1, 3, 3), "b": floats(4)}, {"group": 4, "pads": [1] * 4}, "x -> depthwise(3, pad = same)"),
        ("Conv", {"w": floats(6, 2, 1, 1), "b": floats(6)}, {"group": 2}, "x -> conv(6, 1, groups = 2)"),
        ("Conv", {"w": floats(3, 4, 3, 3)}, {"dilations": [2, 2], "pads": [0, 1, 1, 1]}, None),
        ("ConvTranspose", {"w": floats(4, 2, 3, 3), "b": floats(2)}, {"strides": [2, 2], "pads": [1, 1, 0, 0]}, None),
        ("BatchNormalization", {n: np.abs(floats(4)) for n in "gbmv"}, {"epsilon": 1e-3}, "x -> batchnorm(eps = 0.001)"),
        ("InstanceNormalization", {"g": floats(4), "b": floats(4)}, {}, "x -> instancenorm"),
        ("LayerNormalization", {"g": floats(6), "b": floats(6)}, {}, "x -> layernorm"),
        ("LayerNormalization", {"g": floats(6, 6)}, {"axis": 2}, "x -> layernorm(axis = -2)"),
        ("PRelu", {"s": floats(4, 1, 1)}, {}, "x -> prelu(per_channel = true)"),
        ("PRelu", {"s": floats(1, 4, 1, 1)}, {}, "x -> prelu(per_channel = true)"),
        ("MatMul", {"w": floats(6, 3)}, {}, "x -> dense(3, bias = false)"),
        ("CumSum", {"a": np.array(1)}, {}, "x -> cumsum(axis = 0)"),
        ("ArgMax", {}, {"axis": 1, "keepdims": 0}, "x -> argmax(axis = 0)"),
    ],
)  # fmt: skip
def test_an_operator_with_what_it_is_given(
    op: str, arrays: dict[str, Any], attributes: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    found = formula(single(op, tmp_path, IMAGE, arrays, **attributes))
    assert expected is None or found == expected


def test_class_numbers_choose_rows(tmp_path: Path) -> None:
    model = single("Gather", tmp_path, ["batch", "T"], {"w": floats(7, 3)}, kind="class", inputs=["w", "x"])
    assert formula(model) == "x -> embedding(7, 3)"
    assert "input x: class(7)[T]" in model.with_suffix(".nn").read_text()


def test_class_numbers_choose_elements_of_a_vector(tmp_path: Path) -> None:
    model = single("Gather", tmp_path, ["batch", "T"], {"w": floats(7)}, kind="class", inputs=["w", "x"])
    assert formula(model) == "take(w, x)"
    assert "input x: class(7)[T]" in model.with_suffix(".nn").read_text()


@pytest.mark.parametrize(
    ("op", "arrays", "attributes", "words"),
    [
        ("GRU", {"w": floats(1, 9, 4), "r": floats(1, 9, 3)}, {"hidden_size": 3}, "`linear_before_reset` = 0"),
        ("LSTM", {"w": floats(1, 12, 4), "r": floats(1, 12, 3)}, {"hidden_size": 3, "activations": ["Relu", "Tanh", "Tanh"]},
         "the activations Relu"),
        ("Resize", {"roi": floats(0), "s": np.float32([1, 2, 1])}, {"mode": "linear"}, "enlarging by [1.0, 2.0, 1.0]"),
        ("Pad", {"p": np.array([0, 0, 1, 0, 0, 1])}, {"mode": "reflect"}, "other than with zeros"),
        ("Slice", {"b": np.array([4]), "e": np.array([4]), "a": np.array([1]), "s": np.array([2])}, {}, "it takes nothing"),
        ("Gather", {"i": np.array([0, 2])}, {"axis": 2}, "do not follow each other"),
    ],
)  # fmt: skip
def test_settings_without_a_form_are_named(op: str, arrays: dict[str, Any], attributes: dict[str, Any], words: str, tmp_path: Path) -> None:
    batch_first = {"layout": 1} if op in ("GRU", "LSTM") else {}
    model = single(op, tmp_path, ["batch", 5, 4], arrays, **attributes, **batch_first)
    with pytest.raises(Fault) as error:
        import_model(model, tmp_path / "m.nn")
    assert error.value.diagnostic.code == "E530" and words in error.value.diagnostic.message


COUNTED = {"count_include_pad": 1, "ceil_mode": 1}


def test_windows_beyond_zeros_that_count_are_those_of_the_wider_image(tmp_path: Path) -> None:
    pads = "x -> pad_axis(axis = 1, before = 1, after = 1) -> pad_axis(axis = 2, before = 1, after = 1)"
    model = single("AveragePool", tmp_path, IMAGE, {}, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, **COUNTED)
    assert formula(model) == f"{pads} -> avgpool(3, stride = 2, ceil_mode = true)"


def test_a_window_that_would_begin_in_zeros_behind_the_image_has_no_form_beside_one_that_does_not(tmp_path: Path) -> None:
    model = single("AveragePool", tmp_path, IMAGE, {}, kernel_shape=[2, 3], strides=[7, 2], pads=[1, 0] * 2, **COUNTED)
    with pytest.raises(Fault, match="some begin in zeros that count"):
        import_model(model, tmp_path / "m.nn")


def test_a_batch_of_a_fixed_size_is_a_batch(tmp_path: Path) -> None:
    model = single("Reshape", tmp_path, [3, 4, 5], {"s": np.array([3, 20])})
    done = import_model(model, tmp_path / "m.nn")
    assert done.batches == (3,) and "output y = x -> flatten" in (tmp_path / "m.nn").read_text()
