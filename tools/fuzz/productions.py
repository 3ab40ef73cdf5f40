"""What a line can be: for a value of a shape, a text, the shape it gives, and the same in PyTorch where that has it.

A production gives None where it does not fit. Torch functions take the parameters by public name first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

from tools.fuzz.draft import Shape, Torch


@dataclass(frozen=True)
class Made:
    """A text of the values {0}, {1}, ..., its shape, whether that is a sequence's, and what is written before it."""

    text: str
    shape: Shape
    torch: Torch | None = None
    sequence: bool = False
    before: str = ""


Production = Callable[[Random, Shape, str], Made | None]


def torch_functions() -> Any:
    import torch.nn.functional

    return torch.nn.functional


ACTIVATIONS: dict[str, Torch | None] = {
    "tanh({0})": lambda P, x: x.tanh(),
    "sigmoid({0})": lambda P, x: x.sigmoid(),
    "relu({0})": lambda P, x: x.relu(),
    "leaky_relu({0}, 0.2)": lambda P, x: torch_functions().leaky_relu(x, 0.2),
    "elu({0}, 0.7)": lambda P, x: torch_functions().elu(x, 0.7),
    "selu({0})": lambda P, x: torch_functions().selu(x),
    "gelu({0})": lambda P, x: torch_functions().gelu(x),
    "gelu_tanh({0})": lambda P, x: torch_functions().gelu(x, approximate="tanh"),
    "softplus({0})": lambda P, x: torch_functions().softplus(x),
    "silu({0})": lambda P, x: torch_functions().silu(x),
    "mish({0})": lambda P, x: torch_functions().mish(x),
    "hard_swish({0})": lambda P, x: torch_functions().hardswish(x),
    "softsign({0})": lambda P, x: torch_functions().softsign(x),
    "softmax({0})": lambda P, x: x.softmax(-1),
    "log_softmax({0})": lambda P, x: x.log_softmax(-1),
    "sin(2 * {0})": lambda P, x: (2 * x).sin(),
    "exp(-{0}^2)": lambda P, x: (-(x**2)).exp(),
    "sqrt(1 + abs({0}))": lambda P, x: (1 + x.abs()).sqrt(),
    "log(1 + {0}^2)": lambda P, x: (1 + x**2).log(),
    "0.5 - {0} / 3": lambda P, x: 0.5 - x / 3,
    "1 / (1.5 + {0}^2)": lambda P, x: 1 / (1.5 + x**2),
    "if {0} > 0.1 then {0} else 0.3 * {0}": lambda P, x: x.where(x > 0.1, 0.3 * x),
    "max(min({0}, 0.9), -0.8)": lambda P, x: x.clamp(-0.8, 0.9),
}

PAIRS: dict[str, Torch | None] = {
    "{0} + {1}": lambda P, a, b: a + b,
    "{0} - 2 * {1}": lambda P, a, b: a - 2 * b,
    "{0} * tanh({1})": lambda P, a, b: a * b.tanh(),
    "max({0}, {1})": lambda P, a, b: a.maximum(b),
    "min({0}, {1} + 0.1)": lambda P, a, b: a.minimum(b + 0.1),
    "{0} / (1 + {1}^2)": lambda P, a, b: a / (1 + b**2),
    "if {0} < {1} then {0} else {1} * {0}": lambda P, a, b: a.where(a < b, b * a),
    "sqrt({0}^2 + {1}^2 + 0.01)": lambda P, a, b: (a**2 + b**2 + 0.01).sqrt(),
}


def activation(r: Random, shape: Shape, _: str) -> Made | None:
    text = r.choice(list(ACTIVATIONS))
    return Made(text, shape, ACTIVATIONS[text]) if shape or "soft" not in text else None


def learned_activation(r: Random, shape: Shape, p: str) -> Made:
    return Made(f"{{0}} -> prelu as {p}", shape, lambda P, x: x.where(x >= 0, P[f"{p}.alpha"] * x))


def dropout(r: Random, shape: Shape, _: str) -> Made:
    return Made("{0} -> " + r.choice(["dropout(0.3)", "dropout_classic(0.8)", "gaussian_noise(0.1)"]), shape)


def dense(r: Random, shape: Shape, p: str) -> Made | None:
    units, bias = r.randint(1, 6), r.random() < 0.8
    text = f"{{0}} -> dense({units}{'' if bias else ', bias = false'}) as {p}"
    return Made(text, (*shape[:-1], units), lambda P, x: x @ P[f"{p}.W"] + (P[f"{p}.b"] if bias else 0)) if shape else None


def shared(r: Random, shape: Shape, p: str) -> Made | None:
    """A value and its double through the same layers."""
    if len(shape) != 1:
        return None

    def computed(P: Any, x: Any) -> Any:
        one, two = (torch_functions().linear(v, P[f"{p}.dense.W"].T, P[f"{p}.dense.b"]).tanh() for v in (x, 2 * x))
        return one * two

    return Made(f"({{0}} -> {p}) * (2 * {{0}} -> {p})", (3,), computed, before=f"share {p} = dense(3) -> tanh")


