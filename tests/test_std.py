"""Every formula of the library: gradients against differences, finite far out, the same in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import random_batch
from std_models import ACTIVATIONS, LOSSES, activation, library, loss, words

import nnspec
from nnspec.deploy import export
from nnspec.gradcheck import gradcheck


def check_gradients_and_export(net: nnspec.Net, path: Path) -> None:
    """Gradients of the float64 model against differences; the float32 model and its gradients in onnxruntime."""
    for checked in gradcheck(net.spec):
        assert checked.passed, checked
    spec = nnspec.loads(net.spec.source.text).spec
    weights = {**nnspec.loads(net.spec.source.text).init(1).params}
    export(spec.inference, weights, path, metadata={})
    export(spec.gradients, weights, path, metadata={})


def test_every_activation_is_in_the_table() -> None:
    assert library("activations", "fn", "layer") == words(ACTIVATIONS) | {"halves"}


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_has_the_right_gradient_here_and_in_onnxruntime(stage: str, tmp_path: Path) -> None:
    check_gradients_and_export(activation(stage), tmp_path / "m.onnx")


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_and_its_gradient_are_finite_far_out(stage: str) -> None:
    net = activation(stage, "float32")
    shape = net.inputs["x"].shape[1:]
    for far in (-1000.0, -100.0, 0.0, 100.0, 1000.0):
        x = np.full((2, *shape), far)
        x[1].flat[0] = 0
        loss, gradients = net.gradients(x=x)
        assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients.values()), (far, gradients)
        assert np.isfinite(net(x=x)["y"]).all()


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
