"""Gradients of losses through loops in every engine, against differences of the losses of the engine that is the definition."""

from __future__ import annotations

import numpy as np
import pytest

import nnspec

ENGINES = ["reference", "numpy", "ort"]
STEP = 1e-6
BATCH = {"x": np.array([0.3, -0.7]), "s": np.array([[0.3, 0.4, -1.0], [1.0, -0.2, 0.5]])}
LOOPS = {
    "given as it is, and in other words": """
      hs = scan e in s with c = 0.2 { c = tanh(c * (w * 1) + e * w) }
      z = hs[-1]""",
    "given as it is, and to a derivative within the step": """
      hs = scan e in s with c = 1.1 {
        y = (w^2 + c) * e
        c = y + grad(y, e)
      }
      z = hs[-1]""",
    "twice from the start on": """
      hs, ks = scan e in s with c = w, k = 1 * w { c = sin(c + e)  k = k * e + c }
      z = hs[-1] + ks[-1]""",
    "an inner loop that waits for no step, in a derivative": """
      hs = scan e in s with c = 0.0 {
        ks = scan f in s with k = 0.2 { k = tanh(k + x / (1.5 + e^2)) }
        c = tanh(c + w * ks[0])
      }
      y = sigmoid(x + hs[0])
      z = y + tanh(grad(y, x))""",
    "a number of each example that is the same for all, in an inner loop": """
      g = grad(w * s[0], x)
      y = cos(x * (1.1 - w))
      hs = scan e in s with c = 0.4 {
        ks, ls = scan f in s with k = 0.3, l = c { l = tanh(l + exp(-(cos((k / (1.5 + g^2)) * y))^2)) }
        c = tanh(c + ls[0] + x)
      }
      z = hs[-1]""",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_gradient_through_a_loop_is_the_slope_of_the_loss(loop: str, engine: str) -> None:
    text = f"model M {{\n  input x: []\n  input s: [3]\n  param w: [] = 0.7\n{LOOPS[loop]}\n  output z\n  loss sin(z)\n}}"
    net, definition = (nnspec.loads(text, dtype="float64", engine=name).init(seed=0) for name in (engine, "reference"))
    _, gradients = net.gradients(**BATCH)

    def loss(w: float) -> float:
        definition.params["w"][...] = w
        return float(definition.gradients(**BATCH)[0])

    slope = (loss(0.7 + STEP) - loss(0.7 - STEP)) / (2 * STEP)
    assert abs(slope) > 1e-3
    assert np.allclose(gradients["w"], slope, rtol=1e-6, atol=1e-8)
