"""Loops and normalisations derived as a lecture does it: the formulas as they are written, computed, are the gradients of torch."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from helpers import distance, run
from test_derivation import equations, python, spec_of

import nnspec
from nnspec.derivation.chain import Chain
from nnspec.derivation.document import latex
from nnspec.derivation.numbers import backward, check, forward
from nnspec.derivation.signs import Latex, Plain
from nnspec.derivation.trace import trace
from nnspec.derivation.values import values_of

READER = """
model Reader {{
  input  x: [T, 2]
  target y: [1]
  output out = (x -> {cell}(3))[-1] -> dense(1)
  loss   mse(out, y)
}}
train {{ epochs 1  optimizer sgd(lr = 0.1) }}
"""
NORMALISED = """
model Net {
  input  x: [3]
  target y: [2]
  h = x -> dense(4) -> batchnorm -> tanh
  output out = h -> dense(2)
  loss   mse(out, y)
}
train { batch 8  epochs 1  optimizer sgd(lr = 0.1) }
"""
# Two values carried and read, a start that is learnt from, what every step is given, both directions, and a layer twice.
WOVEN = """
model Woven {
  input  x: [T, 2]
  input  c: [3]
  target y: [1]
  e = x -> dense(3)
  s = c -> dense(3)
  hs, ks = scan x_t in e with h = s, k = zeros(3) {
    k = k + h
    h = tanh(x_t + 0.1 * k * s)
  }
  all = hs + ks -> bidirectional(lstm, 2) -> gru(2) -> gru(3, reverse = true)
  output out = all[0] -> dense(1)
  loss   mse(out, y)
}
"""
STEPS, BATCH, RNN = 4, 5, READER.format(cell="rnn")


def test_a_loop_is_backpropagation_through_time() -> None:
    found = equations(derived(RNN, "rnn.R"))
    assert found[:4] == ["xₜ = x[t]", "h₀ = 0", "hₜ = tanh(xₜ @ rnn.W + rnn.b + hₜ₋₁ @ rnn.R)", "z₁ = (hₜ for t = 1 … T)"]
    assert found[7:] == [
        "∂L/∂rnn.R = Σₜ ∂L/∂hₜ · ∂hₜ/∂rnn.R",
        "∂L/∂out = 2 * (out - y)",
        "∂L/∂a₁ = ∂L/∂out @ dense.Wᵀ",
        "∂L/∂z₁ = pad_axis(reshape(∂L/∂a₁, [1, 3]), 0, T - 1, 0)",
        "∂L/∂hₜ = ∂L/∂z₁[t] + ∂L/∂hₜ₊₁ * (1 - hₜ₊₁^2) @ rnn.Rᵀ",
        "∂L/∂rnn.R = Σₜ hₜ₋₁ᵀ @ (∂L/∂hₜ * (1 - hₜ^2))",
    ]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_what_a_loop_carries_shares_its_letter_with_no_value_outside(cell: str) -> None:
    found = equations(derived(READER.format(cell=cell), f"{cell}.R"))
    assert not any(line.startswith("h₁ ") for line in found) and ("a₁ = s₁[-1]" if cell == "gru" else "a₁ = z₁[-1]") in found


def test_the_gates_of_an_lstm_get_their_gradients_side_by_side() -> None:
    found = equations(derived(READER.format(cell="lstm"), "lstm.R"))
    assert "∂L/∂cₜ = ∂L/∂hₜ * oₜ * (1 - tanh(cₜ)^2) + ∂L/∂cₜ₊₁ * fₜ₊₁" in found
    assert (
        "∂L/∂gatesₜ = concat(∂L/∂iₜ * iₜ * (1 - iₜ), ∂L/∂oₜ * oₜ * (1 - oₜ), ∂L/∂fₜ * fₜ * (1 - fₜ), "
        "∂L/∂cₜ * iₜ * (1 - tanh(gatesₜ[9:])^2))"
    ) in found


def test_batchnorm_is_derived_by_way_of_mean_and_variance() -> None:
    found = equations(derived(NORMALISED, "dense.W"))
    assert found[1:4] == ["μ₁ = batch_mean(z₁)", "σ²₁ = batch_mean((z₁ - μ₁)^2)", "x̂₁ = (z₁ - μ₁) / sqrt(σ²₁ + 1e-5)"]
    assert found[-4:-1] == [
        "∂L/∂σ²₁ = -(0.5 * batch_sum(∂L/∂x̂₁ * x̂₁ / sqrt(σ²₁ + 1e-5)) / sqrt(σ²₁ + 1e-5))",
        "∂L/∂μ₁ = -batch_sum(2 * ∂L/∂σ²₁ * (z₁ - μ₁) / batch) - batch_sum(∂L/∂x̂₁ / sqrt(σ²₁ + 1e-5))",
        "∂L/∂z₁ = ∂L/∂μ₁ / batch + 2 * ∂L/∂σ²₁ * (z₁ - μ₁) / batch + ∂L/∂x̂₁ / sqrt(σ²₁ + 1e-5)",
    ]


# ---- against torch


def timed(text: str) -> str:
    """A formula as Python, in which what is of a step is looked up there: hₜ₋₁ is `h[t - 1]`."""
    text = re.sub(r"^Σₜ (.*)$", r"total(lambda t: \1)", re.sub(r"(?<=\w)\.(?=[A-Za-z])", "_", text))
    for sign, place in (("ₜ₋₁", "[t - 1]"), ("ₜ₊₁", "[t + 1]"), ("ₜ", "[t]"), ("²", "2"), ("\u0302", "")):
        text = text.replace(sign, place)
    return python(re.sub(r"(\w+\[[^]]*\])ᵀ", r"\1.mT", text))


def derived(text: str, parameter: str) -> Chain:
    return Chain(values_of(spec_of(text)), parameter, Plain())


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Random numbers, and the functions that formulas call."""
    torch.manual_seed(0)
    values = {n: torch.randn(s, dtype=torch.float64, requires_grad=True) for n, s in shapes.items()}
    return {**values, "tanh": torch.tanh, "sqrt": torch.sqrt, "mean": lambda v: v.mean(1)}


