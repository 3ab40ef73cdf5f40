"""Numbers of double precision in onnxruntime: what it has no operation for is written out of others, to the last bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from std_models import ACTIVATIONS, LOSSES, NORMS, around, loss
from test_batch_last import CONVOLUTIONS, EXAMPLES, POOLS, random
from test_ops import SINGLE_ONLY

import nnspec
from nnspec.deploy import distance
from nnspec.graph import BATCH, Graph, Size, Type
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.run.ort import Session
from tools.batches import random_batch

CLOSE = 1e-13
LENGTH = Size.named("T")


def computed(op: str, *values: Any, types: dict[int, Type] | None = None, **attributes: Any) -> tuple[Any, Any]:
    """What onnxruntime makes of an op, and what the definition does."""
    graph = Graph(dtype="float64")
    of = {i: Type("float64", np.shape(v)) for i, v in enumerate(values)} | (types or {})
    sources = [graph.source(OPS["input"], f"x{i}", of[i]) for i in range(len(values))]
    graph.outputs["y"] = graph.call(OPS[op], *sources, **attributes).name
    feeds = {v.name: np.asarray(x, np.float64) for v, x in zip(sources, values, strict=True)}
    sizes = reference.sizes_of({n: of[i] for i, n in enumerate(feeds)}, feeds)
    expected = reference.run(graph, feeds, sizes=sizes)["y"]
    for optimise in (False, True):
        got = Session(to_onnx(graph, None).SerializeToString(), optimise=optimise).run(feeds)["y"]
        assert got.dtype == np.float64
    return got, expected


def check(op: str, *values: Any, types: dict[int, Type] | None = None, **attributes: Any) -> None:
    got, expected = computed(op, *values, types=types, **attributes)
    assert distance(got, expected) < CLOSE, op


def batched(*values: Any) -> dict[int, Type]:
    """Types with a batch that is known only at run time."""
    return {i: Type("float64", (BATCH, *v.shape[1:])) for i, v in enumerate(values) if len(v) == EXAMPLES}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_and_its_gradients(case: str) -> None:
    image, weights, given = CONVOLUTIONS[case]
    kernel, ones = weights[2:], (1,) * len(weights[2:])
    a = {"strides": ones, "pads": (0,) * 2 * len(kernel), "dilations": ones, "groups": 1, **given}
    x, w = random(EXAMPLES, *image), random(*weights)
    g = random(*OPS["conv"].kernel(x, w, **a).shape)
    check("conv", x, w, types=batched(x, w), **a)
    check("conv_input_grad", g, w, size=image[1:], types=batched(g, w), **a)
    check("conv_weight_grad", x, g, kernel=kernel, types=batched(x, g), **a)


@pytest.mark.parametrize("pads", [(0, 0), (2, 1), (4, 4)])
def test_convolution_over_a_length_that_is_known_only_at_run_time(pads: tuple[int, int]) -> None:
    a = {"strides": (1,), "pads": pads, "dilations": (2,), "groups": 1}
    x, w = random(EXAMPLES, 3, 9), random(4, 3, 3)
    g = random(*OPS["conv"].kernel(x, w, **a).shape)
    grid = LENGTH + sum(pads) - 4
    of_x, of_g = Type("float64", (BATCH, 3, LENGTH)), Type("float64", (BATCH, 4, grid))
    check("conv", x, w, types={0: of_x}, **a)
    check("conv_weight_grad", x, g, kernel=(3,), types={0: of_x, 1: of_g}, **a)


def test_layers_of_convolution_over_such_a_length() -> None:
    layers = "x -> conv(4, kernel = 3, pad = same) -> tanh -> conv(2, kernel = 4)"
    text = f"model M {{ input x: [3, T]  target y: [2]  z = {layers}  output z  loss mse(mean(z, axis = 1), y) }}"
    net = nnspec.loads(text, dtype="float64")
    fields = random_batch(net.inputs | net.targets, 3)
    graph, values = net.spec.gradients, {**net.params, **fields}
    expected = reference.run(graph, values)
    got = Session(to_onnx(graph, None).SerializeToString()).run(values)
    assert max(distance(v, expected[n]) for n, v in got.items() if n in expected) < CLOSE


@pytest.mark.parametrize("case", POOLS)
def test_pooling_and_its_gradients(case: str) -> None:
    image, kernel, given = POOLS[case]
    a = {"kernel": kernel, "strides": kernel, "pads": (0,) * 2 * len(kernel), **given}
    x = np.round(random(EXAMPLES, *image))  # with equal ones, of which the first gets the gradient
    y = OPS["max_pool"].kernel(x, **a)
    g = random(*y.shape)
    check("max_pool", x, **a)
    check("max_pool_grad", g, x, y, **a)
    check("avg_pool", x, types=batched(x), **a)
    check("avg_pool_grad", g, size=image[1:], types=batched(g), **a)


NUMBERS = np.array([0, 1e-300, 1e-20, 1e-8, 0.3, 0.46875, 0.5, 1, 2, 5.9, 6, 7, 30, 45, 700, 1e10, 1e38, 1e39, 1e308, np.inf])
FUNCTIONS = {"erf": torch.erf, "softplus": torch.nn.functional.softplus, "atan": torch.atan}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_are_right_for_numbers_of_every_size(function: str) -> None:
    x = np.concatenate([-NUMBERS[::-1], NUMBERS, np.linspace(-8, 8, 1001)])
    got, expected = computed(function, x)
    np.testing.assert_allclose(got, expected, rtol=1e-15, atol=0)
    theirs = np.logaddexp(x, 0) if function == "softplus" else FUNCTIONS[function](torch.tensor(x)).numpy()  # torch ends it at 20
    np.testing.assert_allclose(got, theirs, rtol=1e-15, atol=0)


def test_a_cosine_is_right_to_the_digits_of_1() -> None:
    x = np.concatenate([NUMBERS[:-1], np.linspace(-400, 400, 4001), np.arange(-40, 41) * np.pi / 4])
    np.testing.assert_allclose(computed("cos", x)[0], torch.cos(torch.tensor(x)).numpy(), rtol=0, atol=2e-15)


@pytest.mark.parametrize("function", [*FUNCTIONS, "cos"])
def test_what_is_no_number_stays_none(function: str) -> None:
    got, _ = computed(function, [np.nan, 1])
    assert np.isnan(got).tolist() == [True, False]


def test_a_factor_of_a_product_keeps_its_digits() -> None:
    graph = Graph(dtype="float64")
    x, w = (graph.source(OPS["input"], n, Type("float64", s)) for n, s in {"x": (BATCH, 4), "w": (5, 4)}.items())
    graph.outputs = {"before": ((x * 0.1) @ w.mT).name, "behind": ((x @ w.mT) * 0.3).name, "turned": (x @ (w / 0.7).mT).name}
    graph.outputs["behind nothing"] = ((x * 0.1 + 0.0) @ w.mT).name
    graph.outputs["joined"] = OPS["gemm"](w.mT, w, x.mT @ x, keep=0.9).name
    feeds = {"x": random(3, 4), "w": random(5, 4)}
    expected, got = reference.run(graph, feeds), Session(to_onnx(graph, None).SerializeToString()).run(feeds)
    assert all(distance(v, expected[n]) < CLOSE for n, v in got.items())


@pytest.mark.parametrize("stage", [*ACTIVATIONS, *NORMS, *LOSSES])
def test_the_library_is_right_in_use_and_in_training(stage: str) -> None:
    """As a model of its own and in the engine: what onnxruntime joins into operations of its own is right as well."""
    net = loss(stage) if stage in LOSSES else around(stage)
    definition, fields = nnspec.Net(net.spec, "reference"), random_batch(net.inputs | net.targets, 5)
    graph, weights = simplified(net.spec.deployed, {**net.params, **net.states})
    assert not any(node.op.name in SINGLE_ONLY for node in graph)
    session = Session(to_onnx(graph, weights).SerializeToString())
    expected = definition(**{n: fields[n] for n in net.inputs})
    got = session.run({n: np.asarray(fields[n]) for n in session.inputs})
    assert all(distance(v, expected[n]) < CLOSE for n, v in got.items())
    one, gradients = definition.gradients(**fields)
    other, found = nnspec.Net(net.spec, "ort").gradients(**fields)
    assert abs(one - other) < CLOSE * max(1, abs(one))
    assert all(distance(found[n], g) < CLOSE for n, g in gradients.items())
