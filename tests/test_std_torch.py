"""The library's formulas against those of torch: values, and gradients of everything learned and of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import distance
from std_models import ACTIVATIONS, EXAMPLES, activation

torch = pytest.importorskip("torch")
F = torch.nn.functional
TOLERANCE = 1e-7  # torch's own hard_sigmoid has 1/6 in float32

ACTIVATIONS_OF_TORCH: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "heaviside": lambda x: torch.heaviside(x, torch.ones_like(x)).detach() + 0 * x,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "softsign": F.softsign,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "leaky_relu(0.2)": lambda x: F.leaky_relu(x, 0.2),
    "prelu": lambda x, **p: F.prelu(x, p["prelu.alpha"].reshape(1)),
    "prelu(per_channel = true)": lambda x, **p: F.prelu(x, p["prelu.alpha"]),
    "elu": F.elu,
    "elu(alpha = 0.7)": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "softplus": F.softplus,
    "softplus(beta = 3)": lambda x: F.softplus(x, 3),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "swish(beta = 2)": lambda x: F.silu(2 * x) / 2,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "glu": F.glu,
    "glu(axis = 0)": lambda x: F.glu(x, 1),
    "glu(axis = 1)": lambda x: F.glu(x, 2),
}


def theirs(net: Any) -> dict[str, Any]:
    return {n: torch.tensor(v).requires_grad_() for n, v in net.params.items()}


@pytest.mark.parametrize("stage", ACTIVATIONS)
def test_an_activation_and_its_gradients_equal_torch(stage: str) -> None:
    net = activation(stage)
    x = np.random.default_rng(0).normal(0, 3, (EXAMPLES, *net.inputs["x"].shape[1:]))
    parameters = theirs(net)
    s = parameters.pop("s")
    y = ACTIVATIONS_OF_TORCH[stage](torch.tensor(x) + s, **parameters)
    assert distance(net(x=x)["y"], y.detach()) < TOLERANCE
    loss = (y**2 + 3 * y).flatten(1).sum(1).mean()
    loss.backward()
    for name, gradient in net.gradients(x=x)[1].items():
        assert distance(gradient, {"s": s, **parameters}[name].grad) < TOLERANCE, name
