"""Every formula of the library: gradients against differences, finite far out, the same in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from std_models import ACTIVATIONS, activation, library

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


def words(texts: object) -> set[str]:
    return {str(t).partition("(")[0] for t in texts}  # type: ignore[attr-defined]


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
