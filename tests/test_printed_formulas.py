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
from nnspec.derivation.chain import Chain
from nnspec.derivation.numbers import backward, forward
from nnspec.derivation.signs import Plain
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
    "z = v[0:1] @ M[0:1]\noutput r = sum(z * M[0])",
    "z = reshape(x, [60])[0:6] @ M\noutput r = sum(z)",
    "z = reshape(w[0], [20]) * reshape(x[1] * q, [20])\noutput r = sum(z) + sum(x[:, 0:1, 2] * w[:, 0:1, 2])",
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
    root = "sqrt(reshape(σ²₁, [16, 1, 1]) + 1e-5)"
    assert f"(0.5 * batch_sum(sum(∂L/∂x̂₁ * x̂₁ / {root}, axis = [1, 2], keep = true)) / {root})" in printed
    assert f"+ ∂L/∂x̂₁ / {root}\n" in printed  # and none at what each example has its own of


OVER_IMAGES = {
    "conv(4, 3, pad = 1, stride = 2) -> maxpool(3, stride = 2, pad = 1)": "pool_max(z₁, kernel = 3, stride = 2, pad = 1)",
    "conv(4, 3, pad = 2, dilation = 3) -> avgpool(4)": "convolve(x, conv.W, pad = 2, dilation = 3)",
    "conv(4, 3, stride = 3, pad = same) -> tanh": "convolve(x, conv.W, stride = 3, pad = same)",
    "conv(4, [3, 1], stride = [2, 1], groups = 2) -> maxpool(2)": "convolve(x, conv.W, stride = [2, 1], groups = 2)",
    "conv(4, 3) -> avgpool([3, 2], stride = [1, 2], pad = same)": "pool_mean(z₁, kernel = [3, 2], stride = [1, 2], pad = [1, 0])",
    "conv(4, 3) -> maxpool(3, pad = 1, ceil_mode = true)": "pool_max(z₁, kernel = 3, pad = 1, ceil_mode = true)",
    "conv(4, 2, stride = 2) -> conv(3, 2, stride = 2, pad = same)": "convolve_transpose(∂L/∂z₂, conv_2.W, stride = 2)",
    "conv(4, 3) -> conv(3, 3, stride = 2, pad = same)": "convolve_transpose(∂L/∂z₂, conv_2.W, stride = 2, pad = same)",
    "conv(4, 2) -> conv(3, 2, stride = 2, pad = same)": "conv_input_grad(∂L/∂z₂, conv_2.W, size = [7, 7], stride = 2, pad = same)",
    "conv(4, 3) -> conv(3, 3, stride = 2)": "convolve_transpose(∂L/∂z₂, conv_2.W, stride = 2, output_pad = 1)",
    "conv_transpose(4, 3, stride = 2, output_pad = 1) -> tanh": "convolve_transpose(x, conv_transpose.W, stride = 2, output_pad = 1)",
}


@pytest.mark.parametrize("layers", OVER_IMAGES)
def test_windows_over_images_are_printed_with_all_that_they_are_given(layers: str) -> None:
    text = f"model M {{ input x: [2, 8, 8]  target y: []  z = sum(x -> {layers})  output z  loss (z - y)^2 }}"
    with warnings.catch_warnings(action="ignore"):
        net = nnspec.loads(text, dtype="float64", engine="reference")
    chain = Chain(values_of(net.spec), "", Plain())
    printed = [*(e.right for e in chain.forward()), *(formula for _, formula in chain.derivatives())]
    printed += [chain.derivative(name) for name in net.params]
    assert any(OVER_IMAGES[layers] in formula for formula in printed), printed
    read, left_out = read_all(net.spec, random_batch(net.inputs | net.targets, 3), dict(net.params))
    assert read > 5 and not left_out


def test_an_image_that_all_examples_have_in_common_is_printed_without_a_batch() -> None:
    net = nnspec.loads(
        "model M { param img: [2, 6, 6] ~ normal(0, 1)  input a: []  target y: []  share net = conv(3, 3, pad = 1, stride = 2) -> tanh\n"
        "h = img -> net -> maxpool(2, stride = 1)\nz = a * sum(h)  output z  loss (z - y)^2 }",
        dtype="float64", engine="reference",
    )  # fmt: skip
    formulas = dict(Chain(values_of(net.spec), "", Plain()).formulas())
    assert formulas["z₁"].right == "tanh(convolve(img, net.conv.W, stride = 2, pad = 1) + reshape(net.conv.b, [3, 1, 1]))"
    assert not read_all(net.spec, random_batch(net.inputs | net.targets, 3), dict(net.params))[1]


