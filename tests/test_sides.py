"""A choice sends its gradient to the side that was chosen, whatever the derivative of the other is there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import nnspec

MODEL = """
{more}
model M {{
  input q: []
  param x: [6] = 0
  output y = q * sum({formula})
  loss mean(y)
}}
"""
X = [4.0, 1.0, 0.5, 0.0, -1.0, 800.0]
Formula = Callable[[Tensor], Tensor]


def gradient(formula: str, engine: str = "numpy", more: str = "") -> np.ndarray:
    net = nnspec.loads(MODEL.format(formula=formula, more=more), engine=engine, dtype="float64" if engine == "numpy" else "float32")
    net.params["x"][...] = X
    return np.array(net.gradients(q=np.ones(1, np.float32))[1]["x"])


def chosen(c: Tensor, a: Formula, b: Formula, x: Tensor) -> Tensor:
    """Both sides are given what is theirs, and 1 in place of the rest."""
    one = torch.ones_like(x)
    return torch.where(c, a(torch.where(c, x, one)), b(torch.where(c, one, x)))


CASES: dict[str, Formula] = {
    "if x > 0 then sqrt(x) else 0 * x": lambda x: chosen(x > 0, torch.sqrt, lambda x: 0 * x, x),
    "if x != 0 then sin(x) / x else 1 - x": lambda x: chosen(x != 0, lambda x: torch.sin(x) / x, lambda x: 1 - x, x),
    "if x <= 0 then x else log(x)": lambda x: chosen(x <= 0, lambda x: x, torch.log, x),
    "if x < 500 then exp(x) else x": lambda x: chosen(x < 500, torch.exp, lambda x: x, x),
    "if x > 0 then (if x > 1 then sqrt(x - 1) else log(x)) else x ^ 2": lambda x: chosen(
        x > 0, lambda x: chosen(x > 1, lambda x: torch.sqrt(x - 1), torch.log, x), lambda x: x**2, x
    ),
    "(if x > 0 then sqrt(x) else 0) * x + sqrt(x + 2)": lambda x: chosen(x > 0, torch.sqrt, lambda x: 0 * x, x) * x + torch.sqrt(x + 2),
    "if x > 0 then sqrt(x) + sum(x ^ 2) else sqrt(x + 3)": lambda x: (
        chosen(x > 0, torch.sqrt, lambda x: torch.sqrt(x + 3), x) + torch.where(x > 0, (x**2).sum(), 0.0 * x)
    ),
}


@pytest.mark.parametrize("formula", CASES)
@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_the_gradient_is_that_of_the_chosen_side(formula: str, engine: str) -> None:
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    CASES[formula](x).sum().backward()
    assert x.grad is not None
    assert np.allclose(gradient(formula, engine), x.grad.numpy(), rtol=1e-12 if engine == "numpy" else 1e-5)


def test_so_is_the_second_derivative() -> None:
    root = "fn root(x) = if x > 0 then x * sqrt(x) else 0 * x"
    found = gradient("grad(sum(root(x)), x) * 2", more=root)
    with np.errstate(divide="ignore"):
        assert np.allclose(found, np.where(np.array(X) > 0, 1.5 / np.sqrt(np.maximum(X, 1e-300)), 0), rtol=1e-12)


def test_so_it_is_inside_of_a_loop() -> None:
    text = """
    model M {
      input s: [3, 2]
      param x: [2] = 0
      hs = scan s_t in s with h = zeros(2) { h = if s_t > 0 then h + x * sqrt(s_t + x) else h - x }
      output y = sum(hs[-1])
      loss mean(y)
    }
    """
    net = nnspec.loads(text, dtype="float64")
    s = np.array([[[1.0, -1.0], [0.0, 2.0], [3.0, -4.0]]])
    expected = np.array([1 / 2 + 0 + np.sqrt(3), -1 + np.sqrt(2) - 1]) + np.array([1 / 2 - 1, 0])
    assert np.allclose(net.gradients(s=s)[1]["x"], expected, rtol=1e-12)
