"""nnspec: a training step in its engine, and the exported model in onnxruntime, as who deploys it runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.train.choose import choose
from nnspec.train.schedule import base_rate
from tools.bench.problem import Problem, network

MANY = 1_000_000


def training(problem: Problem, engine: str) -> Callable[[], Any]:
    net = network(problem.workload, **({"engine": engine} if engine else {}))
    for name, value in problem.params.items():
        net.params[name][...] = value
    batch, lr = {"x": problem.x, "y": problem.y}, base_rate(net.spec, 0)
    if not engine:
        choose(net.engine, batch, MANY)  # as a long training does
    placed = net.engine.place(batch)  # as the peers' batches lie in theirs
    return lambda: net.engine.step(placed, lr, settled=False)  # as in an epoch


def inference(problem: Problem, how: str) -> Callable[[], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(problem.model), providers=["CPUExecutionProvider"])
    feeds = {"x": np.ascontiguousarray(problem.x)}
    return lambda: session.run(None, feeds)[0]
