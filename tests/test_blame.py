"""A loss or gradient that is no number any more: the first operation that made it, its line, its step and its numbers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import run

import nnspec
from nnspec.diagnostics import Diagnostic, SpecError

SPEC = """model M {{
  input  x: [2]
  target y: []
  z = x -> dense(3, bias = false) -> dense(1) -> squeeze # nnspec: allow W101
{0}
}}
train {{
  data      {{ x = [[0.5, 1], [0, 0], [1, -1], [2, 3]], y = [1, 0, 0, 1] }}
  batch     {2}
  epochs    300
  optimizer {1}
}}"""
ENGINES = ("numpy", "ort", "reference")


def blamed(lines: str, optimizer: str = "sgd(lr = 0.1)", batch: int = 4, engine: str = "numpy") -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        nnspec.loads(SPEC.format(lines, optimizer, batch), engine=engine).fit()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


FORMULAS = {
    "a logarithm of 0": ("  p = relu(-z^2)\n  output p\n  loss y - log(p)", "E411", "log(p)", "for 4 of 4 examples"),
    "a division of 1 by 0": ("  p = z + 1 / x[1]\n  output p\n  loss mse(p, y)", "E411", "1 / x[1]", "for 1 of 4 examples"),
    "a square root of -": ("  p = sqrt(-z^2 - 1)\n  output p\n  loss mse(p, y)", "E411", "sqrt(-z^2 - 1)", "for 4 of 4 examples"),
    "e to the power of 900": ("  p = exp(900 + 0 * z)\n  output p\n  loss mse(p, y)", "E411", "exp(900 + 0 * z)", "for 4 of 4 examples"),
    "to the power of 0.5": ("  p = (-1 - z^2)^0.5\n  output p\n  loss mse(p, y)", "E411", "(-1 - z^2)^0.5", "for 4 of 4 examples"),
    "a division of 0 by 0": (
        "  h = x -> dense(2, bias = false)\n  output p = sqrt(sum(h^2))\n  loss mse(p, y)",
        "E412",
        "sqrt(sum(h^2))",
        "for 1 of 4 examples",
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reason", FORMULAS)
def test_the_operation_that_made_it_is_named_with_its_place_and_numbers(reason: str, engine: str) -> None:
    lines, code, place, share = FORMULAS[reason]
    said = blamed(lines, engine=engine)
    assert (said.code, said.span.text if said.span else "", said.label) == (code, place, share)
    assert reason in said.message


CHOSEN = "  p = if z > 1e6 then sum({0} + 0 * x) + z else z\n  output p\n  loss mse(p, y)"
NOT_CHOSEN = {
    "sqrt(-1 - z^2)": ("there is a square root of -", "sqrt(max(-1 - z^2, 1e-12))"),
    "sqrt(max(-1 - z^2, 0))": ("the derivative of this has a division of 0 by 0", "sqrt(max(-1 - z^2, 1e-12))"),
    "log(max(-z^2, 0))": ("the derivative of this has a division of 0 by 0", "log(max(-z^2, 1e-7))"),
    "1 / (0 * z)": ("there is a division of 1 by 0", "1 / (0 * z + 1e-8)"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("side", NOT_CHOSEN)
def test_what_a_choice_does_not_choose_spoils_the_gradient_and_what_is_advised_does_not(side: str, engine: str) -> None:
    reason, advised = NOT_CHOSEN[side]
    said = blamed(CHOSEN.format(side), engine=engine)
    assert (said.code, said.span.text if said.span else "") == ("E412", side) and reason in said.message
    assert said.message.startswith("the gradient is no number any more in epoch 1, step 1: ")
    form = advised.replace("-1 - z^2", "x").replace("-z^2", "p").replace("0 * z", "y")
    assert form.replace("1 / (y", "x / (y") in (said.help or "")
    nnspec.loads(SPEC.format(CHOSEN.format(advised), "sgd(lr = 0.1)", 4), engine=engine).fit(epochs=2)


@pytest.mark.parametrize("command", [("gradcheck", "M.nn"), ("derive", "M.nn", "dense.W")])
def test_checks_of_a_gradient_say_why_it_is_no_number(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "M.nn").write_text(SPEC.format(CHOSEN.format("sqrt(-1 - z^2)"), "sgd(lr = 0.1)", 4), "utf-8")
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 1 and "nan" in done.stdout
    assert "error[E412]: the gradient is no number: there is a square root of -" in done.stderr


def test_a_gradient_that_spoils_the_weights_is_blamed_at_its_own_step_and_not_at_the_next() -> None:
    assert "epoch 1, step 1:" in blamed(FORMULAS["a division of 0 by 0"][0]).message


def test_a_last_step_that_spoils_the_weights_is_an_error_and_no_trained_network() -> None:
    with pytest.raises(SpecError, match="E412"):
        nnspec.loads(SPEC.format(FORMULAS["a division of 0 by 0"][0], "sgd(lr = 0.1)", 4)).fit(epochs=1)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_learning_rate_that_is_too_large_shows_the_losses_it_made_and_the_largest_weight(engine: str) -> None:
    said = blamed("  output z\n  loss mse(z, y)", "sgd(lr = 10)", 2, engine)
    assert said.code == "E401" and said.span and said.span.text == "sgd(lr = 10)"
    assert "the last losses" in said.label and "the largest weight" in said.message
    assert [(place.text, text) for place, text in said.notes] == [("mse(z, y)", "the first that is no number: `square` gives inf here")]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_step_of_a_loop_in_which_numbers_grow_beyond_what_floats_hold_is_named(engine: str) -> None:
    said = blamed(
        "  param a: [] = 0\n  h = scan e in x with h = z { h = h^2 * (1 + a) + 1e20 + 0 * e }\n  output h\n  loss mse(h[-1], y)",
        engine=engine,
    )
    notes = [(place.text, text) for place, text in said.notes]
    assert said.code == "E401"
    assert notes == [("h^2", "the first that is no number: `square` gives inf here, in step 2 of the scan")]


def test_the_step_that_goes_wrong_is_the_one_torch_goes_wrong_in() -> None:
    """Gradient descent away from a maximum, until the logarithm has no value."""
    import torch

    w, x, step = torch.tensor(0.1, dtype=torch.float64, requires_grad=True), 1.0, 0
    while True:
        step += 1
        loss = torch.log(1 - (w * x) ** 2)
        if not torch.isfinite(loss):
            break
        (gradient,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w -= 0.1 * gradient
    spec = (
        "model M {\n  input x: []\n  param w: [] = 0.1\n  output z = w * x\n  loss log(1 - z^2)\n}\n"
        "train { data { x = [1] }  batch 1  epochs 300  optimizer sgd(lr = 0.1) }"
    )
    with pytest.raises(SpecError) as caught:
        nnspec.loads(spec, dtype="float64").fit()
    (said,) = caught.value.diagnostics
    assert f"step {step}:" in said.message and step > 5
    assert f"a logarithm of {1 - w.item() ** 2:.3g}" in said.message


def test_long_trainings_are_looked_at_from_the_last_copy_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnspec.train.trail.SECONDS", 0.0)
    assert "a division of 0 by 0" in blamed(FORMULAS["a division of 0 by 0"][0], batch=1).message


def test_the_run_keeps_the_last_weights_that_were_numbers(tmp_path: Path) -> None:
    spec = SPEC.format(FORMULAS["a division of 0 by 0"][0], "sgd(lr = 0.1)\n  checkpoint 1\n  seed 0", 1)
    with pytest.raises(SpecError, match=r"E412(.|\n)*keeps the weights after step \d"):
        nnspec.loads(spec).fit(run=tmp_path / "run")
    weights = nnspec.open(tmp_path / "run").params
    assert all(np.isfinite(value).all() for value in weights.values())


def test_a_training_that_goes_well_goes_as_it_went() -> None:
    nets = [nnspec.load("iris", threads=1) for _ in range(2)]
    losses = [net.fit(epochs=2).epochs[-1].metrics["loss"] for net in nets]
    assert losses[0] == losses[1]


def test_a_schedule_that_gives_no_rate_is_blamed_for_it() -> None:
    late = "schedule late(n) = if epoch < n then lr else lr * sqrt(n - 1 - epoch)\n"
    spec = SPEC.format("  output z\n  loss mse(z, y)", "sgd(lr = 0.1)  schedule late(2)", 4)
    with pytest.raises(SpecError) as caught:
        nnspec.loads(late + spec).fit()
    (said,) = caught.value.diagnostics
    assert (said.code, said.span.text if said.span else "") == ("E401", "late(2)")
    assert said.message == "the learning rate became nan in epoch 3, step 3: `late` gives no number there"


def test_weights_that_are_lost_behind_a_finite_loss_are_not_said_to_be_the_loss() -> None:
    spec = "optimizer div(lr) { w <- w - lr * g / (0 * g) }\n" + SPEC.format("  output z\n  loss mse(z, y)", "div(0.1)", 4)
    with pytest.raises(SpecError, match=r"E401.*the optimizer left weights that are no numbers in epoch 1, step 1, from a loss of \d"):
        nnspec.loads(spec).fit()


GROWING = """model M {
  input  x: [2]
  target y: []
  z = x -> standardize -> dense(3, bias = false) -> batchnorm -> dense(1) -> squeeze
  output z
  loss   mse(z, y)
}
train {
  data      { x = [[900, 1], [0, 0], [700, -1], [2, 3]], y = [1, 0, 0, 1] }
  epochs    300
  optimizer OPTIMIZER
}"""


@pytest.mark.parametrize("engine", ENGINES)
def test_the_largest_weight_is_one_that_is_trained_and_no_statistic(engine: str) -> None:
    net = nnspec.loads(GROWING.replace("OPTIMIZER", "sgd(lr = 1e38)"), engine=engine)
    with pytest.raises(SpecError, match="E401") as caught:
        net.fit()
    named = re.findall(r"the largest weight before it is \S+, in `(.*?)`", str(caught.value))
    assert len(named) == 1 and named[0] in net.params


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("optimizer", "code", "said"),
    [
        ("sgd(lr = 1e39)", "E106", "the learning rate is larger than any number of float32"),
        ("sgd(lr = 1e-6)  schedule step_decay(1e46, 1)", "E401", "the learning rate became inf in epoch 2, step 2"),
    ],
)
def test_a_rate_that_is_no_float32_is_said_to_be_none(engine: str, optimizer: str, code: str, said: str) -> None:
    with warnings.catch_warnings(record=True) as caught, pytest.raises(SpecError, match=f"{code}.*{said}"):
        warnings.simplefilter("always")
        nnspec.loads(GROWING.replace("OPTIMIZER", optimizer), engine=engine).fit()
    assert not [w for w in caught if issubclass(w.category, RuntimeWarning)]
    assert nnspec.loads(GROWING.replace("OPTIMIZER", "sgd(lr = 1e39)  schedule step_decay(1e-45, 1)"), dtype="float64").engine


def said_of(spec: str, engine: str = "numpy") -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        nnspec.loads(spec, engine=engine).fit()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


LOOP = """model M {{
  input  x: [T]
  target y: []
  param  w: [] = 1
  hs = scan e in x with h = {0} {{
    {1}
  }}
  output z = hs[-1:] -> dense(1, bias = false) -> squeeze
  loss mse(z, y + 0 * w)
}}
train {{ data {{ x = [[1, 2, 4, 9], [1, 1, 1, 1]], y = [1, 2] }}  batch 2  epochs 3  optimizer sgd(lr = 0.01) }}
"""
IN_A_LOOP = {
    # h is 2 - 1, 1 - 2: its root is missing in the third step
    "a square root of -1": ("2", "q = sqrt(h)\n    h = h - e + 0 * q", "E411", "sqrt(h)", "for 1 of 2 examples, in step 3 of the scan"),
    "a logarithm of 0": ("0", "h = log(h) + e", "E411", "log(h)", "for 2 of 2 examples, in step 1 of the scan"),
    "the derivative of this has a division of": ("w", "h = sqrt(h - h) + e", "E412", "sqrt(h - h)", "in step 4 of the scan"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reason", IN_A_LOOP)
def test_in_a_loop_it_is_the_operation_of_the_step_that_made_it(reason: str, engine: str) -> None:
    start, lines, code, place, label = IN_A_LOOP[reason]
    said = said_of(LOOP.format(start, lines), engine)
    assert (said.code, said.span.text if said.span else "") == (code, place)
    assert reason in said.message and label in said.label


def test_in_a_loop_within_a_loop_too() -> None:
    lines = "ks = scan f in x with k = 1 { k = sqrt(k - 3) + f }\n    h = h + ks[-1] + e"
    said = said_of(LOOP.format("0", lines))
    assert (said.code, said.span.text if said.span else "") == ("E411", "sqrt(k - 3)") and "a square root of -2" in said.message


@pytest.mark.parametrize("before", ["dense(4)", "dense(4) -> tanh", "dense(4) -> sigmoid -> tanh"])
def test_a_derivative_is_blamed_on_its_own_formula_and_not_on_that_before_it(before: str) -> None:
    lines = f"  h = x -> {before}\n  a = sqrt(h - h)\n  output p = (a -> dense(1))[0]\n  loss mse(p, y)"
    said = blamed(lines)
    assert (said.code, said.span.text if said.span else "") == ("E412", "sqrt(h - h)")


def test_an_optimizer_is_blamed_in_its_formula() -> None:
    centred = """optimizer centred(lr, rho = 0.5, eps = 1e-8) {
  state m = 0
  state v = 0
  m <- rho * m + (1 - rho) * g
  v <- rho * v + (1 - rho) * g^2
  w <- w - lr * g / sqrt(m^2 - v - eps)
}
"""
    said = said_of(centred + SPEC.format("  output z\n  loss mse(z, y)", "centred(0.1)", 4))
    assert (said.code, said.span.text if said.span else "") == ("E401", "sqrt(m^2 - v - eps)")
    assert "in epoch 1, step 1, from a loss of" in said.message and "a square root of -" in said.message


def test_a_state_of_the_optimizer_is_that_of_the_step_that_went_wrong() -> None:
    """v counts down from 2 by 1 in each step, and has no root in the third."""
    counting = "optimizer counting(lr) {\n  state v = 2\n  v <- v - 1\n  w <- w - lr * g * sqrt(v)\n}\n"
    said = said_of(counting + SPEC.format("  output z\n  loss mse(z, y)", "counting(0.01)", 4))
    assert (said.code, said.span.text if said.span else "") == ("E401", "sqrt(v)")
    assert "in epoch 3, step 3," in said.message
    assert "a square root of -1" in said.message
