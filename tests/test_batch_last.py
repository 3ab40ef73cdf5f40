"""Convolution and pooling with the batch last, as sessions that train compute them, mean what the rows of the ops say."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import distance

from nnspec.graph import BATCH, Graph, Type
from nnspec.interchange import batch_last
from nnspec.interchange.batch_last import FORMS
from nnspec.interchange.to_onnx import to_onnx
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.run.ort import Session

CONVOLUTIONS = {
    "one place": ((4, 6, 5), (8, 4, 1, 1), {}),
    "same size": ((4, 6, 5), (8, 4, 3, 3), {"pads": (1, 1, 1, 1)}),
    "steps": ((3, 7, 8), (2, 3, 3, 2), {"strides": (2, 3), "pads": (1, 0, 0, 1)}),
    "steps that leave pixels out": ((3, 7, 8), (2, 3, 1, 2), {"strides": (3, 4)}),
    "holes": ((3, 9, 8), (2, 3, 2, 3), {"dilations": (3, 2), "pads": (2, 1, 0, 3)}),
    "groups": ((4, 5, 5), (6, 2, 3, 3), {"groups": 2, "pads": (1, 1, 1, 1)}),
    "a channel each": ((4, 5, 5), (4, 1, 3, 3), {"groups": 4}),
    "a line": ((3, 9), (2, 3, 4), {"strides": (2,), "pads": (1, 2)}),
    "a cube": ((2, 4, 3, 5), (3, 2, 2, 2, 2), {"pads": (1, 0, 0, 0, 1, 0)}),
}
POOLS = {
    "side by side": ((3, 6, 8), (2, 2), {}),
    "pixels left over": ((3, 7, 5), (2, 2), {}),
    "overlapping": ((3, 7, 7), (3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "apart": ((2, 9, 8), (2, 1), {"strides": (3, 3)}),
    "a line": ((3, 9), (3,), {"strides": (1,), "pads": (1, 1)}),
    "a cube": ((2, 4, 4, 6), (2, 2, 3), {}),
}
EXAMPLES = 7


def check(op: str, *values: Any, **attributes: Any) -> None:
    """That the session computes what the definition does."""
    graph = Graph()
    sources = [graph.source(OPS["input"], f"x{i}", type_of(v)) for i, v in enumerate(values)]
    graph.outputs["y"] = graph.call(OPS[op], *sources, **attributes).name
    feeds = {v.name: np.asarray(x, np.float32) for v, x in zip(sources, values, strict=True)}
    model = to_onnx(graph, None, sizes={"batch": EXAMPLES}, forms=FORMS)
    assert not {n.op_type for n in model.graph.node} & {"Conv", "ConvTranspose", "MaxPool", "AveragePool"}
    for optimise in (True, False):
        got = Session(model.SerializeToString(), optimise=optimise).run(feeds)["y"]
        assert distance(got, reference.run(graph, feeds)["y"]) < 1e-6, op


def type_of(value: Any) -> Type:
    """With the batch in front where the first axis is as long as it."""
    return Type("float32", (BATCH, *value.shape[1:]) if len(value) == EXAMPLES else value.shape)


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_and_its_gradients(case: str) -> None:
    image, weights, given = CONVOLUTIONS[case]
    kernel = weights[2:]
    ones = (1,) * len(kernel)
    a = {"strides": ones, "pads": (0,) * 2 * len(kernel), "dilations": ones, "groups": 1, **given}
    x, w = random(EXAMPLES, *image), random(*weights)
    g = random(*OPS["conv"].kernel(x, w, **a).shape)
    check("conv", x, w, **a)
    check("conv_input_grad", g, w, size=image[1:], **a)
    check("conv_weight_grad", x, g, kernel=kernel, **a)


@pytest.mark.parametrize("largest", [1, 300])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_in_pieces_they_are_the_same(case: str, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_last, "MANY", 0)
    monkeypatch.setattr(batch_last, "LARGEST", largest)
    test_convolution_and_its_gradients(case)


@pytest.mark.parametrize("op", ["conv", "conv_input_grad", "conv_weight_grad"])
def test_what_is_gathered_for_a_convolution_is_no_larger_than_a_few_images(op: str) -> None:
    images, kernels = Type("float32", (16, 16, 96, 96)), Type("float32", (16, 16, 3, 3))
    a = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
    types, more = {
        "conv": ((images, kernels), {}),
        "conv_input_grad": ((images, kernels), {"size": (96, 96)}),
        "conv_weight_grad": ((images, images), {"kernel": (3, 3)}),
    }[op]
    graph = Graph()
    sources = [graph.source(OPS["input"], f"x{i}", type) for i, type in enumerate(types)]
    graph.outputs["y"] = graph.call(OPS[op], *sources, **a, **more).name
    model = onnx.shape_inference.infer_shapes(to_onnx(graph, None, sizes={}, forms=FORMS))
    sizes = [prod(d.dim_value for d in v.type.tensor_type.shape.dim) for v in model.graph.value_info]
    assert max(sizes) < 1.5 * batch_last.LARGEST < 9 * prod(images.numbers)


@pytest.mark.parametrize("case", POOLS)
def test_pooling_and_its_gradients(case: str) -> None:
    image, kernel, given = POOLS[case]
    axes = len(kernel)
    a = {"kernel": kernel, "strides": kernel, "pads": (0,) * 2 * axes, **given}
    x = np.round(random(EXAMPLES, *image))  # with equal ones, of which the first gets the gradient
    y = OPS["max_pool"].kernel(x, **a)
    g = random(*y.shape)
    check("max_pool", x, **a)
    check("max_pool_grad", g, x, y, **a)
    check("avg_pool", x, **a)
    check("avg_pool_grad", g, size=image[1:], **a)
