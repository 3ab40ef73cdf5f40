"""scikit-learn's MLPClassifier, by a `partial_fit` for every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from tools.bench.problem import Problem


def training(problem: Problem, how: str) -> Callable[[], Any]:
    n = problem.workload
    model = MLPClassifier(
        int(n.settings["width"]), solver="sgd", alpha=0, batch_size=n.batch, learning_rate_init=1e-4, momentum=0.9,
        nesterovs_momentum=False, shuffle=False,
    )  # fmt: skip
    model.partial_fit(problem.x, problem.y, classes=np.arange(10))  # makes the arrays that the weights are put in
    for array, value in zip(model.coefs_ + model.intercepts_, _weights_then_biases(problem), strict=True):
        array[...] = value
    del model._optimizer  # the step that was made had other weights: its momentum goes with it

    def step() -> float:
        model.partial_fit(problem.x, problem.y)
        return float(model.loss_)

    return step


def _weights_then_biases(problem: Problem) -> list[Any]:
    return [problem.params[f"{layer}.{kind}"] for kind in "Wb" for layer in ("dense", "dense_2")]
