"""ONNX files at the corners: inputs that nothing reads, arrays that reading uses up, optional inputs in front, large tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from helpers import run
from onnx import numpy_helper, parser
from safetensors.numpy import load_file

import nnspec
from nnspec.diagnostics import Fault
from nnspec.importing import import_model
from nnspec.interchange.from_onnx import import_graph
from nnspec.run.ort import Session

HEAD = '<ir_version: 10, opset_import: ["": 17]> m '
NORMALISED = """(float[N, 2] x) => (float[N, 2] y)
  <float[2, 2] w = {1, 2, 3, -1}, float[2] s = {1.5, 0.5}, float[2] b = {0, 1}, float[2] m = {0.5, -0.5}, float[2] v = {2, 3}>
  { h = MatMul(x, w)  y = BatchNormalization<momentum = 0.5, epsilon = 0.01>(h, s, b, m, v) }"""
LINEAR = """(float[N, 2, 4, 4] x) => (float[N, 2, 8, 8] y) <float[4] sc = {1, 1, 2, 2}> { y = Resize<mode = "linear">(x, , sc) }"""
LEARNING = """
target t: [2]
loss sum((y - t)^2)
"""


def saved(text: str, folder: Path, **arrays: Any) -> Path:
    model = parser.parse_model(HEAD + text)
    model.graph.initializer.extend(numpy_helper.from_array(np.float32(a), n) for n, a in arrays.items())
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "m.onnx"))
    return folder / "m.onnx"


def learning(model: Path) -> Path:
    """The spec of a model with something to learn."""
    import_model(model, model.with_suffix(".nn"))
    spec = model.with_name("learning.nn")
    spec.write_text(
        model.with_suffix(".nn").read_text().rstrip().removesuffix("}")
        + LEARNING
        + "}\ntrain { epochs 2  batch 4  optimizer sgd(lr = 0.1) }\n"
    )
    return spec


def test_an_imported_batchnorm_forgets_as_fast_as_that_of_the_file(tmp_path: Path) -> None:
    net = nnspec.load(learning(saved(NORMALISED, tmp_path)))
    x, t = np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32)
    theirs = torch.nn.BatchNorm1d(2, eps=0.01, momentum=0.5)
    theirs.running_mean, theirs.running_var = torch.tensor([0.5, -0.5]), torch.tensor([2.0, 3.0])
    theirs(torch.tensor(x @ np.float32([[1, 2], [3, -1]])))
    net.step(x=x, t=t)
    np.testing.assert_allclose(net.states["batchnorm.mu"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(net.states["batchnorm.var"], theirs.running_var, rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_states_from_a_file_lie_in_the_model_of_first_values(double: bool, tmp_path: Path) -> None:
    spec = learning(saved(NORMALISED, tmp_path))
    nnspec.load(spec, dtype="float64" if double else "float32").export_training(tmp_path / "out", double=double)
    first = Session(tmp_path / "out" / "init.onnx").run({"seed": np.asarray(0)})
    assert first["batchnorm.mu"].tolist() == [0.5, -0.5]
    assert first["batchnorm.var"].tolist() == [2, 3]
    assert load_file(tmp_path / "out" / "state.safetensors")["batchnorm.var"].tolist() == [2, 3]


def test_a_file_whose_arrays_reading_uses_up_is_checked_and_held_against_another(tmp_path: Path) -> None:
    path = str(saved(LINEAR, tmp_path))
    checked = run("check", path)
    assert checked.returncode == 0 and "[2, 8, 8]" in checked.stdout
    assert run("diff", path, path).stdout == "no difference\n"


def test_an_input_that_nothing_reads_stays_one(tmp_path: Path) -> None:
    text = "(float[N, 2] x, int64[N, 3] z, float[N, T] q) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, -1}> { y = MatMul(x, w) }"
    imported = import_model(saved(text, tmp_path), tmp_path / "m.nn")
    assert imported.difference < 1e-6
    assert set(nnspec.load(tmp_path / "m.nn").spec.model.inputs) == {"x", "z", "q"}


def test_a_vector_without_a_batch_is_no_example(tmp_path: Path) -> None:
    path = saved("(float[2] x) => (float[2] y) <float[2, 2] w = {1, 2, 3, -1}> { y = MatMul(x, w) }", tmp_path)
    with pytest.raises(Fault) as caught:
        import_model(path, tmp_path / "m.nn")
    assert caught.value.diagnostic.code == "E531" and "MatMul `y`" in caught.value.diagnostic.message


LOOP = "y = Loop(, go, x) <body = b (int64 i, bool c, float[N, 2] s) => (bool d, float[N, 2] o) { o = Mul(s, s) }>"


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (LOOP, "the condition to go on is computed from data"),
        ("y = Sum()", "its input `data_0` is missing"),
        ("y = Clip(, x)", "its input `input` is missing"),
        ("y = Concat<axis = 0>()", "its input `inputs` is missing"),
    ],
    ids=["Loop", "Sum", "Clip", "Concat"],
)
def test_only_an_input_that_is_not_there_is_missing(node: str, words: str) -> None:
    model = parser.parse_model(HEAD + f"(float[N, 2] x, bool d) => (float[N, 2] y) <bool go = {{1}}> {{ {node} }}")
    with pytest.raises(Fault, match=words):
        import_graph(model)


@pytest.mark.parametrize("size", [16, 48, 96])
def test_a_large_image_is_enlarged_in_an_export_as_in_torch(size: int, tmp_path: Path) -> None:
    text = f"""(float[N, 2, {size}, {size}] x) => (float[N, 2, {2 * size}, {2 * size}] y) <float[4] sc = {{1, 1, 2, 2}}>
        {{ y = Resize<mode = "linear">(x, , sc) }}"""
    net = nnspec.load(saved(text, tmp_path))
    net.export(tmp_path / "again.onnx")
    x = np.random.default_rng(0).normal(size=(2, 2, size, size)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=2, mode="bilinear")
    [found] = Session(tmp_path / "again.onnx").run({"x": x}).values()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_widest_value_is_none_of_weights_alone(tmp_path: Path) -> None:
    text = "(float[N, 8] x) => (float[N, 6] y) { y = Gemm<transB = 1>(x, w) }"
    path = saved(text, tmp_path, w=np.ones((6, 8)))
    assert "widest value: [6] in y" in run("check", str(path)).stdout