def by_step(sequence: torch.Tensor) -> dict[int, torch.Tensor]:
    """Its elements by their number from 1, and the last as -1."""
    return {t or -1: sequence[:, t - 1] for t in range(sequence.shape[1] + 1)}


@pytest.mark.parametrize(("cell", "torchs"), [("rnn", torch.nn.RNN), ("lstm", torch.nn.LSTM)])
def test_the_numbers_of_a_loop_are_those_of_torchs_layer(cell: str, torchs: type[torch.nn.RNNBase]) -> None:
    spec = spec_of(READER.format(cell=cell))
    rng = np.random.default_rng(0)
    known = {
        n: rng.standard_normal([{"T": STEPS, "batch": BATCH}.get(str(d), d) for d in t.shape]) for n, t in values_of(spec).sources.items()
    }
    found = backward(values_of(spec), forward(values_of(spec), known))
    layer, out = torchs(2, 3, batch_first=True, dtype=torch.float64), torch.nn.Linear(3, 1, dtype=torch.float64)
    order = [0] if cell == "rnn" else [0, 2, 3, 1]  # torch has the gates as input, forget, cell, output
    blocks = {k: np.split(known[f"{cell}.{k}"], len(order), axis=-1) for k in "WRb"}
    w, r, b = (torch.tensor(np.concatenate([blocks[k][i] for i in order], axis=-1)) for k in "WRb")
    with torch.no_grad():
        for parameter, value in (
            (layer.weight_ih_l0, w.T),
            (layer.weight_hh_l0, r.T),
            (layer.bias_ih_l0, b),
            (out.weight, known["dense.W"].T),
        ):
            parameter.copy_(torch.as_tensor(value))
        layer.bias_hh_l0.zero_()
        out.bias.copy_(torch.tensor(known["dense.b"]))
    hs, _ = layer(torch.tensor(known["x"]))
    ((out(hs[:, -1]) - torch.tensor(known["y"])) ** 2).mean(1).sum().backward()
    for name, parameter in (("W", layer.weight_ih_l0), ("R", layer.weight_hh_l0), ("b", layer.bias_ih_l0)):
        ours = np.concatenate([np.split(found[f"{cell}.{name}"], len(order), axis=-1)[i] for i in order], axis=-1)
        assert parameter.grad is not None and distance(ours.T, parameter.grad) < 1e-10


