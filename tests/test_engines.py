"""Engines agree, for every gallery spec: reference, numpy and onnxruntime on outputs, gradients and one optimizer step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import GALLERY, compiled, distance

import nnspec
from nnspec.graph.verify import verify
from nnspec.interchange.to_onnx import to_onnx
from nnspec.optimization import LR, T
from nnspec.run import reference
from nnspec.run.engine import PHASE_SHIFT
from nnspec.run.ort import Session
from tools.batches import random_batch

Feeds = dict[str, Any]


class Case:
    """A network in two engines, with the same weights, optimizer states of 1, and a random batch."""

    def __init__(self, name: str, dtype: str, engine: str = "numpy") -> None:
        self.spec = compiled(name, dtype)
        self.definition, self.planned = (nnspec.Net(self.spec, e).init(seed=5) for e in ("reference", engine))
        self.inputs = random_batch(self.spec.model.inputs, 3)
        self.batch = random_batch(self.spec.model.ports, 3)
        for net in (self.definition, self.planned):
            for key, array in net.engine.all_arrays().items():
                if key.startswith("optimizer/"):
                    array[...] = 1  # away from 0, where the first step of adam is the sign of rounding

    def feeds(self, lr: float = 0.01) -> Feeds:
        """What a graph of the step reads."""
        engine, arrays = self.definition.engine, self.definition.engine.all_arrays()
        states = {f"{n}.{s}": v for k, v in arrays.items() if k.startswith("optimizer/") for _, s, n in [k.split("/")]}
        weights = {n: v.copy() for n, v in {**engine.params, **engine.states, **states}.items()}
        return {**self.batch, **weights, "seed": engine.seed, "step": 0, LR: lr, T: 1.0}


@pytest.fixture(params=GALLERY)
def single(request: pytest.FixtureRequest) -> Case:
    return Case(request.param, "float32")


@pytest.fixture(params=[n for n in GALLERY if compiled(n, "float64").model.losses])
def double(request: pytest.FixtureRequest) -> Case:
    """In float64, where no rounding grows to be seen."""
    return Case(request.param, "float64")


@pytest.fixture(params=GALLERY)
def session(request: pytest.FixtureRequest) -> Case:
    """In onnxruntime."""
    return Case(request.param, "float32", "ort")


@pytest.fixture(params=[n for n in GALLERY if compiled(n, "float64").trainings])
def double_session(request: pytest.FixtureRequest) -> Case:
    return Case(request.param, "float64", "ort")


def test_outputs_agree(single: Case) -> None:
    expected = single.definition(**single.inputs)
    assert all(distance(v, expected[n]) < 1e-5 for n, v in single.planned(**single.inputs).items())


def test_ort_agrees_on_outputs(session: Case) -> None:
    expected = session.definition(**session.inputs)
    assert all(distance(v, expected[n]) < 2e-5 for n, v in session.planned(**session.inputs).items())


def test_ort_agrees_on_gradients(session: Case) -> None:
    if not session.spec.model.losses:
        return
    expected_loss, expected = session.definition.gradients(**session.batch)
    loss, gradients = session.planned.gradients(**session.batch)
    assert abs(loss - expected_loss) < 1e-5 * max(1.0, abs(expected_loss))
    largest = max(abs(g).max() for g in expected.values())
    assert all(abs(g - expected[n]).max() < 1e-4 * largest for n, g in gradients.items())


def test_ort_agrees_on_three_optimizer_steps(session: Case) -> None:
    if not session.spec.trainings:
        return
    for _ in range(3):
        expected_loss, loss = session.definition.step(**session.batch), session.planned.step(**session.batch)
        assert abs(loss - expected_loss) < 1e-5 * max(1.0, abs(expected_loss))
    for name, value in session.planned.engine.all_arrays().items():
        assert distance(value, session.definition.engine.all_arrays()[name]) < 1e-4, name


def test_ort_agrees_on_an_optimizer_step_to_the_digits_of_float64(double_session: Case) -> None:
    definition, planned = double_session.definition, double_session.planned
    expected_loss, loss = definition.step(**double_session.batch), planned.step(**double_session.batch)
    assert abs(loss - expected_loss) < 1e-12 * max(1.0, abs(expected_loss))
    for name, value in planned.engine.all_arrays().items():
        assert distance(value, definition.engine.all_arrays()[name]) < 1e-10, name


def test_onnxruntime_agrees_on_outputs(single: Case) -> None:
    expected = reference.run(single.spec.inference, single.feeds())
    got = in_onnxruntime(single.spec.inference, single.feeds())
    assert all(distance(v, expected[f"output:{n}"]) < 2e-5 for n, v in got.items())


def test_gradients_agree(double: Case) -> None:
    expected_loss, expected = double.definition.gradients(**double.batch)
    loss, gradients = double.planned.gradients(**double.batch)
    assert abs(loss - expected_loss) < 1e-9 * max(1.0, abs(expected_loss))
    largest = max(abs(g).max() for g in expected.values())
    assert all(abs(g - expected[n]).max() < 1e-9 * largest for n, g in gradients.items())


def test_one_optimizer_step_agrees(double: Case) -> None:
    expected_loss, loss = double.definition.step(**double.batch), double.planned.step(**double.batch)
    assert abs(loss - expected_loss) < 1e-9 * max(1.0, abs(expected_loss))
    for name, value in double.planned.engine.all_arrays().items():
        assert distance(value, double.definition.engine.all_arrays()[name]) < 1e-9, name


def test_the_step_as_one_graph_is_what_the_engine_does(double: Case) -> None:
    feeds = double.feeds()
    sizes = reference.sizes_of(double.spec.model.ports, double.batch)
    for number, phase in enumerate(double.spec.stages[0]):
        new = reference.run(phase.step, {**feeds, "step": number << PHASE_SHIFT}, sizes=sizes)
        feeds |= {n.split(":", 1)[1]: v for n, v in new.items() if n.startswith(("param:", "state:", "opt:"))}
    double.definition.step(lr=0.01, **double.batch)
    for name, value in double.definition.params.items():
        assert distance(value, feeds[name]) < 1e-9, name


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
    feeds = {**batch, **{n: v.copy() for n, v in net.params.items()}, **states, LR: 0.1, T: 1, "seed": 0, "step": 0}
    expected = reference.run(net.spec.step, feeds)
    net.step(**batch)
    assert max(distance(v, expected[f"param:{n}"]) for n, v in net.params.items()) < 1e-12


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_the_first_step_of_adam_has_the_length_of_the_rate_to_the_last_digits(engine: str) -> None:
    model = "model M { input x: [3]  target y: [2]  output h = x -> dense(2)  loss mse(h, y) }"
    net = nnspec.loads(f"{model} train {{ epochs 1  optimizer adam(1, eps = 0) }}", engine=engine)
    batch = random_batch({**net.inputs, **net.targets}, 4)
    before = {n: v.astype(float) for n, v in net.params.items()}
    net.step(**batch)
    assert max(abs(abs(v - before[n]) - 1).max() for n, v in net.params.items()) < 5e-7


FROM_NUMBERS = """
optimizer odd(lr) {
  state s = 0
  pair = floor(t / 2) * 2
  rate = if t < 3 and lr > 0 then lr * 2 else max(lr, lr^2) / (1 - 0.999^t)
  s <- s + t - pair
  w <- w - rate * g * (if t <= pair then 1 else 2) + 0 * s
}
model M { input x: [3]  target y: [2]  output h = x -> dense(2)  loss mse(h, y) }
train { epochs 1  optimizer odd(1e-3) }
"""


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_numbers_that_are_made_of_rate_and_step_are_those_of_float64(engine: str) -> None:
    single, double = (nnspec.loads(FROM_NUMBERS, engine=engine, dtype=dtype) for dtype in ("float32", "float64"))
    batch = random_batch({**single.inputs, **single.targets}, 4)
    for name, value in single.params.items():
        value[...] = 0
        double.params[name][...] = 0
    for net in (single, double):
        for _ in range(4):
            net.step(**batch)
    assert max(distance(v, double.params[n]) for n, v in single.params.items()) < 5e-7
    assert all(np.all(v == 2) for n, v in single.engine.all_arrays().items() if n.startswith("optimizer/"))


def in_onnxruntime(graph: Any, feeds: Feeds) -> Feeds:
    """The outputs of a graph, its parameters and states being weights of the model."""
    weights = {n.name: feeds[n.name] for n in graph if n.op.name in ("param", "state")}
    ports = {n.name: np.asarray(feeds[n.name], n.type.dtype) for n in graph if n.op.name == "input"}
    return Session(to_onnx(graph, weights).SerializeToString()).run(ports)


def test_onnxruntime_agrees_on_gradients_and_one_optimizer_step(single: Case) -> None:
    feeds = {**single.feeds(), "seed": 3, "step": 2, T: 3.0}
    steps = [phase.step for stage in single.spec.stages for phase in stage]
    for graph in [single.spec.gradients, *steps] if single.spec.model.losses else []:
        expected = reference.run(graph, feeds)
        largest = max(abs(v).max() for n, v in expected.items() if not n.startswith("opt:"))
        for name, value in in_onnxruntime(graph, feeds).items():
            assert abs(value - expected[name]).max() < 1e-4 * largest, name


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
@pytest.mark.parametrize("name", ["digits", "gan", "lenet"])
def test_a_step_on_a_batch_in_its_place_is_the_step_on_the_batch(name: str, engine: str) -> None:
    case = Case(name, "float32", engine)
    placed = case.planned.engine.place(case.batch)
    again = Case(name, "float32", engine).planned.engine
    for _ in range(2):
        assert case.planned.engine.step(placed, 0.01) == again.step(case.batch, 0.01)
    arrays = case.planned.engine.all_arrays()
    assert all(np.array_equal(arrays[n], v) for n, v in again.all_arrays().items())


def test_every_stage_is_a_valid_graph(double: Case) -> None:
    spec = double.spec
    phases = [graph for stage in spec.stages for phase in stage for graph in (phase.objective, phase.step)]
    for graph in (spec.graph, spec.inference, spec.evaluation, spec.stable, spec.gradients, spec.initial, *phases):
        verify(graph)
