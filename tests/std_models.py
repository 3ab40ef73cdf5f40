"""Small models around one definition of the library, and what those of torch are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import nnspec
from nnspec.elaborate.library import public

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 5

SHAPES = {"prelu(per_channel = true)": [3, 2, 4], "glu(axis = 0)": [4, 2, 3], "glu(axis = 1)": [2, 4, 3]}
"""Of one example, where [6] would not do."""

ACTIVATIONS = (
    "identity", "heaviside", "sigmoid", "hard_sigmoid", "softsign", "relu", "relu6", "clip(-1, 2)", "leaky_relu", "leaky_relu(0.2)",
    "prelu", "prelu(per_channel = true)", "elu", "elu(alpha = 0.7)", "selu", "softplus", "softplus(beta = 3)", "gelu", "gelu_tanh",
    "gelu_sigmoid", "swish(beta = 2)", "silu", "hard_swish", "mish", "softmax", "log_softmax", "glu", "glu(axis = 0)", "glu(axis = 1)",
)  # fmt: skip

NORMS = {
    "layernorm": "[3, 5]",
    "layernorm(eps = 0.1)": "[6]",
    "layernorm(axis = 1)": "[2, 3, 4]",
    "layernorm(axis = 0)": "[3, 2, 2]",
    "groupnorm(2)": "[4, 3, 2]",
    "groupnorm(3, eps = 0.1)": "[6]",
    "instancenorm": "[3, 2, 4]",
    "instancenorm(eps = 0.1)": "[2, 5]",
    "rmsnorm": "[3, 5]",
    "rmsnorm(eps = 0.1)": "[6]",
}
"""Each with the shape it is tried on."""

LOSSES = {
    "mse(z, y)": ("[4]", "[4]"),
    "half_mse(z, y)": ("[4]", "[4]"),
    "mae(z, y)": ("[4]", "[4]"),
    "huber(z, y)": ("[4]", "[4]"),
    "huber(z, y, delta = 0.3)": ("[4]", "[4]"),
    "log_cosh(z, y)": ("[4]", "[4]"),
    "bce(sigmoid(z), y)": ("[4]", "[4]"),
    "bce(0.01 + 0.9 * sigmoid(z), y)": ("[4]", "[4]"),
    "bce_logits(z, y)": ("[4]", "[4]"),
    "multilabel_bce(z, y)": ("[4]", "[4]"),
    "cross_entropy(z, y)": ("[4]", "class(4)"),
    "cross_entropy(z, y, smoothing = 0.2)": ("[3, 4]", "class(4)[3]"),
    "cross_entropy(z, y, weights = [1, 2, 0.5, 3])": ("[4]", "class(4)"),
    "cross_entropy(z, y, 0.2, [1, 2, 0.5, 3])": ("[4]", "class(4)"),
    "nll(log_softmax(z), y)": ("[4]", "class(4)"),
    "hinge(z, 2 * y - 1)": ("[]", "class(2)"),
    "squared_hinge(z, 2 * y - 1)": ("[]", "class(2)"),
    "perceptron(z, 2 * y - 1)": ("[]", "class(2)"),
    "kl(softmax(y), softmax(z))": ("[4]", "[4]"),
    "kl(softmax(z), softmax(y))": ("[4]", "[4]"),
    "cosine(z, y)": ("[4]", "[4]"),
    "distance(z, y)": ("[4]", "[4]"),
    "contrastive(sum(z^2), y, 2)": ("[2]", "class(2)"),
    "triplet(z[0], z[1], y)": ("[2, 4]", "[4]"),
}
"""Each of a prediction z and a target y, with their types."""


def library(file: str, *kinds: str) -> set[str]:
    """The names that a file of the library defines."""
    return {name for (kind, name), f in public().items() if f.definition.span.source.name == f"std/{file}.nn" and kind in kinds}


def words(texts: Iterable[str]) -> set[str]:
    """The names before the brackets."""
    return {t.partition("(")[0] for t in texts}


def around(stage: str, dtype: str = "float64") -> nnspec.Net:
    """The gradient of s is that of x; of the loss, no power of what a norm makes has a sum that is constant."""
    shape = NORMS.get(stage) or SHAPES.get(stage, [6])
    return nnspec.loads(
        f"model M {{ input x: {shape}  param s: {shape} = 0  y = x + s -> {stage}  output y  loss sum(y^3 + 3 * y) }}", dtype=dtype
    )


def loss(call: str, dtype: str = "float64") -> nnspec.Net:
    """The gradient of s is that of z; the target is always used."""
    z, y = LOSSES[call]
    text = f"model M {{ input x: {z}  target y: {y}  param s: {z} = 0  z = x + s  output z  loss {call} }}"
    return nnspec.loads(text, dtype=dtype)
