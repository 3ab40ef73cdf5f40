"""Engines agree: reference and numpy, on outputs, gradients and one optimizer step, for every gallery spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import GALLERY, distance, random_batch

import nnspec
from nnspec.graph.verify import verify
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import reference
from nnspec.run.ort import Session

Nets = tuple[nnspec.Net, nnspec.Net, dict[str, Any]]


def _pair(name: str, dtype: str = "float32") -> tuple[nnspec.Net, nnspec.Net]:
    definition, planned = (nnspec.load(name, engine=e, dtype=dtype).init(seed=5) for e in ("reference", "numpy"))
    return definition, planned


@pytest.fixture(params=GALLERY)
def nets(request: pytest.FixtureRequest) -> Nets:
    definition, planned = _pair(request.param)
    return definition, planned, random_batch({**planned.inputs, **planned.targets}, 8)


def test_outputs_agree(nets: Nets) -> None:
    definition, planned, batch = nets
    inputs = {n: batch[n] for n in planned.inputs}
    expected = definition(**inputs)
    assert all(distance(v, expected[n]) < 1e-5 for n, v in planned(**inputs).items())


def test_gradients_agree(nets: Nets) -> None:
    definition, planned, batch = nets
    expected_loss, expected = definition.gradients(**batch)
    loss, gradients = planned.gradients(**batch)
    assert abs(loss - expected_loss) < 1e-5 * max(1.0, abs(expected_loss))
    largest = max(abs(g).max() for g in expected.values())
    assert all(abs(g - expected[n]).max() < 1e-4 * largest for n, g in gradients.items())


@pytest.mark.parametrize("name", GALLERY)
def test_one_optimizer_step_agrees(name: str) -> None:
    """In float64, for the first step of adam is nearly the sign of a gradient, be it as small as rounding."""
    definition, planned = _pair(name, "float64")
    batch = random_batch({**planned.inputs, **planned.targets}, 8)
    assert abs(definition.step(**batch) - planned.step(**batch)) < 1e-9
    for key, value in planned.engine.all_arrays().items():
        np.testing.assert_allclose(value, definition.engine.all_arrays()[key], rtol=1e-6, atol=1e-9, err_msg=key)


def test_the_step_as_one_graph_is_what_the_engine_does(nets: Nets) -> None:
    definition, _, batch = nets
    spec, engine = definition.spec, definition.engine
    feeds = {**batch, **engine.all_arrays(), "seed": engine.seed, "step": 0, "lr": 0.01, "t": 1.0}
    feeds |= {f"{n}.{s}": v for k, v in engine.all_arrays().items() if k.startswith("optimizer/") for _, s, n in [k.split("/")]}
    expected = reference.run(spec.step, feeds)
    definition.step(lr=0.01, **batch)
    for name, value in definition.params.items():
        assert distance(value, expected[f"param:{name}"]) < 1e-5, name


OPTIMIZERS = {
    "pointwise": "w <- w - lr * g",
    "sums over its parameter": "w <- w - lr * g / (sqrt(sum(g^2)) + 1e-6)",
    "its shape": "w <- w - lr * g / size(w)",
    "a state of one number": "state n = 0  n <- n + mean(abs(g))  w <- w - lr * g / n",
}


@pytest.mark.parametrize("clip", ["", "clip norm(0.1)", "clip value(0.01)"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_means_the_same_for_every_parameter_whether_updated_alone_or_together(optimizer: str, clip: str) -> None:
    net = nnspec.loads(
        f"optimizer own(lr) {{ {OPTIMIZERS[optimizer]} }}"
        "model M { input x: [3]  target y: [2]  h = x -> dense(4) -> tanh -> dense(2)  output h  loss mse(h, y) }"
        f"train {{ epochs 1  optimizer own(0.1)  {clip} }}",
        dtype="float64",
    )
    batch = random_batch({**net.inputs, **net.targets}, 4)
    states = {f"{n}.{s}": v for k, v in net.engine.all_arrays().items() if k.startswith("optimizer/") for _, s, n in [k.split("/")]}
    feeds = {**batch, **{n: v.copy() for n, v in net.params.items()}, **states, "lr": 0.1, "t": 1, "seed": 0, "step": 0}
    expected = reference.run(net.spec.step, feeds)
    net.step(**batch)
    assert max(distance(v, expected[f"param:{n}"]) for n, v in net.params.items()) < 1e-12


def test_onnxruntime_agrees_on_gradients_and_one_optimizer_step(nets: Nets) -> None:
    definition, _, batch = nets
    spec, engine = definition.spec, definition.engine
    optimizer = {f"{n}.{s}": v for k, v in engine.all_arrays().items() if k.startswith("optimizer/") for _, s, n in [k.split("/")]}
    weights = {**engine.params, **engine.states, **optimizer}
    scalars = {"seed": np.int64(3), "step": np.int64(2), "lr": np.float32(0.01), "t": np.float32(3)}
    for graph in (spec.gradients, spec.step):
        ports = {n.name: n.type.dtype for n in graph if n.op.name == "input"}
        feeds = {n: np.asarray({**batch, **scalars}[n], dtype) for n, dtype in ports.items()}
        got = Session(to_onnx(graph, weights).SerializeToString()).run(feeds)
        expected = reference.run(graph, {**weights, **feeds})
        largest = max(abs(v).max() for n, v in expected.items() if not n.startswith("opt:"))
        for name, value in got.items():
            if "conv" not in name or ".b" not in name:  # before batchnorm a bias has a gradient of rounding only
                assert abs(value - expected[name]).max() < 1e-4 * largest, name


def test_every_stage_is_a_valid_graph(nets: Nets) -> None:
    spec = nets[1].spec
    for graph in (spec.graph, spec.inference, spec.evaluation, spec.stable, spec.gradients, spec.objective, spec.step, spec.initial):
        verify(graph)