def layernorm(r: Random, shape: Shape, p: str) -> Made | None:
    if not shape or shape[-1] < 3:
        return None
    torch: Torch = lambda P, x: torch_functions().layer_norm(x, x.shape[-1:], P[f"{p}.gamma"], P[f"{p}.beta"], 1e-5)  # noqa: E731
    return Made(f"{{0}} -> layernorm as {p}", shape, torch)


def rmsnorm(r: Random, shape: Shape, p: str) -> Made | None:
    return (
        Made(f"{{0}} -> rmsnorm(0.01) as {p}", shape, lambda P, x: P[f"{p}.gamma"] * x / ((x**2).mean(-1, True) + 0.01).sqrt())
        if shape
        else None
    )


def batchnorm(r: Random, shape: Shape, p: str) -> Made | None:
    if len(shape) not in (1, 3):
        return None
    torch: Torch = lambda P, x: torch_functions().batch_norm(x, None, None, P[f"{p}.gamma"], P[f"{p}.beta"], True, 0.1, 1e-5)  # noqa: E731
    return Made(f"{{0}} -> batchnorm as {p}", shape, torch)


def reduction(r: Random, shape: Shape, _: str) -> Made | None:
    if len(shape) < 2:
        return None
    axis, how = r.randrange(len(shape)), r.choice(["sum", "mean", "max", "min"])
    kept = r.random() < 0.3
    given = {"sum": lambda x: x.sum(axis + 1, kept), "mean": lambda x: x.mean(axis + 1, kept)}
    given |= {"max": lambda x: x.amax(axis + 1, kept), "min": lambda x: x.amin(axis + 1, kept)}
    left = shape[:axis] + ((1,) if kept else ()) + shape[axis + 1 :]
    return Made(f"{how}({{0}}, axis = {axis}{', keep = true' if kept else ''})", left, lambda P, x: given[how](x))


def softened(r: Random, shape: Shape, _: str) -> Made | None:
    """A sum of exponentials, as one writes it: it must not overflow, nor change."""
    return (
        Made("log(sum(exp(3 * {0}), axis = -1, keep = true))", (*shape[:-1], 1), lambda P, x: (3 * x).logsumexp(-1, True))
        if shape
        else None
    )


def reshaped(r: Random, shape: Shape, _: str) -> Made | None:
    size = prod(shape)
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    d = r.choice(divisors)
    return Made(f"reshape({{0}}, [{d}, {size // d}])", (d, size // d), lambda P, x: x.reshape(len(x), d, size // d))


def flattened(r: Random, shape: Shape, _: str) -> Made:
    return Made("{0} -> flatten", (prod(shape),), lambda P, x: x.reshape(len(x), -1))


def transposed(r: Random, shape: Shape, _: str) -> Made | None:
    return Made("transpose({0})", (*shape[:-2], shape[-1], shape[-2]), lambda P, x: x.mT) if len(shape) >= 2 else None


def sliced(r: Random, shape: Shape, _: str) -> Made | None:
    if not shape or shape[0] < 2:
        return None
    start = r.randrange(shape[0])
    if r.random() < 0.3:
        return Made(f"{{0}}[{start}]", shape[1:], lambda P, x: x[:, start])
    stop = r.randint(start + 1, shape[0])
    return Made(f"{{0}}[{start}:{stop}]", (stop - start, *shape[1:]), lambda P, x: x[:, start:stop])


def product(r: Random, shape: Shape, _: str) -> Made | None:
    """A value with itself the other way round."""
    return Made("{0} @ transpose({0})", (*shape[:-1], shape[-2]), lambda P, x: x @ x.mT) if len(shape) >= 2 else None


def branches(r: Random, shape: Shape, p: str) -> Made | None:
    if len(shape) != 1:
        return None
    a, b = r.randint(1, 3), r.randint(1, 3)

    def computed(P: Any, x: Any) -> Any:
        one, two = x @ P[f"{p}a.W"] + P[f"{p}a.b"], x @ P[f"{p}b.W"] + P[f"{p}b.b"]
        return torch_functions().pad(one.relu(), (0, b)) + torch_functions().pad(two, (a, 0))

    return Made(f"concat({{0}} -> dense({a}) as {p}a -> relu, {{0}} -> dense({b}) as {p}b, axis = 0)", (a + b,), computed)


def repeated(r: Random, shape: Shape, _: str) -> Made | None:
    return Made(f"{{0}} -> repeat(2) {{ dense({shape[0]}) -> tanh }}", shape) if len(shape) == 1 and shape[0] < 9 else None


EVERYWHERE: Sequence[Production] = (activation, activation, learned_activation, dropout, softened)
VECTOR: Sequence[Production] = (
    dense, dense, shared, layernorm, rmsnorm, batchnorm, reduction, reshaped, transposed, sliced, product, branches, repeated, flattened,
)  # fmt: skip
