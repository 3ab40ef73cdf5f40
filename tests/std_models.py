"""Small models around one definition of the library, and what those of torch are called."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnspec
from nnspec.elaborate.library import std

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 5

SHAPES = {"prelu(per_channel = true)": [3, 2, 4], "glu(axis = 0)": [4, 2, 3], "glu(axis = 1)": [2, 4, 3]}
"""Of one example, where [6] would not do."""

ACTIVATIONS = (
    "identity", "heaviside", "sigmoid", "hard_sigmoid", "softsign", "relu", "leaky_relu", "leaky_relu(0.2)", "prelu",
    "prelu(per_channel = true)", "elu", "elu(alpha = 0.7)", "selu", "softplus", "softplus(beta = 3)", "gelu_tanh", "gelu_sigmoid",
    "swish(beta = 2)", "silu", "hard_swish", "mish", "softmax", "log_softmax", "glu", "glu(axis = 0)", "glu(axis = 1)",
)  # fmt: skip


def library(file: str, *kinds: str) -> set[str]:
    """The names that a file of the library defines."""
    return {name for (kind, name), f in std().items() if f.definition.span.source.name == f"std/{file}.nn" and kind in kinds}


def activation(stage: str, dtype: str = "float64") -> nnspec.Net:
    """The gradient of s is that of x; the loss bends, so that no gradient is lost where a sum is constant."""
    shape = SHAPES.get(stage, [6])
    return nnspec.loads(
        f"model M {{ input x: {shape}  param s: {shape} = 0  y = x + s -> {stage}  output y  loss sum(y^2 + 3 * y) }}", dtype=dtype
    )
