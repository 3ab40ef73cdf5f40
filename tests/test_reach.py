"""Sequences of no elements, and others too short for what is computed of them: a value, or an error at its place, alike in every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import nnspec
from nnspec.diagnostics import SpecError

ENGINES = ("reference", "numpy", "ort")


def net(formula: str, engine: str) -> nnspec.Net:
    text = f"""
    model M {{
      input x: [T, 4]
      param w: [4] ~ normal(0, 1)
      v = x * w
      m = {formula}
      output m
      loss sum(m) + sum(w)
    }}
    train {{ epochs 1  optimizer sgd(lr = 0.1) }}"""
    return nnspec.loads(text, engine=engine).init(seed=0)


def examples(length: int) -> Any:
    return np.zeros((2, length, 4), np.float32)


VALUES: dict[str, Any] = {
    "sum(v, axis = 0)": lambda x: x.sum(1),
    "log(sum(exp(v), axis = 0))": lambda x: x.logsumexp(1),
    "cumsum(v, axis = 0)": lambda x: x.cumsum(1),
    "softmax(v, axis = 0)": lambda x: x.softmax(1),
    "softmax(v)": lambda x: x.softmax(-1),
    "log(softmax(v))": lambda x: x.log_softmax(-1),
    "log(softmax(v, axis = 0))": lambda x: x.log_softmax(1),
    "transpose(v) @ v": lambda x: x.mT @ x,
    "softmax(v @ transpose(v)) @ v": lambda x: (x @ x.mT).softmax(-1) @ x,
    "v -> layernorm": lambda x: torch.nn.LayerNorm(4)(x).detach(),
    "v -> multihead_attention(2)": lambda x: torch.nn.MultiheadAttention(4, 2, batch_first=True)(x, x, x)[0].detach(),
    "v -> dense(4)": lambda x: torch.nn.Linear(4, 4)(x).detach(),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("formula", VALUES)
def test_of_no_elements_engines_compute_what_torch_does(formula: str, engine: str) -> None:
    ours = net(formula, engine)
    np.testing.assert_array_equal(ours(x=examples(0))["m"], VALUES[formula](torch.zeros(2, 0, 4)).numpy())
    if np.isfinite(ours(x=examples(0))["m"]).all():
        assert np.array_equal(ours.gradients(x=examples(0))[1]["w"], np.ones(4))


NO_VALUE = {
    "mean(v, axis = 0)": (0, "there is no mean of no elements"),
    "mse(v, x)": (0, "there is no mean of no elements"),
    "max(v, axis = 0)": (0, "there is no largest of no elements"),
    "min(v)": (0, "there is no smallest of no elements"),
    "argmax(v, axis = 0) + 0 * w": (0, "there is no largest of no elements"),
    "sum(v -> rnn(3), axis = 0)": (0, "a sequence of no elements has no steps to take"),
    "v -> bidirectional(gru, 3)": (0, "a sequence of no elements has no steps to take"),
    "v[0]": (0, "elements 0 to 1 are wanted of an axis of 0"),
    "transpose(v) -> conv(3, kernel = 5)": (3, "the kernel reaches over 5, the image has 3"),
    "transpose(v) -> conv(3, kernel = 1)": (0, "the kernel reaches over 1, the image has 0"),
    "scan e in transpose(v) with h = 0 { h = h + e[3] }": (3, "elements 3 to 4 are wanted of an axis of 3"),
    "scan e in transpose(v) with h = 0 { h = h + max(e) }": (0, "there is no largest of no elements"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("formula", NO_VALUE)
def test_what_a_short_sequence_has_no_value_for_is_an_error_at_its_place(formula: str, engine: str) -> None:
    length, message = NO_VALUE[formula]
    ours = net(formula, engine)
    for compute in (ours, ours.gradients, ours.step):
        with pytest.raises(SpecError) as caught:
            compute(x=examples(length))
        [found] = caught.value.diagnostics
        assert (found.code, found.message, found.help) == ("E205", message, f"in this data `T` is {length}")
        assert found.span and found.span.line == 6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("formula", ["m = transpose(v) -> conv_transpose(2, 3, pad = 4)", "m = zeros(T - 6)"])
def test_a_size_below_zero_has_its_place(formula: str, engine: str) -> None:
    ours = nnspec.loads(f"model M {{ input x: [T, 4]  v = 2 * x  {formula}  output m }}", engine=engine)
    with pytest.raises(SpecError, match=r"E205.*an axis would have -3 elements(.|\n)*`T` is 3"):
        ours(x=examples(3))
