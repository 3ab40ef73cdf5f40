"""`grad` in formulas against torch: by values that are written alike, and within the steps of a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nnspec
from nnspec.testing import run_tests

ENGINES = ["reference", "numpy", "ort"]
X = np.array([[0.3], [-0.8], [1.1]])

# ---- by a value that is written like another

TWINS = {
    "written alike": "a = tanh(x); b = tanh(x); d = grad(a * b, a)",
    "the other of them": "a = tanh(x); b = tanh(x); d = grad(a * sin(b), b)",
    "the same value": "a = tanh(x); b = a; d = grad(a * b, a)",
    "the same value by its second name": "a = tanh(x); b = a; c = tanh(x); d = grad(a * b * c, b)",
    "in a formula before": "b = 2 * tanh(x); a = tanh(x); d = grad(a * b, a)",
    "in a formula after": "a = tanh(x); b = sin(tanh(x)); d = grad(a * b, a)",
    "made of it": "a = tanh(x); b = sin(a); d = grad(a * b, a)",
    "by both": "a = tanh(x); b = tanh(x); d = grad(grad(a * a * b * b, a), b)",
    "by one twice": "a = tanh(x); b = tanh(x); d = grad(grad(a * a * a * b, a), a)",
    "by what it is made of": "a = tanh(x); b = tanh(x); d = grad(grad(a * a * b, a), x)",
    "by a value on the way": "u = sin(2 * x); a = u * u; d = grad(grad(a * u, x), u)",
    "in a derivative": "a = tanh(x); b = tanh(x); c = grad(a * b, x); d = grad(c * a, a)",
    "by a function": "a = tanh(x); b = tanh(x); d = slope(a * b, a)",
    "by functions in each other": "a = tanh(x); b = tanh(x); d = slopes(a * b, a)",
    "several of a function": "a, b = both(x); c = tanh(x); d = grad(a * b * c, a)",
    "rewritten": "a = 1 / (1 + exp(-x)); b = 1 / (1 + exp(-x)); d = grad(log(a) * b, a) + grad(log(b), x)",
}
FUNCTIONS = """
fn slope(y, x) = grad(y, x)
fn slopes(y, x) = 2 * slope(y, x)
fn both(x) { p = tanh(x)  return [p, 2 * p] }
"""


def _both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    p = torch.tanh(x)
    return p, 2 * p


def _grad(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.autograd.grad(y, x, create_graph=True)[0]
    return found


def _in_torch(formulas: str, x: torch.Tensor) -> float:
    """The value d of formulas that say the same in Python."""
    known = {name: getattr(torch, name) for name in ("tanh", "sin", "exp", "log")} | {"x": x, "grad": _grad, "both": _both}
    known |= {"slope": _grad, "slopes": lambda u, v: 2 * _grad(u, v)}
    exec(formulas, known)
    return float(known["d"].detach())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", TWINS)
def test_a_value_is_told_from_others_that_are_written_alike(case: str, engine: str) -> None:
    body = TWINS[case].replace("; ", "\n  ")
    found = nnspec.loads(f"{FUNCTIONS} model M {{\n  input x: []\n  {body}\n  output d\n}}", engine=engine)(x=X[:, 0])["d"]
    expected = [_in_torch(TWINS[case], torch.tensor(x, requires_grad=True)) for x in X[:, 0]]
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)


PLACES = {
    "outputs": "output a = tanh(x), b = tanh(x), d = grad(a * b, a)",
    "a stage": "h = x -> tanh as a -> sin  b = tanh(x)  output d = grad(h * b, a) / cos(a)",
    "a stage first": "b = tanh(x)  h = x -> tanh as a  output d = grad(h * b, a)",
    "a pipeline": "a = x -> tanh  b = x -> tanh  output d = grad(a * b, a)",
    "a step": "ds = scan e in [1, 2] with c = 0.0 { a = tanh(x)  b = tanh(x)  c = e * grad(a * b, a) / 2 }  output d = ds[-1]",
    "a step and around it": "b = tanh(x)  ds = scan e in [1, 2] with c = 0.0 { a = tanh(x)  c = grad(a * b, a) }  output d = ds[-1]",
    "a definition": "output d = product(x)",
    "twice": "p = product(x)  output d = product(x) + p - product(x)",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_it_is_so_wherever_it_has_its_name(place: str) -> None:
    text = f"fn product(x) {{ a = tanh(x)  b = tanh(x)  return grad(a * b, a) }} model M {{ input x: []  {PLACES[place]} }}"
    assert np.allclose(nnspec.loads(text)(x=X[:, 0])["d"], np.tanh(X[:, 0]), rtol=1e-5)


def test_a_formula_that_has_no_name_stands_for_all_that_is_written_so() -> None:
    text = "model M { input x: [2]  a = x[0]  u = sin(a) * x[1] * x[0]  output d = grad(u, x[0]), e = grad(u, x[1]) }"
    x = np.array([[0.3, 0.7], [-0.8, 0.2]])
    found = nnspec.loads(text)(x=x)
    assert np.allclose(found["d"], (np.cos(x[:, 0]) * x[:, 0] + np.sin(x[:, 0])) * x[:, 1], rtol=1e-5)
    assert np.allclose(found["e"], np.sin(x[:, 0]) * x[:, 0], rtol=1e-5)


def test_a_test_asks_for_the_gradient_by_a_value_told_from_others() -> None:
    text = """model M { input x: []  target y: []  a = tanh(x)  b = tanh(x)  output p = a * b  loss p * y }
    test "it is b" of M { given x = 1, y = 1  expect grad(loss, a) ~= 0.76 }"""
    (result,) = run_tests(nnspec.loads(text).spec)
    assert not result.failures


# ---- within a step

REFUSED = {
    "what was carried": ("c = 0.0", "d = grad(c, x)  c = sin(c + e * x)", "c"),
    "what is carried on": ("c = 0.0", "c = sin(c + e * x)  d = grad(c, x)", "c"),
    "what it starts with": ("c = 2 * x", "c = sin(c + e)  d = grad(c, x)", "c"),
    "the element": ("", "d = grad(sin(f), x)", "f"),
    "by a function": ("c = 0.0", "c = sin(c + e * x)  d = slope(c, x)", "c"),
    "what is made of another": ("a = 0.0, c = 0.0", "c = sin(a + c)  a = a + e * x  d = grad(c, x)", "a"),
    "the loop outside, by the loop inside": (
        "c = 0.0", "c = sin(c + x)  k = scan f in [1, 2] with k = c { k = f * k }  d = grad(k[-1], x)", "c",
    ),
    "the loop outside, in the loop inside": (
        "c = 0.0", "c = sin(c + x)  k, l = scan f in [1, 2] with k = 1.0, l = 0.0 { k = f * k  l = grad(c * k, x) }  d = l[-1]", "c",
    ),
    "the loop outside, by what the loop inside starts with": (
        "c = 0.0", "k, l = scan f in [1, 2] with k = c, l = 0.0 { k = f * k  l = grad(k, x) }  c = sin(c + x)  d = l[-1]", "c",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_derivative_that_would_leave_out_the_steps_before_is_refused(case: str) -> None:
    carried, body, name = REFUSED[case]
    starts = ", ".join(filter(None, (carried, "d = 0.0")))
    names = ", ".join(f"{s.split(' =')[0]}s" for s in starts.split(", "))
    sequence = "stack(x, 2 * x, 3 * x)" if name == "f" else "[1, 2, 3]"
    text = f"""fn slope(u, v) = grad(u, v)
    model M {{
      input x: []
      {names} = scan f in {sequence} with {starts} {{ e = f  {body} }}
      output y = ds[-1]
    }}"""
    with pytest.raises(nnspec.SpecError) as error:
        nnspec.loads(text)
    [found] = error.value.diagnostics
    assert found.code == "E113"
    assert f"`{name}` comes into this step" in found.message
    assert found.span
    assert found.span.text.startswith(("grad(", "slope("))


def _held(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the model below says, with what comes into a step as a tensor that is made of nothing."""
    c, q, p = torch.zeros(()), torch.ones(()), torch.zeros(())
    found: list[torch.Tensor] = []
    for k in (1.0, 2.0, 3.0):
        e, c, q, p = (t.detach().requires_grad_() for t in (k * x, c, q, p))
        v = torch.sin(e) + x.detach()
        v.retain_grad()
        (by_made,) = torch.autograd.grad(v**2 * e, v, retain_graph=True)
        (by_element,) = torch.autograd.grad(torch.sin(e * x.detach()), e)
        (by_carried,) = torch.autograd.grad(torch.sin(c * e), c)
        outside = x.detach().requires_grad_()
        (held,) = torch.autograd.grad(torch.sin(c.detach() * outside), outside)
        (force,) = torch.autograd.grad(q**4 / 4 + p**2 / 2, q)
        p = p - 0.1 * force
        (velocity,) = torch.autograd.grad(q**4 / 4 + p**2 / 2, p)
        q, c = q + 0.1 * velocity, c + by_made + by_element + by_carried + held
        found = [c, q, p]
    return tuple(v.detach() for v in found)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_derivative_by_what_the_step_makes_or_starts_with_holds_the_rest_still(engine: str) -> None:
    text = """
    fn energy(q, p) = q^4 / 4 + p^2 / 2
    model M {
      input x: []
      cs, qs, ps = scan e in stack(x, 2 * x, 3 * x) with c = 0.0, q = 1.0, p = 0.0 {
        v = sin(e) + x
        made = grad(v^2 * e, v)
        held = grad(sin(stop_gradient(c) * x), x)
        c = c + made + grad(sin(e * x), e) + grad(sin(c * e), c) + held
        p = p - 0.1 * grad(energy(q, p), q)
        q = q + 0.1 * grad(energy(q, p), p)
      }
      output c = cs[-1], q = qs[-1], p = ps[-1]
    }"""
    found = nnspec.loads(text, engine=engine)(x=X[:, 0])
    expected = np.array([[float(v) for v in _held(torch.tensor(x))] for x in X[:, 0]])
    for name, column in zip("cqp", expected.T, strict=True):
        assert np.allclose(found[name], column, rtol=1e-5), name
