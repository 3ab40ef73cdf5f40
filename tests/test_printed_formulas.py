"""Every formula that `derive` and `trace` print, read as it stands, has the value of what it is said to be."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from helpers import distance, run
from printed import read_all

import nnspec
from nnspec import gallery
from nnspec.derivation.numbers import backward, forward
from nnspec.derivation.values import values_of
from tools.batches import random_batch

HEAD = """model M {
  input x: [3, 4, 5]
  input v: [6]
  target y: []
  param w: [3, 4, 5] = 1
  param p: [4, 5] = 1
  param M: [6, 7] = 1
  param q: [] = 1
"""
AXES = ("", ", axis = 0", ", axis = 1", ", axis = -1", ", axis = [0, 2]", *(f", axis = {a}, keep = true" for a in (1, 2, [0, 1])))
OVER_AN_EXAMPLE = [f"z = {op}(x * w{axis})\noutput r = mean(tanh(z))" for op in ("sum", "mean", "max", "min") for axis in AXES]
OF_EXAMPLES = ("x * w", "mean(x * w, axis = 1)", "sum(x * w)", "tanh(v @ M)")
OVER_THE_BATCH = [f"z = {op}({x})\noutput r = mean(tanh(z * {x}))" for op in ("batch_mean", "batch_var") for x in OF_EXAMPLES]
OVER_BOTH = [f"z = mean({op}({x}))\noutput r = z * mean({x})" for op in ("batch_mean", "batch_var") for x in OF_EXAMPLES]
OTHERS = [
    "m = batch_mean(x * w)\noutput r = mean((x - m)^2 * p)",
    "m = batch_mean(x)\nh = m * p\noutput r = mean(h * x)",
    "P = batch_mean(reshape(v, [6, 1]) * reshape(tanh(v), [1, 6]))\nz = v @ P\nk = z @ M\noutput r = mean(tanh(k))",
    "P = batch_mean(reshape(v, [6, 1]) * reshape(v @ M, [1, 7]))\nz = v @ P\noutput r = mean(tanh(z))",
    "K = batch_mean(x) * q\nZ = reshape(K, [3, 20])\nt = tanh(v[0:3]) @ Z\noutput r = mean(tanh(t))",
    "g = v @ M\nm = batch_mean(g)\ns = sqrt(batch_var(g) + 1)\noutput r = mean(g * m / s)",
    "s = softmax(x * w, axis = 0)\noutput r = mean(s * x)",
    "s = softmax(x * w, axis = 1)\noutput r = mean(s^2)",
    "s = log_softmax(x * w, axis = 1)\noutput r = mean(s^2)",
    "s = cumsum(x * w, axis = 1)\noutput r = mean(s^2)",
    "g = reshape(v, [6, 1]) * reshape(tanh(v @ M), [1, 7])\noutput r = mean(g)",
    "g = x * reshape(mean(x * w, axis = 1), [3, 1, 5])\noutput r = mean(tanh(g))",
    "g = x * reshape(mean(x * w, axis = [1, 2]), [3, 1, 1])\noutput r = mean(tanh(g))",
    *(f"h = x * w -> {norm} -> tanh\noutput r = mean(h)" for norm in ("batchnorm", "instancenorm", "layernorm", "rmsnorm", "groupnorm(3)")),
    "h = x * w -> conv(3, 2, bias = false) -> batchnorm -> tanh\noutput r = mean(h)",
    "h = max(x, w) + min(x, 2 * w)\noutput r = mean(h)",
    "h = if x > 0.5 then x * w else mean(w)\noutput r = mean(h^2)",
    "h = concat(x * w, x + w, axis = 1)\noutput r = mean(h^3)",
    "h = stack(x * w, x + w, axis = 0)\noutput r = mean(h^3 * p)",
    "h = transpose(x * w, [1, 0, 2])\noutput r = mean(h^3 * transpose(w, [1, 0, 2]))",
    "h = reverse(x * w, axis = 1) * w\noutput r = mean(h^3)",
    "n = sum(w) + 0 * q\noutput r = mean(x * n)",
    "z = v @ M\noutput r = sum(z / sqrt(sum(z^2)))",
]
# Of each example, of each and of the weights alone, of each and of all of them, and of all of them.
OF_EACH, AND_WEIGHTS = "loss mse(r, y)", "loss a = (r - y)^2\nloss b = 0.1 * sum(w^2) + sum(p^2) + q^2"
AND_ALL, OF_ALL = "loss a = (r - y)^2\nloss b = batch_mean(r)^2", "loss a = batch_mean(r * y)^2"


def only_in_training(line: str) -> str:
    """What is over the batch there, and over an example in use."""
    other = re.sub("batch_(mean|var)", "", line)
    return f"if training {{ {line} }} else {{ {other} }}" if other != line and "loss" not in line else line


def hold(net: nnspec.Net) -> int:
    """How many formulas were read."""
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(v, 0.1) for n, v in net.params.items()}
    return read_all(net.spec, random_batch(net.inputs | net.targets, 3), {**weights, **net.states})[0]


@pytest.mark.parametrize("loss", [OF_EACH, AND_WEIGHTS, AND_ALL, OF_ALL])
@pytest.mark.parametrize("body", [*OVER_AN_EXAMPLE, *OVER_THE_BATCH, *OVER_BOTH, *OTHERS])
def test_formulas_hold_over_an_example_and_over_the_batch(body: str, loss: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        net = nnspec.loads(
            HEAD + "\n".join(map(only_in_training, f"{body}\n{loss}".split("\n"))) + "\n}", dtype="float64", engine="reference"
        )
    assert hold(net) > 5


LONG = ("googlenet", "filters")  # hundreds of convolutions; and no loss


@pytest.mark.parametrize("name", [n for n in gallery.names() if n not in LONG])
def test_the_formulas_of_the_gallery_hold(name: str) -> None:
    assert hold(nnspec.load(name, dtype="float64", engine="reference")) >= 4


def test_what_is_read_are_the_gradients_of_torch() -> None:
    net = nnspec.loads(
        HEAD + "h = x * w -> batchnorm -> tanh\noutput r = mean(h * x)\nloss mse(r, y)\n}", dtype="float64", engine="reference"
    )
    fields = random_batch(net.inputs | net.targets, 3)
    values = values_of(net.spec)
    found = backward(values, forward(values, {**net.params, **net.states, **fields}))
    w = torch.ones(3, 4, 5, dtype=torch.float64, requires_grad=True)
    x = torch.tensor(fields["x"], dtype=torch.float64)
    h = torch.tanh(torch.nn.functional.batch_norm(x * w, None, None, training=True))
    (((h * x).mean((1, 2, 3)) - torch.tensor(fields["y"])) ** 2).sum().backward()
    assert w.grad is not None and distance(found["w"], w.grad) < 1e-9


def test_the_sum_over_the_batch_of_images_is_printed() -> None:
    printed = run("derive", "lenet", "conv.W").stdout
    assert "= -(0.5 * batch_sum(sum(∂L/∂x̂₁ * x̂₁ / sqrt(σ²₁ + 1e-5), axis = [1, 2])) / sqrt(σ²₁ + 1e-5))" in printed
    assert "+ ∂L/∂x̂₁ / sqrt(σ²₁ + 1e-5)\n" in printed  # and none at what each example has its own of
