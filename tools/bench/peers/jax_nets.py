"""The workloads' networks in JAX, on weights in the order of the specs; images channels-last, as XLA likes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
from jax import lax, nn

Weights = Iterator[Any]
"""What each layer takes in turn."""


def dense(x: Any, w: Weights) -> Any:
    return x @ next(w) + next(w)


def conv(x: Any, w: Weights) -> Any:
    return lax.conv_general_dilated(x, next(w), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolved(x: Any, w: Weights) -> Any:
    return nn.relu(conv(x, w) + next(w))


def maxpool(x: Any) -> Any:
    n, height, width, c = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, c).max((2, 4))


def flatten(x: Any) -> Any:
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def normalised(x: Any, w: Weights) -> Any:
    """Without the running averages, which a step does not need."""
    y = conv(x, w)
    return standard(y, (0, 1, 2)) * next(w) + next(w)


def standard(x: Any, axes: Any) -> Any:
    return (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + 1e-5)


def layernorm(x: Any, w: Weights) -> Any:
    return standard(x, -1) * next(w) + next(w)


def attention(x: Any, w: Weights, heads: int = 4) -> Any:
    n, length, width = x.shape
    wq, bq, wk, wv, bv = (next(w) for _ in range(5))
    projected = x @ jnp.concatenate([wq, wk, wv], 1) + jnp.concatenate([bq, jnp.zeros_like(bq), bv])
    q, k, v = jnp.moveaxis(projected.reshape(n, length, 3, heads, -1), 2, 0)
    fit = jnp.einsum("bqhc,bkhc->bhqk", q, k) / (width // heads) ** 0.5
    fit = jnp.where(jnp.tril(jnp.ones((length, length), bool)), fit, -1e9)
    return dense(jnp.einsum("bhqk,bkhc->bqhc", nn.softmax(fit), v).reshape(x.shape), w)


def lstm(x: Any, w: Weights) -> Any:
    wx, wh, b = (next(w) for _ in range(3))

    def step(carried: tuple[Any, Any], now: Any) -> tuple[tuple[Any, Any], None]:
        h, c = carried
        i, o, f, g = jnp.split(now + h @ wh, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return (nn.sigmoid(o) * jnp.tanh(c), c), None

    start = jnp.zeros((len(x), len(wh)))
    return lax.scan(step, (start, start), jnp.moveaxis(x @ wx + b, 1, 0))[0][0]


def gru(x: Any, w: Weights) -> Any:
    wx, wh, b, b_new = (next(w) for _ in range(4))

    def step(h: Any, now: Any) -> tuple[Any, None]:
        (z, r, n), (hz, hr, hn) = jnp.split(now, 3, -1), jnp.split(h @ wh, 3, -1)
        z = nn.sigmoid(z + hz)
        return (1 - z) * jnp.tanh(n + nn.sigmoid(r + hr) * (hn + b_new)) + z * h, None

    return lax.scan(step, jnp.zeros((len(x), len(wh))), jnp.moveaxis(x @ wx + b, 1, 0))[0]


CELLS = {"lstm": lstm, "gru": gru}


def mlp(x: Any, w: Weights) -> Any:
    return dense(nn.relu(dense(x, w)), w)


def cnn(x: Any, w: Weights) -> Any:
    x = maxpool(convolved(maxpool(convolved(x, w)), w))
    return dense(nn.relu(dense(flatten(x), w)), w)


def vgg(x: Any, w: Weights) -> Any:
    for convolutions in (2, 2, 1):
        for _ in range(convolutions):
            x = convolved(x, w)
        x = maxpool(x)
    return dense(flatten(x), w)


def resnet(x: Any, w: Weights) -> Any:
    x = nn.relu(normalised(x, w))
    for stage in range(3):
        x = normalised(maxpool(x), w) if stage else x
        for _ in range(2):
            x = nn.relu(x + normalised(nn.relu(normalised(x, w)), w))
    return dense(x.mean((1, 2)), w)


def recurrent(x: Any, w: Weights, cell: Callable[[Any, Weights], Any]) -> Any:
    return dense(cell(x, w), w)


def transformer(x: Any, w: Weights) -> Any:
    x = next(w)[x] + next(w)[: x.shape[1]]
    for _ in range(2):
        x = x + attention(layernorm(x, w), w)
        x = x + dense(nn.gelu(dense(layernorm(x, w), w)), w)
    return dense(layernorm(x, w), w)


NETS: dict[str, Callable[..., Any]] = {
    "mlp": mlp, "cnn": cnn, "vgg": vgg, "resnet": resnet, "recurrent": recurrent, "transformer": transformer,
}  # fmt: skip
