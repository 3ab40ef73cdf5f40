"""Convolutions that lie in planes for the pool behind them: they and their gradients are those of PyTorch."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from nnspec.autodiff import gradients
from nnspec.graph import Graph, Type
from nnspec.ops import OPS, columns, winograd
from nnspec.rewrite.planes import IN_PLANES, with_planes
from nnspec.run.program import Program
from tests.helpers import compiled_text

CONVOLUTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
POOLS = {1: torch.nn.functional.max_pool1d, 2: torch.nn.functional.max_pool2d, 3: torch.nn.functional.max_pool3d}
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, int, tuple[int, ...]]] = {
    "image, weights, stride, pad, pool": ((3, 4, 8, 8), (5, 4, 3, 3), 1, 1, (2, 2)),
    "one channel": ((3, 1, 8, 8), (5, 1, 3, 3), 1, 1, (2, 2)),
    "oblong windows": ((3, 4, 8, 9), (5, 4, 3, 3), 1, 1, (2, 3)),
    "of one row": ((2, 4, 5, 6), (5, 4, 2, 1), 1, 0, (1, 3)),
    "of one pixel": ((3, 6, 4, 4), (5, 6, 1, 1), 1, 0, (2, 2)),
    "strides": ((3, 4, 12, 16), (5, 4, 3, 3), 2, 1, (3, 4)),
    "more pads than the kernel": ((2, 3, 4, 4), (4, 3, 2, 2), 1, 2, (7, 7)),
    "tiles": ((3, 64, 8, 8), (64, 64, 3, 3), 1, 1, (2, 4)),
    "tiles over the edge": ((2, 96, 9, 9), (128, 96, 3, 3), 1, 1, (3, 3)),
    "tiles of rows": ((2, 16, 12, 12), (16, 16, 3, 3), 1, 1, (2, 3)),
    "a line": ((4, 3, 12), (5, 3, 3), 1, 1, (4,)),
    "tiles of a line": ((3, 24, 20), (24, 24, 3), 1, 1, (2,)),
    "a cube": ((2, 3, 4, 4, 6), (4, 3, 3, 3, 3), 1, 1, (2, 1, 3)),
}


def pooled(x: Any, w: Any, stride: int, pad: int, pool: tuple[int, ...]) -> tuple[Graph, dict[str, Any]]:
    """A convolution and its pool, with their gradients for something random to be multiplied by."""
    graph, axes, rng = Graph(dtype="float64"), len(pool), np.random.default_rng(0)
    sources = [graph.source(OPS["input"], n, Type("float64", a.shape)) for n, a in (("x", x), ("w", w))]
    image = graph.call(OPS["conv"], *sources, strides=(stride,) * axes, pads=(pad,) * 2 * axes, dilations=(1,) * axes, groups=1)
    y = graph.call(OPS["max_pool"], image, kernel=pool, strides=pool, pads=(0,) * 2 * axes)
    g = rng.standard_normal(y.type.numbers)
    loss = graph.call(OPS["sum"], y * graph.source(OPS["input"], "g", Type("float64", g.shape)), axes=tuple(range(2 + axes)), keep=False)
    by_name = dict(zip(("x", "w"), gradients(graph, loss.name, ["x", "w"]), strict=True))
    graph.outputs = {"y": y.name, **{n: v.name for n, v in by_name.items()}}
    return graph, {"x": x, "w": w, "g": g}


def by_torch(given: dict[str, Any], stride: int, pad: int, pool: tuple[int, ...]) -> dict[str, Any]:
    x, w = (torch.tensor(given[n], requires_grad=True) for n in ("x", "w"))
    y = POOLS[len(pool)](CONVOLUTIONS[len(pool)](x, w, None, stride, pad), pool)
    y.backward(torch.tensor(given["g"]))  # type: ignore[no-untyped-call]
    return {"y": y.detach(), "x": x.grad, "w": w.grad}


@pytest.mark.parametrize(("even", "small"), list(product([False, True], [False, True])))
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(case: str, even: bool, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if small:
        monkeypatch.setattr(columns, "CHUNK_BYTES", 1)
        monkeypatch.setattr(winograd, "CHUNK_BYTES", {1: 1, 2: 1})
    rng, (image, weights, *how) = np.random.default_rng(0), CASES[case]
    x, w = (
        np.ones(image) if even else rng.standard_normal(image),
        rng.standard_normal(weights),
    )  # an even image has equal pixels in a window
    graph, given = pooled(x, w, *how)
    arranged = with_planes(graph)
    assert {n.op for n in arranged if n.inputs} >= {*IN_PLANES.values()} and not {n.op for n in arranged} & {*IN_PLANES}
    program = Program(arranged, {}, given, {})
    program.run()
    for name, true in by_torch(given, *how).items():
        np.testing.assert_allclose(program.output(name), true.numpy(), atol=1e-9)


SPEC = """
model M {
    input x: [2, 6, 6]
    target y: class(3)
    image = x -> conv(4, 3, pad=1%s)
    h = image -> %s -> flatten
    output scores = %s -> dense(3)
    loss cross_entropy(scores, y)
}
train { data npz("a.npz")  optimizer sgd(lr=0.1)  epochs 1 }
"""


def names(spec: str, graph: str = "objective") -> set[str]:
    compilation = compiled_text("m.nn", spec, "float32")
    found = compilation.inference if graph == "inference" else compilation.first_stage[0].objective
    return {n.op.name for n in with_planes(found)}


def test_every_operation_around_a_pool_is_with_planes() -> None:
    spec = SPEC % ("", "relu -> maxpool(2)", "h")
    assert {"conv_planes", "conv_planes_weight_grad", "max_plane", "max_plane_grad"} <= names(spec)
    assert {"conv_planes", "max_plane"} <= names(spec, "inference")


@pytest.mark.parametrize(
    ("groups", "pool", "output"),
    [
        (", groups=2", "maxpool(2)", "h"),
        ("", "maxpool(3, stride=1)", "h"),
        ("", "maxpool(2, pad=1)", "h"),
        ("", "maxpool(4)", "h"),  # leaves a border
        ("", "tanh -> maxpool(2)", "h"),
        ("", "maxpool(2)", "concat(h, image -> flatten)"),
    ],
)
def test_nothing_is_in_planes_where_windows_overlap_or_anything_else_reads_the_image(groups: str, pool: str, output: str) -> None:
    assert not any("plane" in name for name in names(SPEC % (groups, pool, output)))


def test_an_image_that_is_an_output_stays_as_it_is() -> None:
    graph = compiled_text("m.nn", SPEC % ("", "maxpool(2)", "h"), "float32").first_stage[0].objective
    image = next(n.name for n in graph if n.op.name == "conv")
    graph.outputs["image"] = image
    assert image in with_planes(graph).nodes and "conv_planes" not in {n.op.name for n in with_planes(graph)}