def test_the_formulas_of_a_loop_as_they_are_written_give_the_derivatives_of_torch() -> None:
    formulas = {timed(left): timed(right) for left, _, right in (e.partition(" = ") for e in equations(derived(RNN, "rnn.R")))}
    weights = {"rnn_W": (2, 3), "rnn_R": (3, 3), "rnn_b": (3,), "dense_W": (3, 1), "dense_b": (1,)}
    known = drawn({"y": (BATCH, 1), **weights})
    nothing = torch.zeros(BATCH, 3, dtype=torch.float64)
    known |= {"x": by_step(torch.randn(BATCH, STEPS, 2, dtype=torch.float64)), "h": {0: nothing, STEPS + 1: nothing}, "T": STEPS}
    known |= {"d_L_h": {STEPS + 1: nothing}, "total": lambda f: sum(map(f, range(1, STEPS + 1)))}
    known["pad_axis"] = lambda v, _, before, after: torch.nn.functional.pad(v, (0, 0, before, after))
    known["reshape"] = lambda v, shape: v.reshape(BATCH, *shape)
    for t in range(1, STEPS + 1):
        known["h"][t] = eval(formulas["h[t]"].replace("x[t]", formulas["x[t]"]), known | {"t": t})
    known["z1"] = by_step(torch.stack([known["h"][t] for t in range(1, STEPS + 1)], dim=1))
    for name in ("a1", "out", "L"):
        known[name] = eval(formulas[name], known)
    (expected,) = torch.autograd.grad(known["L"].sum(), known["rnn_R"])
    for name in ("d_L_out", "d_L_a1", "d_L_z1"):
        known[name] = eval(formulas[name], known)
    known["d_L_z1"] = by_step(known["d_L_z1"])
    for t in range(STEPS, 0, -1):
        known["d_L_h"][t] = eval(formulas["d_L_h[t]"], known | {"t": t})
    assert distance(eval(formulas["d_L_rnn_R"], known).detach(), expected) < 1e-10


def test_the_formulas_of_batchnorm_as_they_are_written_give_the_derivatives_of_torch() -> None:
    chain = derived(NORMALISED, "dense.W")
    weights = {"dense_W": (3, 4), "dense_b": (4,), "batchnorm_gamma": (4,), "batchnorm_beta": (4,), "dense_2_W": (4, 2), "dense_2_b": (2,)}
    known = drawn({"x": (BATCH, 3), "y": (BATCH, 2), **weights})
    known |= {"batch_mean": lambda v: v.mean(0), "batch_sum": lambda v: v.sum(0), "batch": BATCH}
    for e in chain.forward():
        known[timed(e.left)] = value = eval(timed(e.right), known)
        value.retain_grad()
    known["L"].sum().backward()
    for e in chain.backward():
        known[timed(e.left)] = value = eval(timed(e.right), known)
        assert distance(value.detach(), known[timed(e.left).removeprefix("d_L_")].grad) < 1e-10, e.left


# ---- finite differences


@pytest.mark.parametrize("parameter", ["dense.W", "dense_2.b", "bidirectional.forward.R", "bidirectional.backward.W", "gru.b_R", "gru_2.R"])
def test_loops_that_are_woven_into_one_another_pass_the_check(parameter: str) -> None:
    assert check(spec_of(WOVEN), parameter).passed


@pytest.mark.parametrize("norm", ["batchnorm", "layernorm", "instancenorm", "groupnorm(2)", "rmsnorm"])
def test_every_normalisation_passes_the_check_and_shows_its_statistics(norm: str) -> None:
    spec = spec_of(f"""model Net {{
      input x: [2, 3, 3]  target y: []
      output z = x -> conv(4, 2) -> {norm} -> tanh -> flatten -> dense(1) -> squeeze
      loss mse(z, y)
    }}""")
    values = values_of(spec)
    assert {s.name for s in values.steps} >= ({"μ₁"} if norm == "rmsnorm" else {"μ₁", "σ²₁", "x̂₁"})
    assert check(spec, "conv.W").passed and check(spec, f"{norm.partition('(')[0]}.gamma").passed


