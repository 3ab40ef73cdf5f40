"""Whole numbers and truths that a `scan` carries stay what they are, in every engine, beside gradients, and in ONNX."""

from pathlib import Path

import numpy as np
import pytest
import torch

import nnspec
from nnspec.drawing.parts import parts_of
from nnspec.importing import import_model
from nnspec.run.ort import Session

LARGE = 2**24 + 1  # the first whole number that float32 does not have
K = np.array([[LARGE, 0, 1], [3, LARGE, 2]])
X = np.array([[0.0, 1.0, 0.0], [0.25, 0.5, -1.0]], np.float32)
LOOPS = {
    "a sum": ("y = scan e in k with s = 0 { s = s + e }", "int64", np.cumsum(K, 1)),
    "the last": ("y = scan e in k with s = 0 { s = e }", "int64", K),
    "the largest": ("y = scan e in k with s = k[0] { s = max(s, e) }", "int64", np.maximum.accumulate(K, 1)),
    "a list": ("y = scan e in k with s = [0, 1] { s = s + e }", "int64", np.cumsum(K, 1)[..., None] + [0, 1]),
    "a choice": ("y = scan e in k with s = 0 { s = if e > 2 then e else s }", "int64", [[LARGE] * 3, [3, LARGE, LARGE]]),
    "in a loop": (
        "y = scan e in k with s = 0 { inner = scan f in stack(e, 1) with r = 0 { r = r + f }  s = s + inner[-1] }",
        "int64",
        np.cumsum(K + 1, 1),
    ),
    "a truth that is counted": ("y = scan e in k with s = false { s = s + e }", "int64", np.cumsum(K, 1)),
    "a truth": ("y = scan e in x with s = false { s = s or e > 0.5 }", "bool", [[False, True, True], [False] * 3]),
    "truths": ("y = scan e in x with s = [false, true] { s = stack(s[1], e > 0.5) }", "bool", None),
    "a fraction": ("y = scan e in k with s = 0 { s = s / 2 + e }", "float32", None),
    "a fraction in what was whole": ("y = scan e in k with s = k[0] { s = s + 0.5 * e }", "float32", None),
    "by way of what else is carried": ("y, z = scan e in k with s = 0, r = 0 { s = s + e + r  r = 0.5 * e }", "float32", None),
    "whole beside a fraction": ("y, z = scan e in k with s = 0, r = 0 { s = s + e  r = 0.5 * e }", "int64", np.cumsum(K, 1)),
    "a derivative": ("y = scan e in k with s = 0 { s = s + grad(s^2, s) + 0 * e }", "float32", [[0, 0, 0]] * 2),
    "a size": ("y = scan e in k with s = T { s = s + e }", "int64", np.cumsum(K, 1) + 3),
    "numbers": ("y = scan e in x with s = 0 { s = s + e }", "float32", np.cumsum(X, 1)),
    "constants": ("y = scan e in x with s = 0 { s = s + 1 }", "float32", [[1, 2, 3]] * 2),
}


def model(text: str) -> str:
    return f"model M {{ input k: int[T]  input x: [T]  {text}  output y, both = k + x }}"


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize("name", LOOPS)
def test_what_is_carried_is_of_the_kind_that_it_is_given(name: str, engine: str) -> None:
    text, kind, expected = LOOPS[name]
    y = nnspec.loads(model(text), engine=engine)(k=K, x=X)["y"]
    assert y.dtype == kind
    if expected is not None:
        assert np.array_equal(y, expected)


NO_SPEC = ("a list", "truths", "in a loop", "whole beside a fraction", "a derivative", "a size")
"""What an import refuses, or writes as numbers, as a spec walks whole numbers and fractions side by side as such."""


@pytest.mark.parametrize("name", LOOPS)
def test_it_is_so_in_onnx_and_back(name: str, tmp_path: Path) -> None:
    text, kind, _ = LOOPS[name]
    net = nnspec.loads(model(text))
    net.export(tmp_path / "m.onnx")
    ours, theirs = net(k=K, x=X)["y"], Session(tmp_path / "m.onnx").run({"k": K, "x": X})["y"]
    assert theirs.dtype == kind and np.array_equal(ours, theirs)
    if name not in NO_SPEC:
        assert import_model(tmp_path / "m.onnx", tmp_path / "m.nn").difference == 0
    for again in ("m.onnx",) if name in NO_SPEC else ("m.onnx", "m.nn"):
        back = nnspec.load(tmp_path / again)(k=K, x=X)["y"]
        assert back.dtype == kind and np.array_equal(ours, back)


MIXED = """
layer counting(x: [T, n], k: int[T], units) {
  param U: [units, units] ~ orthogonal
  param W: [n, units]     ~ xavier_normal
  on, hs, counts = scan e in concat(x, reshape(k, [T, 1]), axis = 1) with on = false, h = zeros(units), c = k[0] {
    on = on or e[0] > 0.3
    h  = if on then tanh(h @ U + e[:n] @ W / (1 + c)) else h
    c  = if h[0] > 0 then c + 16777217 else max(c, 3)
  }
  return hs
}
model M {
  input  x: [T, 3]
  input  k: int[T]
  target y: []
  output z = sum(counting(x, k, 4)[-1])
  loss   (z - y)^2
}
train { epochs 1  optimizer sgd(lr = 0.1) }
"""


def by_torch(x: np.ndarray, k: np.ndarray, y: float, U: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """The loss of one example, as Python says it."""
    on, h, c = False, torch.zeros(4, dtype=torch.float64), int(k[0])
    for e in torch.tensor(x, dtype=torch.float64):
        on = on or bool(e[0] > 0.3)
        h = torch.tanh(h @ U + e @ W / (1 + c)) if on else h
        c = c + 16777217 if h[0] > 0 else max(c, 3)
    return (h.sum() - y) ** 2


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize("examples", [3, 17])
def test_gradients_go_through_what_is_carried_beside_it(examples: int, engine: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(examples, 5, 3)).astype(np.float32), rng.normal(size=examples).astype(np.float32)
    k = rng.integers(0, 5, (examples, 5))
    net = nnspec.loads(MIXED, engine=engine).init(seed=3)
    U, W = (torch.tensor(np.array(net.params[f"counting.{n}"], float), requires_grad=True) for n in "UW")
    expected = torch.stack([by_torch(*each, U, W) for each in zip(x, k, y, strict=True)]).mean()
    expected.backward()
    loss, gradients = net.gradients(x=x, k=k, y=y)
    assert abs(loss - expected.item()) < 1e-6
    for name, weight in (("counting.U", U), ("counting.W", W)):
        assert weight.grad is not None and np.allclose(gradients[name], weight.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_layers_of_a_step_that_is_elaborated_anew_are_made_once() -> None:
    text = "a, b = scan e in k with a = 0, b = zeros(2) { a = a + e  b = tanh((b + e) -> dense(2) -> dense(2)) }"
    spec = nnspec.loads(f"model M {{ input k: int[T]  {text}  output a, b }}").spec
    assert list(spec.model.owned) == ["dense.W", "dense.b", "dense_2.W", "dense_2.b"]
    _, whole = parts_of(spec)
    [body] = [p.body for p in whole.within() if p.body]
    assert [p.path for p in body.part.within() if p.is_layer] == ["dense", "dense_2"]
