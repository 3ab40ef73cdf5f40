"""What `gradcheck` says of gradients that are right, that are wrong, and where differences cannot tell."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

import nnspec
from nnspec.compile import Compilation
from nnspec.finite_differences import slope
from nnspec.gradcheck import Checked, compare, example, gradcheck
from nnspec.run import reference

EDIT_DISTANCE = """
model M {
  input  a: class(4)[T]
  input  b: class(4)[U]
  target y: []
  param  sub: [] = 1
  ds = scan i in a with p = positions(concat(zeros(1), b)) * 1.0 {
    cost = if b == i then 0 else 1
    row = scan q in stack(p[:-1], p[1:], cost * sub, axis = 1) with l = p[0] + 1 { l = min(min(l + 1, q[1] + 1), q[0] + q[2]) }
    p = concat(reshape(p[0] + 1, [1]), row)
  }
  output d = ds[-1, -1]
  loss   (d - y)^2
}
"""
LINEAR = "model M {{ input x: [3]  target y: []  z = x -> dense(4) -> tanh -> dense(1) -> squeeze  output z  loss {} }}"
LARGE, WITHIN = "(z - y)^2 + 1e8", "((z + 1e8) - 1e8 - y)^2"


def spec_of(text: str) -> Compilation:
    return nnspec.loads(text, dtype="float64").spec


def checked(spec: Compilation, name: str, scale: float, *, beside: bool = False) -> Checked:
    """What is found of a gradient that is so many times the right one."""
    random = np.random.default_rng(1)
    feeds = example(spec, 1, random, beside=beside)
    return compare(spec, feeds, name, scale * reference.run(spec.gradients, feeds)[f"grad:{name}"], random)


def test_a_tie_is_no_wrong_gradient() -> None:
    (found,) = gradcheck(spec_of(EDIT_DISTANCE))
    assert found.passed and found.beside and found.verdict == "ok (beside the first values, at which the loss bends)"


def test_a_wrong_gradient_is_wrong_beside_a_tie_and_unclear_at_it() -> None:
    spec = spec_of(EDIT_DISTANCE)
    assert checked(spec, "sub", 1, beside=True).verdict == "ok"
    assert checked(spec, "sub", 1.001, beside=True).verdict.startswith("WRONG")
    at_it = checked(spec, "sub", 1)
    assert at_it.bends and not at_it.passed and at_it.verdict.startswith("unclear: the loss bends here")


@pytest.mark.parametrize("loss", [LARGE, WITHIN])
def test_rounding_is_no_wrong_gradient(loss: str) -> None:
    spec = spec_of(LINEAR.format(loss))
    found = gradcheck(spec)
    assert all(c.passed and not c.bends for c in found) and any("rounding hides what differs" in c.verdict for c in found)
    assert checked(spec, "dense.W", 1).passed and checked(spec, "dense.W", 1.01).verdict.startswith("WRONG")


@pytest.mark.parametrize("parameter", ["dense.W", "dense_2.b"])
def test_a_wrong_gradient_of_a_smooth_loss_is_wrong(parameter: str) -> None:
    spec = spec_of(LINEAR.format("(z - y)^2"))
    assert checked(spec, parameter, 1).verdict == "ok"
    assert not checked(spec, parameter, 1 + 1e-5).passed and checked(spec, parameter, 1 + 1e-5).verdict.startswith("WRONG")


@pytest.mark.parametrize(
    ("f", "value", "jump"),
    [
        (lambda t: math.exp(3 * t), 3.0, 0.0),
        (lambda t: 1e7 + math.sin(2 * t), 2.0, 0.0),
        (lambda t: abs(t) + t, 1.0, 2.0),
        (lambda t: min(t, -3 * t) + 5, -1.0, -4.0),
        (lambda t: 7.0, 0.0, 0.0),
    ],
)
def test_a_slope_knows_how_far_it_is_known(f: Callable[[float], float], value: float, jump: float) -> None:
    found = slope(f)
    assert abs(found.value - value) <= 10 * found.uncertainty + 1e-10 and found.uncertainty < 1e-4
    assert found.jump == pytest.approx(jump, abs=1e-9)


ROUNDED = {
    "cross_entropy(1000 * w * x, k)": "nan",
    "sum(softmax(w * x - 1e4) * x)": "nan",
    "sum(softmax(w * x - 740) * x)": "[0-9.]+",
    "0.01 * sum(log_softmax(1000 * w * x))": "nan",
    "log(sum(exp(1000 * w * x)))": "inf",
    "-log(pick(softmax(1000 * w * x), k))": "nan",
    "log_cosh(1000 * w * x, 0)": "inf",
    "sum(scan e in x with h = 0 { h = 0.5 * h + sum(softmax(w * x + e - 1e4) * x) })": "nan",
}
OF_W = "model M {{ input x: [3]  input k: class(3)  param w: [] = 0.8  u = {}  output u  loss u }}"


@pytest.mark.parametrize("formula", ROUNDED)
def test_a_loss_that_overflows_as_written_is_checked_in_the_form_that_is_computed(formula: str) -> None:
    spec = spec_of(OF_W.format(formula))
    feeds = {"x": np.array([[1.0, 2, 3]]), "k": np.array([1]), "w": np.array(0.8), "seed": 0, "step": 1}
    gradient = reference.run(spec.gradients, feeds)["grad:w"]
    right, wrong = (compare(spec, feeds, "w", scale * gradient, np.random.default_rng(0)) for scale in (1, 1.001))
    assert right.passed and re.search(
        f"of the stable form .*; as written, overflow or rounding makes the loss {ROUNDED[formula]}\\)$", right.verdict
    )
    assert wrong.verdict.startswith("WRONG")


def test_a_wrong_gradient_of_what_overflows_nowhere_is_not_explained_by_rounding() -> None:
    found = checked(spec_of(LINEAR.format("cross_entropy(stack(z, y), 1)")), "dense.W", 1.01)
    assert found.as_written is None and found.verdict.startswith("WRONG")


def test_a_gradient_that_is_no_number_is_neither_right_nor_wrong() -> None:
    spec = spec_of(OF_W.format("sqrt(w - 1)"))
    (found,) = gradcheck(spec)
    assert not found.passed and found.verdict.startswith("unclear: a value on the way overflows or is undefined")
