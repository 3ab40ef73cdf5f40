"""The chain rule as formulas, held against torch, finite differences and the published worked example."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import distance, run

import nnspec
from nnspec.compile import Compilation
from nnspec.derivation.chain import Chain
from nnspec.derivation.document import latex, text
from nnspec.derivation.numbers import backward, check, forward
from nnspec.derivation.signs import Latex, Plain
from nnspec.derivation.trace import table, trace
from nnspec.derivation.values import losses_for, values_of
from nnspec.diagnostics import Source, columns
from nnspec.ops.pointwise import sigmoid
from tools.batches import random_batch

# Two ways to every weight of the first layer, a weight used twice, and two losses.
DIAMOND = """
model Diamond {
  input  x: [3]
  target y: [2]
  param  A: [3, 4] ~ normal
  param  B: [4, 2] ~ normal
  a   = tanh(x @ A + 0.5)
  b   = relu(a - 0.1) * a
  out = sigmoid(b @ B) / 2 + tanh(a @ B)
  output out
  loss   fit = sum((y - out)^2 / 3)
  loss   small = 0.1 * sum(a^2)
}
train { epochs 1  optimizer sgd(lr = 0.1) }
"""


def spec_of(text: str) -> Compilation:
    return Compilation(Source("net.nn", text), {}, "float64").checked()


def gallery(name: str, **settings: Any) -> Compilation:
    return nnspec.load(name, dtype="float64", **settings).spec


def equations(chain: Chain) -> list[str]:
    return [f"{e.left} = {e.right}" for e in (*chain.forward(), chain.rule(), *chain.backward())]


# ---- formulas


def test_mazurs_network_is_derived_as_he_does_it() -> None:
    assert equations(Chain(values_of(gallery("mazur")), "W1", Plain())) == [
        "z₁ = x @ W1 + 0.35", "h = sigmoid(z₁)", "z₂ = h @ W2 + 0.6", "out = sigmoid(z₂)", "L = sum(0.5 * (y - out)^2)",
        "∂L/∂W1 = ∂L/∂out · ∂out/∂z₂ · ∂z₂/∂h · ∂h/∂z₁ · ∂z₁/∂W1",
        "∂L/∂out = out - y", "∂L/∂z₂ = ∂L/∂out * out * (1 - out)", "∂L/∂h = ∂L/∂z₂ @ W2ᵀ", "∂L/∂z₁ = ∂L/∂h * h * (1 - h)",
        "∂L/∂W1 = xᵀ @ ∂L/∂z₁",
    ]  # fmt: skip


def test_the_error_of_a_classifier_is_softmax_minus_one_hot() -> None:
    chain = Chain(values_of(gallery("mnist_mlp")), "dense.W", Plain())
    assert "∂L/∂logits = softmax(logits) - one_hot(digit)" in equations(chain)
    assert "∂L/∂z₁ = ∂L/∂h₂ * (h₂ > 0)" in equations(chain)
    of_sequences = Chain(values_of(gallery("char_lstm")), "dense.b", Plain())
    assert "∂L/∂logits = softmax(logits) / T - one_hot(next) / T" in equations(of_sequences)


def test_every_way_is_a_term_and_every_partial_is_written_once() -> None:
    chain = Chain(values_of(gallery("siamese")), "enc.dense.W", Plain())
    assert chain.ways() == 2 and chain.rule().right.count(" + ") == 1
    lefts = [e.left for e in chain.backward()]
    assert len(set(lefts)) == len(lefts)


@pytest.mark.parametrize(("width", "written"), [(1, "[0]"), (1, "[-1]"), (3, "[0]"), (3, "[1]"), (3, "[2]"), (3, "[-1]"), (3, "[1:]")])
def test_a_place_is_the_number_that_the_spec_says(width: int, written: str) -> None:
    body = f"x -> dense({width})\n  output p = sum(a{written})\n  loss (p - 1)^2"
    spec = spec_of(f"model M {{\n  input x: [2]\n  a = {body}\n}}")
    shown = "[0]" if width == 1 else written
    assert any(f"a{shown}" in line for line in equations(Chain(values_of(spec), "dense.W", Plain())))


PAIRS = """
model Pairs {
  input a: [N, 3]
  input b: [N, 3]
  param W: [3, 3] ~ normal
  z = concat(a @ W, b @ W)
  n = z / sqrt(sum(z^2, axis = 1, keep = true))
  i = positions(z)
  M = shape(z)[0]
  partner = reshape((i + N) % M, [M, 1]) == reshape(i, [1, M])
  r = (n + normal(0, 1)) * (n + normal(0, 1))
  l = [1, 0.5, -2e9] * r - sum(partner * (n @ transpose(n)), axis = 1, keep = true)
  output l
  loss mean(l)
}
"""


def test_what_hangs_together_is_in_parentheses_and_lists_and_positions_are_what_they_are() -> None:
    found = dict(line.split(" = ", 1) for line in equations(Chain(values_of(spec_of(PAIRS)), "W", Plain())))
    assert found["∂L/∂l"] == "1 / (6 * N)" and found["n"] == "z / sqrt(sum(z^2, axis = 1, keep = true))"
    assert "[1, 0.5, -2e9]" in found["l"]
    assert "(reshape((range(0, 2 * N) + N) % (2 * N), [2 * N, 1]) == range(0, 2 * N))" in found["l"]
    assert found["r"] == "(n + ξ₁) * (n + ξ₂)"
    latex_lines = equations(Chain(values_of(spec_of(PAIRS)), "W", Latex()))
    assert any(r"\bmod \left(2 \, N\right)" in line for line in latex_lines) and not any("2*N" in line for line in latex_lines)


VAE = """
model Vae {
  input x: [8]
  h = x -> dense(6) -> tanh
  mu = h -> dense(2)
  logvar = h -> dense(2)
  z = mu + exp(logvar / 2) * normal(0, 1)
  y = z -> dropout(0.2) -> dense(8)
  output y
  loss mse(y, x * (0.5 + random(x)))
}
train { batch 2  epochs 1  optimizer sgd(lr = 0.1) }
"""


def test_what_is_drawn_at_random_has_a_letter_and_its_distribution() -> None:
    spec = spec_of(VAE)
    found = equations(Chain(values_of(spec), "dense_3.W", Plain()))
    assert {"ξ₁ = normal(0, 1)", "z = mu + exp(0.5 * logvar) * ξ₁", "m₁ = bernoulli(0.8)", "u₁ = uniform(0, 1)"} <= {*found}
    assert "∂L/∂logvar = 0.5 * ∂L/∂z * ξ₁ * exp(0.5 * logvar)" in found
    assert not any("∂ξ₁" in line or "∂m₁" in line or "random" in line for line in found)
    assert check(spec, "dense_3.W").passed


def test_a_derivative_of_zero_is_no_term() -> None:
    spec = spec_of("model P { input x: [2]  param w: [2] = 1  z = sum(w * x)  s = if z >= 0 then 1 else 0  output s  loss s * z - 1 }")
    found = equations(Chain(values_of(spec), "w", Plain()))
    assert "∂L/∂z = s" in found and "L = s * z - 1" in found


def test_a_second_name_of_what_is_given_is_none_of_its_own() -> None:
    spec = spec_of("""model M { input x: [2]  target y: [2]  param W: [2, 2] ~ normal(0, 1)
      a = x -> flatten  V = W  t = y  h = tanh(a @ V)  again = h
      output out = again + a  loss mse(out, t) }""")
    found = equations(Chain(values_of(spec), "W", Plain()))
    assert found[:4] == ["z₁ = x @ W", "h = tanh(z₁)", "out = h + x", "L = mean((out - y)^2)"]
    assert check(spec, "W").passed


def test_factors_beside_a_matrix_stand_in_parentheses_in_latex() -> None:
    """There what has no sign between it holds together more than what has one."""
    spec = spec_of("""model M { input x: [4]  target y: [4]  param W: [4, 4] ~ xavier_normal
      h = tanh(x @ W)  g = tanh(h @ W) + h  output g  loss mse(g, y) }""")
    found = "\n".join(e.right for e in Chain(values_of(spec), "W", Latex()).backward())
    assert r"\left(\frac{\partial L}{\partial g} \odot \left(1 - \operatorname{tanh}\left(h \, W\right)^{2}\right)\right) \, W^{\top}" in found


def test_a_derivative_through_loops_is_taken_apart_where_they_yield() -> None:
    spec = spec_of("""model M { input x: [2]  target y: []  param w: [] = 0.6  a = x[0]
      s = sum(scan e in x with c = w {
        ks = scan f in x with k = 0.2 { k = tanh(k * a) }
        v = w / 1.5^2 + c
        c = tanh(v + ks[0] * a)
      })
      both = stack(grad(s, a), s)  output out = 1 * both  loss mse(both, y) }""")
    assert check(spec, "w").passed


def test_a_long_derivative_in_a_formula_is_written_in_parts_with_every_partial() -> None:
    spec = spec_of("""
        model Oscillation {
          input t: []
          N = stack(t) -> dense(3) -> tanh -> dense(3) -> tanh -> dense(1) -> squeeze
          u = t + t^2 * N
          ddu = grad(grad(u, t), t)
          output u
          loss (ddu + u)^2
        }""")
    chain = Chain(values_of(spec), "dense_2.W", Plain())
    forward, backward = "\n".join(equations(chain)), [e.right for e in chain.backward()]
    assert "grad(" not in forward and "batch" not in forward and not any("·" in right for right in backward)
    assert check(spec, "dense_2.W").passed


def test_the_parts_of_a_derivative_of_a_derivative_are_those_that_are_read() -> None:
    spec = spec_of("""
        model Third {
          input x: []
          u    = stack(x, 1) -> dense(2) -> tanh -> dense(2) -> tanh -> dense(1, bias = false) -> squeeze
          u_xx = grad(grad(u, x), x)
          output u
          loss (0.1 * u_xx + grad(u_xx, x))^2
        }""")
    values = values_of(spec)
    assert {s.name for s in values.steps} - {n for s in values.steps for n in s.reads} == {"L"}
    assert len(list(Chain(values, "dense.W", Plain()).backward())) == len(values.on_the_way("dense.W"))
    assert check(spec, "dense.W").passed


def test_so_is_a_loss_too_long_for_a_line() -> None:
    chain = Chain(values_of(gallery("heat")), "net.dense.W", Plain())
    (loss,) = (e.right for e in chain.forward() if e.left == "L_equation")
    assert loss.endswith("^2") and "pow(" not in loss
    assert not any("·" in e.right for e in chain.backward())


def test_many_ways_are_counted_and_not_written_out() -> None:
    chain = Chain(values_of(gallery("googlenet")), "convolved.conv.W", Plain())
    assert chain.ways() == 4**9  # four branches in each of nine blocks
    assert chain.rule().right == "∂L/∂z₁ · ∂z₁/∂convolved.conv.W"


def test_what_a_derivative_depends_on_is_what_it_changes_with() -> None:
    spec = spec_of("""
        model Net {
          input x: [2]  target y: [2]
          param W: [2, 2] ~ normal  param V: [2, 2] ~ normal  param b: [2] ~ normal
          output h = x @ W @ V + b
          loss sum(abs(y - h))
        }""")
    assert Chain(values_of(spec), "b", Plain()).depends_on == ["W", "V", "b"]
    assert Chain(values_of(replace_loss(spec, "sum(h)")), "W", Plain()).depends_on == ["V"]
    assert Chain(values_of(replace_loss(spec, "sum(h)")), "b", Plain()).depends_on == []


def replace_loss(spec: Compilation, formula: str) -> Compilation:
    return spec_of(re.sub(r"loss .*", f"loss {formula}", spec.source.text))


DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def python(formula: str) -> str:
    """A formula in the signs of the language as Python."""
    text = re.sub(r"∂(\w+)/∂(\w+)", r"d_\1_\2", formula.translate(DIGITS))
    return re.sub(r"(\w+|\([^()]*\))ᵀ", r"\1.T", text).replace("^", "**")


@pytest.mark.parametrize("parameter", ["A", "B"])
def test_the_formulas_as_they_are_written_give_the_derivatives_of_torch(parameter: str) -> None:
    values = values_of(spec_of(DIAMOND))
    chain = Chain(values, parameter, Plain())
    torch.manual_seed(0)
    shapes = {"x": (1, 3), "y": (1, 2), "A": (3, 4), "B": (4, 2)}
    known: dict[str, Any] = {n: torch.randn(s, dtype=torch.float64, requires_grad=True) for n, s in shapes.items()}
    known |= {"sum": torch.sum, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}
    made = []
    for e in chain.forward():
        name = python(e.left)
        known[name] = eval(python(e.right), {}, known)
        known[name].retain_grad()
        made.append(name)
    known["L"].backward()
    for e in chain.backward():
        by = re.fullmatch(r"∂L/∂(\w+)", e.left.translate(DIGITS))
        assert by
        value = torch.as_tensor(eval(python(e.right), {}, known), dtype=torch.float64)
        known[python(e.left)] = value
        assert torch.allclose(value.expand_as(known[by[1]].grad), known[by[1]].grad, rtol=1e-10)
    assert len(made) == len(values.steps) == 7


# ---- numbers


@pytest.mark.parametrize(
    ("name", "parameter", "settings"),
    [
        ("mazur", "W2", {}),
        ("xor", "dense.b", {}),
        ("siamese", "enc.dense_2.W", {}),
        ("sparse_autoencoder", "patterns", {}),
        ("heat", "net.dense.W", {}),
        ("char_lstm", "lstm.R", {"units": 4}),
        ("gpt", "transformer_block.multihead_attention.key.W", {"width": 8, "depth": 1}),
    ],
)
def test_what_the_formulas_come_to_passes_the_check_by_finite_differences(name: str, parameter: str, settings: dict[str, Any]) -> None:
    assert check(nnspec.load(name, **settings).spec, parameter).passed


@pytest.mark.parametrize("name", ["xor", "siamese", "resnet", "codes_classifier"])
def test_the_derivatives_of_all_parameters_are_those_of_the_engine(name: str) -> None:
    net = nnspec.load(name, dtype="float64", engine="reference")
    batch = random_batch(net.inputs | net.targets, 3)
    values = values_of(net.spec)
    known = forward(values, {**batch, **net.params, **net.states, "seed": net.engine.seed, "step": 0})
    found = backward(values, known)
    loss, expected = net.gradients(**batch)
    assert abs(loss - known["L"].mean()) < 1e-12
    for parameter, gradient in expected.items():
        if parameter in found:
            assert distance(found[parameter] / 3, gradient) < 1e-9 or np.abs(gradient).max() < 1e-12
        else:
            assert not gradient.any()


# The numbers of M. Mazur, A Step by Step Backpropagation Example, 2015, to the digits he gives.
PUBLISHED = {
    "z₁": [0.3775, 0.3925],
    "h": [0.593269992, 0.596884378],
    "z₂": [1.105905967, 1.224921404],
    "out": [0.75136507, 0.772928465],
    "L": 0.298371109,
    "ε(out)": [0.74136507, -0.217071535],
    "ε(z₂)": [0.138498562, -0.038098236],
    "ε(h)": [0.036350306, 0.041370323],
    "∂L/∂W2": [[0.082167041, -0.02260254], [0.082667628, -0.022740242]],
    "W2": [[0.35891648, 0.511301270], [0.408666186, 0.561370121]],
    "W1": [[0.149780716, 0.24975114], [0.19956143, 0.29950229]],
}


def test_the_trace_of_mazurs_step_is_his_worked_example() -> None:
    rows = json.loads(run("trace", "mazur", "--json").stdout)
    values = {r["name"]: np.squeeze(r["value"]) for r in rows}
    assert {r["part"] for r in rows} == {"given", "forward", "errors", "derivatives", "updated"}
    for name, published in PUBLISHED.items():
        assert np.abs(values[name] - published).max() < 1.1e-9 + 5e-9 * (name == "W1")
    assert abs(values["∂L/∂W1"][0, 0] - 0.000438568) < 1e-9


def test_the_table_prints_nine_decimals_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = run("trace", "mazur").stdout.splitlines()
    assert lines[0] == "Mazur: a step on 1 example by sgd(lr = 0.5)"
    assert "  out     sigmoid(z₂)               [0.75136507, 0.772928465]" in lines
    assert "  ∂L/∂W2  hᵀ @ ε(z₂)                [[0.082167041, -0.02260254], [0.082667628, -0.022740242]]" in lines


def test_a_traced_step_of_adam_is_that_of_torch() -> None:
    spec = gallery("xor")
    x, y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 0.0])
    lines = {(r.part, r.name): r.value for r in trace(spec, {"x": x, "y": y}, 0.05)}
    w = {n: torch.tensor(lines["given", n], requires_grad=True) for n in ("dense.W", "dense.b", "dense_2.W", "dense_2.b")}
    z = torch.tanh(torch.tensor(x) @ w["dense.W"] + w["dense.b"]) @ w["dense_2.W"] + w["dense_2.b"]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], torch.tensor(y))
    optimizer = torch.optim.Adam(w.values(), lr=0.05)
    loss.backward()
    optimizer.step()
    assert abs(lines["forward", "mean L"] - loss.item()) < 1e-12
    for name, tensor in w.items():
        assert tensor.grad is not None
        assert distance(lines["derivatives", f"∂L/∂{name}"], tensor.grad) < 1e-10
        assert distance(lines["updated", name], tensor.detach()) < 1e-10


def test_a_traced_step_standardizes_by_all_of_the_training_data(tmp_path: Path) -> None:
    data = np.array([[1.0, 2, 3], [2, 3, 5], [5, 5, 9], [0, 1, 7]])
    model = "model M { input x: [3]  target y: class(2)  output z = x -> standardize -> dense(2)  loss cross_entropy(z, y) }"
    training = f"train {{ data {{ x = {data.tolist()}, y = [0, 1, 0, 1] }}  epochs 1  optimizer sgd(lr = 0.1) }}"
    (tmp_path / "m.nn").write_text(f"{model}\n{training}\n")
    rows = {row["name"]: row["value"] for row in json.loads(run("trace", "m.nn", "--json", "--examples", "2", cwd=tmp_path).stdout)}
    np.testing.assert_allclose(rows["h₁"], ((data - data.mean(0)) / data.std(0))[:2], rtol=1e-12)


def test_a_loss_of_weights_alone_is_one_number_for_all_examples(tmp_path: Path) -> None:
    model = "input x: [2]  target y: []  param w: [2] = [1, 2]  z = sum(w * x)  output z  loss (z - y)^2  loss reg = 0.1 * sum(w^2)"
    training = "train { data { x = [[1, 2], [3, 4]], y = [1, 0] }  batch 2  epochs 1  optimizer sgd(lr = 0.1) }"
    (tmp_path / "m.nn").write_text(f"model M {{ {model} }}\n{training}\n")
    done = run("trace", "m.nn", "--examples", "2", cwd=tmp_path)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["L_reg", "0.1", "*", "sum(w^2)", "0.5"] in lines and ["ε(L_reg)", "1", "1"] in lines
    w, x, y = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 2], [[1.0, 2], [3, 4]], [1.0, 0]))
    w.requires_grad_()
    (((x @ w - y) ** 2).mean() + 0.1 * (w**2).sum()).backward()
    assert w.grad is not None
    shown = next(line for line in lines if line[:1] == ["∂L/∂w"])
    assert [*shown[-2:]] == [f"[{w.grad[0]:.10g},", f"{w.grad[1]:.10g}]"]


GAME = """
model Game {
  input x: [2]
  param d: [2] = [0.5, -0.5]
  param g: [2] = [1, 2]
  fake = g + 0 * x
  output fake
  loss d_loss = softplus(-sum(d * x)) + softplus(sum(d * fake))
  loss g_loss = softplus(-sum(d * fake))
}
train {
  data { x = [[1, 1]] }  batch 1  epochs 1  optimizer adam(lr = 0.1)
  minimize d_loss  update d
  minimize g_loss  update g
}
"""


def test_a_step_in_phases_is_traced_phase_after_phase() -> None:
    net = nnspec.loads(GAME, dtype="float64")
    rows = {(r.phase, r.part, r.name): r.value for r in trace(net.spec, {"x": np.array([[1.0, 1]])}, 0.1)}
    net.fit()
    np.testing.assert_allclose(rows[1, "updated", "d"], net.params["d"], rtol=1e-12)
    np.testing.assert_allclose(rows[2, "updated", "g"], net.params["g"], rtol=1e-12)
    np.testing.assert_array_equal(rows[2, "given", "d"], rows[1, "updated", "d"])
    assert (1, "updated", "g") not in rows and (1, "derivatives", "∂L/∂g") not in rows
    d, g = (torch.tensor(v, requires_grad=True) for v in (rows[2, "given", "d"], rows[2, "given", "g"]))
    torch.nn.functional.softplus(-(d * g).sum()).backward()
    assert g.grad is not None and distance(rows[2, "derivatives", "∂L/∂g"], g.grad) < 1e-12


def test_a_derivation_is_of_the_losses_by_which_its_parameter_is_trained() -> None:
    spec = spec_of(GAME)
    assert {name: losses_for(spec, name) for name in "dg"} == {"d": ("d_loss",), "g": ("g_loss",)}
    chain = Chain(values_of(spec, ["g_loss"]), "g", Plain())
    assert "∂L/∂fake = -(sigmoid(-sum(d * fake)) * d)" in equations(chain)
    checked = check(spec, "g", ["g_loss"])
    assert checked.passed and "by g, [2]; L is g_loss, by which it is trained" in text(chain, checked).splitlines()[0]
    assert losses_for(spec_of(DIAMOND), "A") == ("fit", "small")
    assert losses_for(spec_of(GAME.partition("train")[0]), "g") == ("d_loss", "g_loss")


def test_the_rate_of_a_traced_step_is_that_of_the_first_step_and_what_else_acts_is_named(tmp_path: Path) -> None:
    settings = "batch 2  epochs 4  optimizer sgd(lr = 0.1)  schedule warmup(4)  penalty l2(0.5)  clip norm(1)  freeze v"
    model = "input x: [2]  target y: []  param W: [2, 1] = 1  param v: [] = 2  output z = v * sum(x @ W)  loss (z - y)^2"
    (tmp_path / "m.nn").write_text(f"model M {{ {model} }}\ntrain {{ data {{ x = [[1, 2], [3, 4]], y = [1, 0] }}  {settings} }}\n")
    rows = {row["name"]: row for row in json.loads(run("trace", "m.nn", "--json", "--examples", "2", cwd=tmp_path).stdout)}
    net = nnspec.load(str(tmp_path / "m.nn"), dtype="float64")
    net.fit(epochs=1)
    np.testing.assert_allclose(rows["W"]["value"], net.params["W"], rtol=1e-9)
    head = run("trace", "m.nn", cwd=tmp_path).stdout.partition("\n\n")[0].splitlines()
    assert head[1:] == ["schedule warmup(n = 4), at first a rate of 0.025", "penalty l2(0.5)", "clip norm(1)", "freeze v"]


def test_large_values_are_described() -> None:
    shown = run("trace", "digits").stdout
    assert "[64, 64] from -" in shown and all(columns(line) <= 120 for line in shown.splitlines())


@pytest.mark.parametrize("width", [60, 80, 100])
def test_lines_are_no_longer_than_the_terminal_is_wide(width: int) -> None:
    lines = trace(gallery("xor"), {"x": np.array([[0.0, 1.0], [1.0, 1.0]]), "y": np.array([1.0, 0.0])}, 0.05)
    text = table("a", lines, width)
    assert max(map(columns, text.splitlines())) <= width
    assert re.sub(r"\s+", "", text) == re.sub(r"\s+", "", table("a", lines, 1000))


# ---- LaTeX

DOCUMENTS = [("mazur", "W1"), ("siamese", "enc.dense.W"), ("lenet", "conv.W"), ("gpt", "embedding.W"), ("sparse_autoencoder", "patterns")]
DOCUMENTS += [("char_lstm", "lstm.R"), ("rnn_series", "rnn.W"), ("heat", "net.dense.W"), ("gan", "maker.Generator.dense.W")]


def document(name: str, parameter: str) -> str:
    spec = nnspec.load(name).spec
    return latex(Chain(values_of(spec), parameter, Latex()), check(gallery("mazur"), "W1"))


def braces(text: str) -> Iterator[int]:
    depth = 0
    for char in re.sub(r"\\[{}]", "", text):
        depth += (char == "{") - (char == "}")
        yield depth


@pytest.mark.parametrize(("name", "parameter"), DOCUMENTS)
def test_a_document_is_balanced(name: str, parameter: str) -> None:
    text = document(name, parameter)
    depths = list(braces(text))
    assert min(depths) == 0 and depths[-1] == 0
    assert text.count(r"\left(") == text.count(r"\right)") and text.count(r"\begin{") == text.count(r"\end{")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
@pytest.mark.parametrize(("name", "parameter"), DOCUMENTS)
def test_a_document_compiles(name: str, parameter: str, tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_text(document(name, parameter), "utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    said = done.stdout.decode("latin-1")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said


def test_a_wide_formula_goes_on_in_the_next_line_between_its_terms() -> None:
    """And says the same; what cannot be broken has a page that is as wide."""
    chain = Chain(values_of(nnspec.load("heat").spec), "net.dense.W", Latex())
    text = latex(chain, check(gallery("mazur"), "W1"))
    on = " \\\\\n  &\\quad {}"
    assert text.count(on + " + ") >= 3 and "paperwidth" in document("gpt", "embedding.W")
    for e in (*chain.forward(), chain.rule(), *chain.backward()):
        assert f"  {e.left} &= {e.right}" in text.replace(on, "")
    assert "landscape" in document("mazur", "W1")


def test_letters_of_the_literature_are_letters_of_latex() -> None:
    names = {"W1": "W_{1}", "z₁₂": "z_{12}", "η": r"\eta", "Δ": r"\Delta", "dense_2.W": r"W_{\mathrm{dense\_2}}", "out": r"\mathrm{out}"}
    assert {n: Latex().name(n).text for n in names} == names


# ---- the command


def test_the_command_prints_the_derivation_and_its_check() -> None:
    done = run("derive", "mazur", "W2")
    assert done.returncode == 0 and "∂L/∂W2 = ∂L/∂out · ∂out/∂z₂ · ∂z₂/∂W2" in done.stdout
    assert re.search(r"check: 4 directions against finite differences in float64, error \d\.\de-\d+: ok\n$", done.stdout)
    found = json.loads(run("derive", "mazur", "W2", "--json").stdout)
    assert found["depends_on"] == ["W1", "W2"] and found["check"]["passed"] and found["ways"] == 1
    assert run("derive", "mazur", "W2", "--latex").stdout.startswith(r"\documentclass")


def test_a_wrong_name_gets_a_suggestion() -> None:
    done = run("derive", "xor", "dense.w")
    assert done.returncode == 1 and "E101" in done.stderr and "did you mean `dense.W`?" in done.stderr


def test_a_wrong_derivative_is_not_said_to_be_right() -> None:
    right = sigmoid.grad
    object.__setattr__(sigmoid, "grad", lambda g, y, x: (g * y,))
    try:
        assert not check(gallery("mazur"), "W1").passed
    finally:
        object.__setattr__(sigmoid, "grad", right)
