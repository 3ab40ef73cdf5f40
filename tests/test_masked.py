"""What a mask leaves nothing of costs a softmax in onnxruntime no more than the rest: it is sent no further below than it need be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import nnspec

LENGTH = "model M {{ input x: [{}, 4]  output p = {} }}"
CAUSAL = "attention(x, x, x, causal = true)"
MASKED = {
    "causal": LENGTH.format("T", CAUSAL),
    "causal of a known length": LENGTH.format("6", CAUSAL),
    "infinitely far": LENGTH.format("T", "softmax(if x > 0 then x else -1e30 * 1e30)"),
    "scaled behind": LENGTH.format("T", "softmax((x + (if x > 0 then 0 else -1e9)) / 2)"),
    "a list of numbers": LENGTH.format("6", "softmax(x + [0, 0, -1e9, 0])"),
}
PLAIN = {
    "no mask": LENGTH.format("T", "softmax(x)"),
    "all that there is": LENGTH.format("T", "attention(x, x, x)"),
    "a little below": LENGTH.format("T", "softmax(if x > 0 then x else -8)"),
    "a product before": LENGTH.format("T", "softmax((if x > 0 then 0 else -1e9) -> dense(3))"),
}


def exported(text: str, folder: Path) -> tuple[nnspec.Net, Path]:
    net = nnspec.loads(text)
    net.export(folder / "m.onnx")
    return net, folder / "m.onnx"


def ops(path: Path) -> list[str]:
    return [n.op_type for n in onnx.load(path).graph.node]


@pytest.mark.parametrize("text", MASKED.values(), ids=list(MASKED))
def test_a_masked_softmax_has_a_floor_and_the_same_values(text: str, tmp_path: Path) -> None:
    net, path = exported(text, tmp_path)
    assert {"Max", "ReduceMax"} <= {*ops(path)}
    x = (np.random.default_rng(0).normal(size=(3, 6, 4)) * 5).astype(np.float32)
    x[:, :, 0] = 1
    (got,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    np.testing.assert_allclose(got, net(x)["p"], rtol=2e-6, atol=1e-20)
    normal = np.abs(got[got != 0])
    assert normal.min() >= np.finfo(np.float32).tiny


@pytest.mark.parametrize("text", PLAIN.values(), ids=list(PLAIN))
def test_others_have_none(text: str, tmp_path: Path) -> None:
    assert "Max" not in ops(exported(text, tmp_path)[1])


def test_what_is_no_number_stays_that(tmp_path: Path) -> None:
    _, path = exported(LENGTH.format("T", "softmax(log(x) + (if x > 2 then 0 else -1e9))"), tmp_path)
    x = np.ones((1, 3, 4), np.float32)
    x[0, 1, 2] = -1
    (got,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    assert "Max" in ops(path)
    np.testing.assert_array_equal(np.isnan(got[0]).all(-1), [False, True, False])


def test_a_step_in_onnxruntime_is_that_of_the_definition() -> None:
    model = f"model M {{ input x: [T, 4]  target t: [T, 4]  output y = {CAUSAL} -> dense(4)  loss mse(y, t) }}"
    text = f"{model}  train {{ epochs 1  optimizer sgd(lr = 1)  seed 1 }}"
    x, t = np.random.default_rng(1).normal(size=(2, 3, 6, 4)).astype(np.float32)
    stepped = []
    for engine in ("reference", "ort"):
        net = nnspec.loads(text, engine=engine)
        net.step(x=x, t=t)
        stepped.append(net.params["dense.W"])
    np.testing.assert_allclose(*stepped, rtol=1e-5, atol=1e-7)
