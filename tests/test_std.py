"""Every formula of the library: gradients against differences, finite far out, the same in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from std_models import ACTIVATIONS, LOSSES, NORMS, Array, around, library, loss, words

import nnspec
from nnspec.deploy import export
from nnspec.gradcheck import gradcheck
from tools.batches import random_batch


def check_gradients_and_export(net: nnspec.Net, path: Path) -> None:
    """Gradients of the float64 model against differences; the float32 model and its gradients in onnxruntime."""
    for checked in gradcheck(net.spec):
        assert checked.passed and checked.as_written is None, checked
    spec = nnspec.loads(net.spec.source.text).spec
    weights = {**nnspec.loads(net.spec.source.text).init(1).params}
    export(spec.deployed, weights, path, metadata={})
    export(spec.gradients, weights, path, metadata={})


def test_every_activation_is_in_the_table() -> None:
    assert library("activations", "fn", "layer") | {"relu"} == words(ACTIVATIONS)


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_has_the_right_gradient_here_and_in_onnxruntime(stage: str, tmp_path: Path) -> None:
    check_gradients_and_export(around(stage), tmp_path / "m.onnx")


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_and_its_gradient_are_finite_far_out(stage: str) -> None:
    net = around(stage, "float32")
    shape = net.inputs["x"].shape[1:]
    for far in (-1000.0, -100.0, 0.0, 100.0, 1000.0):
        x = np.full((2, *shape), far)
        x[1].flat[0] = 0
        loss, gradients = net.gradients(x=x)
        assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients.values()), (far, gradients)
        assert np.isfinite(net(x=x)["y"]).all()


def test_every_norm_is_in_the_table() -> None:
    assert library("norms", "layer") == words(NORMS)


@pytest.mark.parametrize("stage", NORMS)
def test_a_norm_has_the_right_gradients_here_and_in_onnxruntime(stage: str, tmp_path: Path) -> None:
    check_gradients_and_export(around(stage), tmp_path / "m.onnx")


def test_every_loss_is_in_the_table() -> None:
    assert library("losses", "fn") == words(LOSSES)


@pytest.mark.parametrize("call", LOSSES)
def test_a_loss_has_the_right_gradient_here_and_in_onnxruntime(call: str, tmp_path: Path) -> None:
    check_gradients_and_export(loss(call), tmp_path / "m.onnx")


@pytest.mark.parametrize("call", LOSSES)
def test_a_loss_and_its_gradient_are_finite_far_out(call: str) -> None:
    net = loss(call, "float32")
    batch = random_batch({**net.inputs, **net.targets}, 6)
    for far in (-1000.0, -100.0, 0.0, 100.0, 1000.0):
        x = np.full(batch["x"].shape, far)
        x[1].flat[0] = 0
        value, gradients = net.gradients(**{**batch, "x": x})
        assert np.isfinite(value) and np.isfinite(gradients["s"]).all(), (far, value, gradients)


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_a_certain_probability_has_a_finite_loss_and_gradient(p: float, y: float) -> None:
    net = nnspec.loads("model M { input x: []  target y: []  param s: [] = 0  p = x + s  output p  loss bce(p, y) }")
    value, gradients = net.gradients(x=[p], y=[y])
    assert value == pytest.approx(0 if p == y else 85.19565) and np.isfinite(gradients["s"])


def test_the_logit_of_a_hopeless_probability_still_has_its_whole_gradient() -> None:
    net = nnspec.loads("model M { input x: []  target y: []  param s: [] = 0  z = x + s  output z  loss bce(sigmoid(z), y) }")
    assert net.gradients(x=[60], y=[0])[0] == 60 and net.gradients(x=[60], y=[0])[1]["s"] == 1


def test_a_perceptron_that_starts_at_zero_learns() -> None:
    net = nnspec.loads("model M { input x: []  target y: []  param w: [] = 0  output z = w * x  loss perceptron(z, y) }")
    assert net.gradients(x=[2], y=[-1])[1]["w"] == 2


INITS: dict[str, tuple[float, float, float | None]] = {
    "zeros": (0, 0, 0),
    "ones": (1, 0, 0),
    "constant(0.3)": (0.3, 0, 0),
    "bernoulli(0.2)": (0.2, 0.4, 0.8),
    "normal(0.5, 2)": (0.5, 2, None),
    "truncated_normal": (0, 0.879626, 2),
    "truncated_normal(0.5, 0.2)": (0.5, 0.2 * 0.879626, 0.4),
    "uniform(-1, 3)": (1, 4 / 12**0.5, 2),
    "orthogonal(gain = 2)": (0, 2 / 400**0.5, None),
    "xavier_uniform": (0, (2 / 700) ** 0.5, (6 / 700) ** 0.5),
    "xavier_normal": (0, (2 / 700) ** 0.5, None),
    "lecun_normal": (0, (1 / 400) ** 0.5, None),
    "he_normal": (0, (2 / 400) ** 0.5, None),
    "he_uniform": (0, (2 / 400) ** 0.5, (6 / 400) ** 0.5),
}
"""Mean and deviation of a matrix [400, 300], and how far from the mean a number can be; any distance for the normal distribution."""


def drawn(init: str, shape: str = "[400, 300]") -> Array:
    net = nnspec.loads(f"model M {{ input x: []  param W: {shape} ~ {init}  output y = x * W }}", dtype="float64")
    return np.asarray(net.init(5).params["W"])


def test_every_init_is_tested() -> None:
    assert library("inits", "init") - {"identity", "pretrained"} == words(INITS)


@pytest.mark.parametrize("init", INITS)
def test_an_init_has_the_moments_it_promises(init: str) -> None:
    mean, deviation, most = INITS[init]
    w = drawn(init)
    assert w.mean() == pytest.approx(mean, abs=0.015 * deviation + 1e-12)
    assert w.std() == pytest.approx(deviation, rel=0.01, abs=1e-12)
    farthest = np.abs(w - mean).max()
    assert farthest > 4 * deviation if most is None else 0.99 * most <= farthest <= most + 1e-12


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_the_identity_is_that_of_any_matrix_and_keeps_its_name_beside_the_function(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(drawn("identity", str(list(shape))), np.eye(*shape))
    net = nnspec.loads("model M { input x: [3]  output y = x -> dense(3, bias = false, init = identity) -> identity }")
    np.testing.assert_array_equal(net(x=[[1, 2, 3]])["y"], [[1, 2, 3]])


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (20, 2, 3, 3)])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = drawn("orthogonal(gain = 2)", str(list(shape))).reshape(shape[0], -1) / 2
    product = w @ w.T if len(w) <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-12)


# ---- second derivatives, of what has them everywhere

SMOOTH = (
    "sigmoid",
    "softplus(beta = 3)",
    "gelu",
    "gelu_tanh",
    "gelu_sigmoid",
    "swish(beta = 2)",
    "silu",
    "mish",
    "softmax",
    "log_softmax",
    "glu",
)
SMOOTH_LOSSES = (
    "mse(z, y)", "half_mse(z, y)", "log_cosh(z, y)", "bce(sigmoid(z), y)", "bce_logits(z, y)", "cross_entropy(z, y)",
    "cross_entropy(z, y, smoothing = 0.2)", "nll(log_softmax(z), y)", "kl(softmax(y), softmax(z))", "cosine(z, y)",
)  # fmt: skip


def check_second_derivatives(inputs: str, value: str) -> None:
    """The gradient of a loss that is made of first derivatives by x."""
    text = f"model M {{ input x: {inputs}  param s: [6] = 0.5  v = {value}  g = grad(sum(v), x)  output x_again = x  loss sum(sin(g)) }}"
    for checked in gradcheck(nnspec.loads(text, dtype="float64").spec):
        assert checked.passed, checked


@pytest.mark.parametrize("stage", SMOOTH)
def test_an_activation_has_the_right_second_derivatives(stage: str) -> None:
    check_second_derivatives("[6]", f"(x * s -> {stage})^2")


@pytest.mark.parametrize("stage", ["layernorm", "groupnorm(3)", "rmsnorm", "instancenorm"])
def test_a_norm_has_the_right_second_derivatives(stage: str) -> None:
    check_second_derivatives("[6]", f"(reshape(x * s, [3, 2]) -> {stage})^3" if stage != "groupnorm(3)" else f"(x * s -> {stage})^3")


@pytest.mark.parametrize("call", SMOOTH_LOSSES)
def test_a_loss_has_the_right_second_derivatives(call: str) -> None:
    target = LOSSES[call][1].replace("[4]", "[6]").replace("class(4)[3]", "class(6)").replace("class(4)", "class(6)")
    check_second_derivatives(f"[6]  target y: {target}", f"{call.replace('z', '(x * s)')}")
