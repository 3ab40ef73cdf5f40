"""Windows and rows against PyTorch in float64: values, and the gradient for every input, over one, two and three axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nnspec
from nnspec.autodiff import gradients
from nnspec.graph import Graph, Type, Var
from nnspec.ops import OPS
from nnspec.run import reference

SIZES = (7, 6, 5)


def agrees(ours: Callable[..., Var], theirs: Callable[..., torch.Tensor], *values: Any) -> None:
    """Two functions of arrays give the same, and the same gradients for a random cotangent."""
    rng, graph = np.random.default_rng(0), Graph(dtype="float64")
    feeds = {f"x{i}": np.asarray(v) for i, v in enumerate(values)}
    inputs = [graph.source(OPS["input"], n, Type(str(a.dtype), a.shape)) for n, a in feeds.items()]
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in feeds.values()]
    expected = theirs(*tensors)
    feeds["cotangent"] = rng.normal(size=expected.shape)
    expected.backward(torch.tensor(feeds["cotangent"]))
    y = ours(*inputs)
    scaled = y * graph.source(OPS["input"], "cotangent", y.type)
    wrt = [n for n, a in feeds.items() if a.dtype.kind == "f" and n != "cotangent"]
    graph.outputs = {"y": y.name} | {w: g.name for w, g in zip(wrt, gradients(graph, scaled.name, wrt), strict=True)}
    found = reference.run(graph, feeds)
    np.testing.assert_allclose(found["y"], expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    for name, t in zip(feeds, tensors, strict=False):
        if t.grad is not None:
            np.testing.assert_allclose(found[name], t.grad.numpy(), rtol=1e-12, atol=1e-12, err_msg=name)


def image(axes: int, channels: int = 4) -> Any:
    return np.random.default_rng(1).normal(size=(2, channels, *SIZES[:axes]))


def weights(axes: int, units: int = 6, channels: int = 4) -> Any:
    return np.random.default_rng(2).normal(size=(units, channels, *(3, 2, 2)[:axes]))


ARRANGEMENTS = [
    pytest.param((1, 1, 1), (0, 0, 0), (1, 1, 1), 1, id="plain"),
    pytest.param((2, 1, 3), (1, 0, 2), (1, 1, 1), 1, id="stride and pad"),
    pytest.param((1, 2, 1), (2, 1, 1), (2, 3, 2), 1, id="dilation"),
    pytest.param((2, 2, 1), (1, 2, 0), (1, 2, 1), 2, id="groups"),
]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("strides", "pads", "dilations", "groups"), ARRANGEMENTS)
def test_convolution(axes: int, strides: Any, pads: Any, dilations: Any, groups: int) -> None:
    strides, pads, dilations = strides[:axes], pads[:axes], dilations[:axes]
    agrees(
        lambda x, w: OPS["conv"](x, w, strides=strides, pads=pads * 2, dilations=dilations, groups=groups),
        lambda x, w: getattr(F, f"conv{axes}d")(x, w, None, strides, pads, dilations, groups),
        image(axes), weights(axes, channels=4 // groups),
    )  # fmt: skip


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(
    ("kernel", "strides", "pads"),
    [((2, 2, 2), (2, 2, 2), (0, 0, 0)), ((3, 3, 2), (1, 2, 1), (1, 1, 1)), ((3, 2, 3), (2, 1, 2), (0, 1, 1))],
    ids=["apart", "overlapping", "mixed"],
)
def test_pooling(axes: int, kind: str, kernel: Any, strides: Any, pads: Any) -> None:
    kernel, strides, pads = kernel[:axes], strides[:axes], pads[:axes]
    more = {"count_include_pad": False} if kind == "avg" else {}
    agrees(
        lambda x: OPS[f"{kind}_pool"](x, kernel=kernel, strides=strides, pads=pads * 2),
        lambda x: getattr(F, f"{kind}_pool{axes}d")(x, kernel, strides, pads, **more),
        image(axes),
    )  # fmt: skip


WHOLE = np.round(np.random.default_rng(5).normal(size=(4, 5, 6)))
OTHER = np.round(np.random.default_rng(6).normal(size=(4, 5, 6)))


@pytest.mark.parametrize(
    ("ours", "theirs", "inputs"),
    [
        (lambda x: OPS["max"](x, axes=(1, 2), keep=False), lambda x: x.amax((1, 2)), (WHOLE,)),
        (lambda x: OPS["min"](x, axes=(2,), keep=True), lambda x: x.amin(2, True), (WHOLE,)),
        (lambda x, y: OPS["maximum"](x, y), torch.maximum, (WHOLE, OTHER)),
        (lambda x, y: OPS["minimum"](x, y), torch.minimum, (WHOLE, OTHER)),
        (lambda x: OPS["max_pool"](x, kernel=(2, 3), strides=(1, 2), pads=(0, 1, 0, 1)), lambda x: F.max_pool2d(x, (2, 3), (1, 2), (0, 1)),
         (WHOLE[None],)),
        (lambda x: OPS["relu"](x), torch.relu, (WHOLE,)),
        (lambda x: OPS["abs"](x), torch.abs, (WHOLE,)),
    ],
    ids=["max", "min", "maximum", "minimum", "max_pool", "relu", "abs"],
)  # fmt: skip
def test_gradients_of_equal_values_and_at_0_are_shared_alike(ours: Any, theirs: Any, inputs: Any) -> None:
    """Of whole numbers from -3 to 3."""
    agrees(ours, theirs, *inputs)


def test_powers_of_0_have_the_gradients_of_torch() -> None:
    bases, exponents = np.array([[0.0], [1.5], [2.0]]), np.array([0.0, 1.0, 2.0, 0.5, 3.0, -1.0])
    agrees(lambda x, y: x**y, lambda x, y: x**y, bases, exponents)
    for exponent in exponents:
        agrees(lambda x, e=float(exponent): x**e, lambda x, e=float(exponent): x**e, bases[:, 0])


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_a_polynomial_has_its_derivatives_at_0(engine: str) -> None:
    net = nnspec.loads(
        "model M { input x: []  param c: [4] = [5, 2, 3, 4]  y = sum(c * x^range(0, 4))"
        "  output d = grad(y, x), dd = grad(grad(y, x), x)  loss grad(y, x)^2 }",
        engine=engine,
    )
    assert {n: v.tolist() for n, v in net(x=[0.0, 1.0]).items()} == {"d": [2, 20], "dd": [6, 30]}
    assert net.gradients(x=[0.0])[1]["c"].tolist() == [0, 4, 0, 0]


def test_rows_by_number_with_repeats() -> None:
    table, rows = np.random.default_rng(3).normal(size=(5, 4)), np.array([[3, 0, 3], [3, 1, 0]])
    agrees(lambda w, i: OPS["take"](w, i), lambda w, i: F.embedding(i, w), table, rows)


def test_the_second_derivative_passes_through_max_pooling() -> None:
    """A penalty on the gradient of the image, as critics have: |d/dx sum(pool(x^2)^2)|^2."""
    pooling = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}

    def ours(x: Var) -> Var:
        y = OPS["square"](OPS["max_pool"](OPS["square"](x), **pooling))
        (slope,) = gradients(x.graph, y.name, [x.name])
        return OPS["square"](slope)

    def theirs(x: torch.Tensor) -> torch.Tensor:
        y = F.max_pool2d(x**2, 3, 2, 1) ** 2
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return slope**2

    agrees(ours, theirs, image(2))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("strides", "pads", "dilations", "groups"), ARRANGEMENTS)
def test_transposed_convolution_in_the_language(axes: int, strides: Any, pads: Any, dilations: Any, groups: int) -> None:
    strides, pads, dilations = (list(v[:axes]) for v in (strides, pads, dilations))
    more = [s - 1 for s in strides]
    x, w = image(axes), weights(axes, units=4, channels=3)
    settings = f"stride = {strides}, pad = {pads}, output_pad = {more}, dilation = {dilations}, groups = {groups}"
    text = f"input x: {list(x.shape[1:])}  param W: {list(w.shape)} = 1  output y = convolve_transpose(x, W, {settings})  loss sum(y^2)"
    net = nnspec.loads(f"model M {{ {text} }}", dtype="float64")
    net.params["W"] = w
    theirs = torch.tensor(w, requires_grad=True)
    function = getattr(F, f"conv_transpose{axes}d")
    expected = function(torch.tensor(x), theirs, None, strides, pads, more, groups, dilations)
    np.testing.assert_allclose(net(x=x)["y"], expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    (expected**2).sum(dim=list(range(1, axes + 2))).mean().backward()
    assert theirs.grad is not None
    np.testing.assert_allclose(net.gradients(x=x)[1]["W"], theirs.grad.numpy(), rtol=1e-12, atol=1e-10)