# What a formula means hangs on where an axis of length 1 stands, all the more where the sizes are the same.
ROWS = """model M {
  input x: [3, 3]
  input v: [3]
  input k: class(3)[3]
  target y: [3, 3]
  param W: [3, 3] = [[0.5, 0.1, 0.2], [0.3, 0.9, 0.4], [0.2, 0.6, 0.7]]
  param b: [3] = [0.3, 0.7, 0.1]
  h = x @ W
  %s
  output z
  loss sum((z - y)^2)
}"""
TYPED_IN = [
    "s = sum(h, axis = 1)\nz = h / reshape(s, [3, 1])",
    "s = sum(h, axis = 0)\nz = h / s",
    "z = one_hot(k) * reshape(v, [3, 1]) * h",
    "z = reshape(h[0], [3, 1]) * reshape(v, [1, 3]) * h",
    "m = max(h, axis = 1)\np = exp(h - reshape(m, [3, 1]))\nz = p / reshape(sum(p, axis = 1), [3, 1])",
    "s = sum(h * v, axis = 1)\nz = reshape(s, [3, 1]) * v",
    "z = x[0:1] * h[:, 0:1]",
    "z = h * x[0, 1] + h[1] + reshape(h[:, 2], [3, 1])",
    "s = expand(sum(h, axis = 1), [3, 3])\nz = s * sum(s)",
    "s = sum(h, axis = 0, keep = true)\nq = sum(h, keep = true)\nz = s * h + sum(s * h, axis = 1, keep = true) + q",
    "z = stack(h[0], h[1], v, axis = 1) * h + reshape(concat(h[0], h[1:] -> flatten), [3, 3])",
    "z = h + reshape(v, [3, 1]) * b + reshape(b, [3, 1])",
    "s = mean(h, axis = 1, keep = true)\nz = squeeze(s) * h + transpose(h * s)",
    "z = if h > reshape(v, [3, 1]) then h else reshape(b, [3, 1])",
]


def typed_in(formula: str, of_each: dict[str, np.ndarray]) -> np.ndarray:
    """What the language makes of a formula, the values of others given."""
    read = [n for n in of_each if re.search(WHOLE % re.escape(n), formula)]
    for number, name in enumerate(sorted(read, key=len, reverse=True)):
        formula = re.sub(WHOLE % re.escape(name), f"given{number}_", formula)
    formula = re.sub(r"((?:(?!ᵀ)\w)+|\([^()]*\))ᵀ", r"transpose(\1)", formula)
    fields = {f"given{number}_": of_each[name] for number, name in enumerate(sorted(read, key=len, reverse=True))}
    inputs = [f"input {n}: {'class(3)' * (v.dtype == np.int64)}{list(v.shape[1:])}" for n, v in fields.items()]
    spec = "\n".join(["model M {", "input any: []", *inputs, f"output result = {formula} + 0 * any", "}"])
    net = nnspec.loads(spec, dtype="float64", engine="reference")
    return np.asarray(net(**fields, any=np.zeros(EXAMPLES))["result"])


WHOLE, EXAMPLES = r"(?<![\w∂/])%s(?!(?!ᵀ)[\w/])", 2


@pytest.mark.parametrize("body", TYPED_IN)
def test_what_is_printed_typed_in_again_gives_the_value(body: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        net = nnspec.loads(ROWS % body, dtype="float64", engine="reference")
    fields = random_batch(net.inputs | net.targets, EXAMPLES)
    values = values_of(net.spec)
    known = forward(values, {**net.params, **fields})
    found = backward(values, known)
    shared = {n: np.broadcast_to(w, (EXAMPLES, *w.shape)) for n, w in net.params.items()}
    of_each = known | shared | {f"∂L/∂{n}": g for n, g in found.items()}
    chain = Chain(values, "", Plain())
    for name, equation in chain.formulas():
        assert typed_in(equation.right, of_each).shape == known[name].shape, equation
        assert distance(typed_in(equation.right, of_each), known[name]) < 1e-9, equation
    for name, formula in chain.derivatives():
        shape, read = found[name].shape, typed_in(formula, of_each)
        spread = read.reshape(EXAMPLES, *(1,) * (len(shape) - read.ndim), *read.shape[1:])  # a number is for all elements
        assert distance(np.broadcast_to(spread, shape), found[name]) < 1e-9, formula
    assert distance(typed_in(chain.derivative("W"), of_each).sum(axis=0), found["W"]) < 1e-9