IN_THE_MODEL = "e = x -> dense(3)\n  hs = scan x_t in e with h = zeros(3) { h = tanh((x_t + h) -> dropout(0.5)) }"


@pytest.mark.parametrize(("where", "parameter"), [("hs = x -> noisy(3)", "noisy.W"), (IN_THE_MODEL, "dense.W")])
def test_a_loop_that_draws_at_every_step_is_one_value(where: str, parameter: str) -> None:
    layer = """layer noisy(x: [T, n], units) -> [T, units] {
      param W: [n, units] ~ normal
      hs, ms = scan x_t in x with h = zeros(units), m = zeros(units) {
        m = 0.9 * m + x_t @ W
        h = tanh(m + h) -> dropout(0.5)
      }
      return hs + ms
    }"""
    spec = spec_of(layer + RNN.replace("output out = (x -> rnn(3))[-1]", f"{where}\n  output out = hs[-1]"))
    assert not Chain(values_of(spec), parameter, Plain()).loops and check(spec, parameter).passed


def test_loops_that_read_the_same_sequence_pass_the_check() -> None:
    spec = spec_of(RNN.replace("x -> rnn(3)", "x -> dense(2) -> [rnn(3), gru(3), rnn(3)] -> concat(axis = -1)"))
    assert all(check(spec, parameter).passed for parameter in ("dense.W", "rnn.W", "gru.R", "rnn_2.b"))
    assert len(equations(Chain(values_of(spec), "dense.W", Plain()))) > 30


# ---- how it is shown


def test_values_of_two_loops_are_told_apart() -> None:
    lefts = [e.left for e in derived(WOVEN, "dense.W").forward()]
    assert len(set(lefts)) == len(lefts) and {"hₜ", "loop₂.hₜ", "bidirectional.forward.hₜ", "gru.hₜ", "gru_2.hₜ"} <= set(lefts)


def test_what_is_carried_into_the_first_step_has_its_derivative_from_there() -> None:
    found = equations(derived(WOVEN, "dense_2.b"))
    assert "h₀ = s" in found and "∂L/∂h₀ = ∂L/∂kₜ₌₁" in found


def test_the_trace_of_a_loop_has_every_step() -> None:
    x, y = np.ones((2, STEPS, 2)), np.zeros((2, 1))
    rows = {(r.part, r.name): r.value for r in trace(spec_of(RNN), {"x": x, "y": y}, 0.1)}
    assert rows["forward", "hₜ"].shape == rows["errors", "ε(hₜ)"].shape == (2, STEPS, 3)
    assert np.array_equal(rows["forward", "z₁"], rows["forward", "hₜ"]) and not rows["forward", "h₀"].any()


def test_letters_with_signs_and_steps_are_those_of_a_paper() -> None:
    names = {
        "hₜ₋₁": "h_{t-1}",
        "lstm.cₜ": r"c_{t,\mathrm{lstm}}",
        "σ²₁": r"\sigma^2_{1}",
        "x̂₂": r"\hat{x}_{2}",
        "ŷ": r"\hat{y}",
        "h₀": "h_{0}",
    }
    assert {n: Latex().name(n).text for n in names} == names


def test_a_loop_in_latex_is_a_sum_over_time() -> None:
    spec = nnspec.loads(RNN).spec
    text = latex(Chain(values_of(spec), "rnn.R", Latex()), check(spec, "rnn.R"))
    assert r"\sum_{t=1}^{T}" in text and r"\left(h_{t}\right)_{t=1}^{T}" in text and text.isascii()


def test_the_command_says_what_comes_after_the_last_step() -> None:
    found = json.loads(run("derive", "rnn_series", "rnn.R", "--json").stdout)
    assert found["check"]["passed"] and {"left": "h₀", "right": "0"} in found["forward"]
    assert "After the last step there is none" in run("derive", "rnn_series", "rnn.R").stdout
