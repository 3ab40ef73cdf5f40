"""PyTorch: a training step as its tutorials write it, with its fused optimizers; and its three ways to run a trained network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tools.bench.peers.torch_nets import network
from tools.bench.problem import Problem

_MOMENTUM = partial(torch.optim.SGD, lr=1e-4, momentum=0.9, fused=True)
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "recurrent": partial(torch.optim.Adam, lr=1e-3, fused=True),
    "transformer": partial(torch.optim.AdamW, lr=1e-3, fused=True),
}


def training(problem: Problem, how: str) -> Callable[[], Any]:
    """`how` is eager, channels_last or compile."""
    net, x = _in_format(network(problem), problem, how)
    y, optimizer = torch.from_numpy(problem.y).flatten(), OPTIMIZERS.get(problem.workload.spec, _MOMENTUM)(net.parameters())

    def loss_of(x: Tensor) -> Tensor:
        return F.cross_entropy(net(x).flatten(0, -2), y)

    forward = torch.compile(loss_of) if how == "compile" else loss_of

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = forward(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def inference(problem: Problem, how: str) -> Callable[[], Any]:
    """`how` is eager, channels_last, jit or compile."""
    net, x = _in_format(network(problem).eval(), problem, how)
    with torch.inference_mode():
        run = {"jit": _frozen, "compile": lambda net, x: torch.compile(net)}.get(how, lambda net, x: net)(net, x)

    def step() -> Tensor:
        with torch.inference_mode():
            return run(x)

    return step


def _frozen(net: nn.Module, x: Tensor) -> Any:
    return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))


def _in_format(net: nn.Module, problem: Problem, how: str) -> tuple[nn.Module, Tensor]:
    x = torch.from_numpy(problem.x)
    if how != "channels_last":
        return net, x
    return net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
