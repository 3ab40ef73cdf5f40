"""`stop_gradient`: the value in all that is computed, a constant in all derivatives, as `detach` is in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import run
from mistakes import diagnostics, model

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source
from nnspec.gradcheck import gradcheck

RNG = np.random.default_rng(0)
# The code of an autoencoder is the nearest of some vectors, and the gradient goes straight through (van den Oord et al. 2017).
QUANTIZED = """
model Quantized {
  input x: [8]
  param codes: [16, 4] ~ normal(0, 1)
  h       = x -> dense(4)
  nearest = one_hot(argmax(-sum((codes - h)^2, axis = -1)), 16) @ codes
  output y = h + stop_gradient(nearest - h) -> dense(8)
  loss   rebuilt = mse(y, x)
  loss   moved   = mse(nearest, stop_gradient(h))
  loss   kept    = 0.25 * mse(h, stop_gradient(nearest))
}
"""
# Backpropagation that goes back two steps and no further.
TRUNCATED = """
model Truncated {
  input x: [6, 3]
  param R: [4, 4] ~ orthogonal
  hs = scan e in x with h = zeros(4), t = 0 {
    t = t + 1
    before = if t % 2 == 1 then stop_gradient(h) else h
    h = tanh((e -> dense(4)) + before @ R)
  }
  output y = hs[0][-1]
  loss   sum(y^2)
}
"""


def compilation(text: str) -> Compilation:
    return Compilation(Source("spec.nn", text), {})


def quantized(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    h = x @ p["dense.W"] + p["dense.b"]
    nearest = p["codes"][((p["codes"] - h[:, None]) ** 2).sum(-1).argmin(1)]
    y = (h + (nearest - h).detach()) @ p["dense_2.W"] + p["dense_2.b"]
    mse = torch.nn.functional.mse_loss
    return mse(y, x) + mse(nearest, h.detach()) + 0.25 * mse(h, nearest.detach())


def truncated(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    h = torch.zeros(len(x), 4, dtype=x.dtype)
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ p["dense.W"] + p["dense.b"] + (h.detach() if t % 2 == 0 else h) @ p["R"])
    return (h**2).sum(-1).mean()


@pytest.mark.parametrize("engine", ["numpy", "ort"])
@pytest.mark.parametrize(("spec", "theirs", "shape"), [(QUANTIZED, quantized, (5, 8)), (TRUNCATED, truncated, (5, 6, 3))])
def test_gradients_are_those_of_torch_with_detach(engine: str, spec: str, theirs: Any, shape: tuple[int, ...]) -> None:
    net = nnspec.loads(spec, engine=engine, dtype="float64")
    x = RNG.normal(size=shape)
    loss, gradients = net.gradients(x=x)
    parameters = {n: torch.tensor(np.array(v), requires_grad=True) for n, v in net.params.items()}
    expected = theirs(torch.tensor(x), parameters)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    for name, p in parameters.items():
        np.testing.assert_allclose(gradients[name], p.grad, rtol=1e-9, atol=1e-12, err_msg=name)


def test_finite_differences_hold_what_is_stopped() -> None:
    assert all(c.passed for c in gradcheck(compilation(QUANTIZED)))


def test_finite_differences_do_not_hold_what_a_loop_carries() -> None:
    with pytest.raises(Fault) as error:
        gradcheck(compilation(TRUNCATED))
    found = error.value.diagnostic
    assert found.code == "E108" and found.span and found.span.text == "stop_gradient(h)"


def test_a_derivative_in_a_formula_takes_it_for_a_constant() -> None:
    net = nnspec.loads("model M { input x: []  output y = grad(x * stop_gradient(x), x), z = grad(stop_gradient(x^2), x) }")
    assert {n: v.tolist() for n, v in net(x=[3.0]).items()} == {"y": [3.0], "z": [0.0]}


def test_a_derivation_shows_it_and_sends_nothing_through_it() -> None:
    spec = "model M { input x: []  param w: [] = 2  a = w * x  output b = a + stop_gradient(a^2)  loss b^2 }"
    done = run("derive", "-", "w", stdin=spec)
    assert done.returncode == 0 and "b = a + stop_gradient(a^2)" in " ".join(done.stdout.split())
    assert "∂L/∂a = ∂L/∂b" in " ".join(done.stdout.split()) and "ok" in done.stdout


@pytest.mark.parametrize("of", ["2", "[1, 2, 3, 4]", "k"])
def test_what_has_no_gradient_stays_what_it_is(of: str) -> None:
    spec = f"model M {{ input x: [4]  input k: int[4]  output y = x * stop_gradient({of}) }}"
    values = {"2": 2, "k": np.arange(4)}.get(of, np.arange(1, 5))
    assert nnspec.loads(spec)(x=np.ones((1, 4)), k=[np.arange(4)])["y"].tolist() == [(np.ones(4) * values).tolist()]


def test_nothing_of_it_is_left_where_nobody_differentiates() -> None:
    spec = compilation(QUANTIZED + "train { data { x = [[1, 2, 3, 4, 5, 6, 7, 8]] } epochs 1 optimizer sgd(0.1) }")
    assert not [n for graph in (spec.inference, spec.deployed, spec.evaluation, spec.step) for n in graph if n.op.name == "stop_gradient"]


@pytest.mark.parametrize("written", ["detach(x)", "x.detach()", "stopgradient(x)"])
def test_the_words_of_other_frameworks_are_known(written: str) -> None:
    (d,) = diagnostics(model(f"output y = 2 * {written}"))
    assert (d.code, "did you mean `stop_gradient" in d.help) == ("E101", True)
