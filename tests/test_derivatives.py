"""`grad` in formulas against torch: within the steps of a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nnspec

ENGINES = ["reference", "numpy", "ort"]
X = np.array([[0.3], [-0.8], [1.1]])

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
