"""JAX: a training step as one jitted function of a batch that is on the device; it is given its buffers to write over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import nn

from tools.bench.peers.jax_nets import CELLS, NETS
from tools.bench.problem import Array, Problem


def training(problem: Problem, how: str) -> Callable[[], Any]:
    name = problem.workload.spec
    forward, x, y = NETS[name], jnp.asarray(_channels_last(problem.x)), jnp.asarray(problem.y)
    cell = CELLS.get(str(problem.workload.settings.get("cell")))

    def loss_of(params: list[Any], x: Any, y: Any) -> Any:
        log_p = nn.log_softmax(forward(x, iter(params), *([cell] if cell else [])))
        return -jnp.take_along_axis(log_p, y[..., None], -1).mean()

    def step(x: Any, y: Any, params: list[Any], *state: Any) -> tuple[Any, ...]:
        loss, gradients = jax.value_and_grad(loss_of)(params, x, y)
        return loss, *update(params, gradients, *state)

    params = [jnp.asarray(_kernel_last(p)) for p in problem.params.values()]
    update, state = OPTIMIZERS.get(name, momentum), [jnp.zeros_like(p) for p in params]
    now: list[Any] = [params, state]
    if name in OPTIMIZERS:
        now += [[jnp.zeros_like(p) for p in params], jnp.zeros(())]
    jitted = jax.jit(step, donate_argnums=tuple(range(2, 2 + len(now))))

    def run() -> Any:
        loss, *now[:] = jitted(x, y, *now)
        return loss

    return run


def _channels_last(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def _kernel_last(w: Array) -> Array:
    return w.transpose(2, 3, 1, 0) if w.ndim == 4 else w


def momentum(params: Any, gradients: Any, v: Any, rate: float = 1e-4) -> tuple[Any, Any]:
    v = jax.tree.map(lambda v, g: 0.9 * v + g, v, gradients)
    return jax.tree.map(lambda w, v: w - rate * v, params, v), v


def adam(params: Any, gradients: Any, m: Any, v: Any, t: Any, decay: float = 0, rate: float = 1e-3) -> tuple[Any, Any, Any, Any]:
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    small, large = rate / (1 - 0.9**t), 1 / (1 - 0.999**t)
    return jax.tree.map(lambda w, m, v: w * (1 - rate * decay) - small * m / (jnp.sqrt(v * large) + 1e-8), params, m, v), m, v, t


OPTIMIZERS: dict[str, Callable[..., Any]] = {"recurrent": adam, "transformer": partial(adam, decay=1e-2)}
