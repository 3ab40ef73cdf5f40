"""The layers of the library against those of torch, gradients against differences, and the same in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import distance
from std_models import EXAMPLES
from test_std import check_gradients_and_export

import nnspec

torch = pytest.importorskip("torch")
F = torch.nn.functional
Tensors = dict[str, Any]

LENGTH = 6
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Layer:
    """A stage on an example of this shape, where `T` is a run-time size, and what torch makes of it with the same parameters."""

    stage: str
    shape: tuple[int | str, ...]
    torch: Callable[[Tensors, Any], Any]

    def of_fixed_length(self) -> str:
        """A model whose parameter s has the gradient of the input; the loss bends, so that no gradient is lost where a sum is constant."""
        shape = [LENGTH if d == "T" else d for d in self.shape]
        return f"model M {{ input x: {shape}  param s: {shape} = 0  y = x + s -> {self.stage}  output y  loss sum(y^2 + 3 * y) }}"

    def of_any_length(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]"
        return f"model M {{ input x: {shape}  param s = 0  y = x + s -> {self.stage}  output y  loss sum(y^2 + 3 * y) }}"


# ---- recurrent layers


def recurrent(name: str, cell: str, order: tuple[int, ...]) -> Callable[[Tensors, Any], Any]:
    """A layer of torch whose gates are those of ours in this order."""

    def run(p: Tensors, x: Any) -> Any:
        weights = gates(p, name, order)
        layer = getattr(torch.nn, cell)(x.shape[-1], len(weights["weight_hh_l0"][0]), batch_first=True, dtype=x.dtype)
        return torch.func.functional_call(layer, weights, x)[0]

    return run


def gates(p: Tensors, name: str, order: tuple[int, ...], ending: str = "l0") -> Tensors:
    w, r, b = (torch.cat([p[f"{name}.{n}"].chunk(len(order), -1)[i] for i in order], -1) for n in "WRb")
    recurrent_bias = torch.zeros_like(b)
    if f"{name}.b_R" in p:
        recurrent_bias = torch.cat([recurrent_bias[: -len(p[f"{name}.b_R"])], p[f"{name}.b_R"]])
    return {f"weight_ih_{ending}": w.T, f"weight_hh_{ending}": r.T, f"bias_ih_{ending}": b, f"bias_hh_{ending}": recurrent_bias}


def reversed_steps(layer: Callable[[Tensors, Any], Any]) -> Callable[[Tensors, Any], Any]:
    return lambda p, x: layer(p, x.flip(1)).flip(1)


def both_ways(p: Tensors, x: Any) -> Any:
    weights = gates(p, "bidirectional.forward", LSTM) | gates(p, "bidirectional.backward", LSTM, "l0_reverse")
    layer = torch.nn.LSTM(x.shape[-1], 4, batch_first=True, bidirectional=True, dtype=x.dtype)
    return torch.func.functional_call(layer, weights, x)[0]


RNN, LSTM, GRU = (0,), (0, 2, 3, 1), (1, 0, 2)
SEQUENCE = ("T", 3)
RECURRENT = [
    Layer("rnn(4)", SEQUENCE, recurrent("rnn", "RNN", RNN)),
    Layer("rnn(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("rnn", "RNN", RNN))),
    Layer("rnn(1)", SEQUENCE, recurrent("rnn", "RNN", RNN)),
    Layer("lstm(4)", SEQUENCE, recurrent("lstm", "LSTM", LSTM)),
    Layer("lstm(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("lstm", "LSTM", LSTM))),
    Layer("gru(4)", SEQUENCE, recurrent("gru", "GRU", GRU)),
    Layer("gru(4, reverse = true)", SEQUENCE, reversed_steps(recurrent("gru", "GRU", GRU))),
    Layer("bidirectional(lstm, 4)", SEQUENCE, both_ways),
]

LAYERS = pytest.mark.parametrize("layer", [*RECURRENT], ids=lambda layer: layer.stage)


def randomised(net: nnspec.Net) -> Tensors:
    """Every parameter drawn anew, so that none that starts at 0 or 1 hides a mistake, and the same for torch."""
    rng = np.random.default_rng(1)
    for value in net.params.values():
        value[...] = rng.normal(0, 0.5, value.shape)
    return {n: torch.tensor(v).requires_grad_() for n, v in net.params.items()}


@LAYERS
def test_a_layer_and_all_its_gradients_equal_torch(layer: Layer) -> None:
    net = nnspec.loads(layer.of_fixed_length(), dtype="float64").init(0)
    parameters = randomised(net)
    x = np.random.default_rng(0).normal(size=(EXAMPLES, *net.inputs["x"].shape[1:]))
    y = layer.torch(parameters, torch.tensor(x) + parameters["s"])
    assert distance(net(x=x)["y"], y.detach()) < TOLERANCE
    (y**2 + 3 * y).flatten(1).sum(1).mean().backward()
    for name, gradient in net.gradients(x=x)[1].items():
        assert distance(gradient, parameters[name].grad) < TOLERANCE, name


@LAYERS
def test_a_layer_has_the_right_gradient_here_and_in_onnxruntime(layer: Layer, tmp_path: Path) -> None:
    check_gradients_and_export(nnspec.loads(layer.of_any_length()), tmp_path / "m.onnx")


def test_the_bias_of_the_forget_gate_starts_open() -> None:
    model = "model M {{ input x: [5, 3]  output y = x -> lstm({}) }}"
    forget = slice(4, 6)
    for stage, start in {"2": 1, "2, forget_bias = 0": 0, "2, forget_bias = 2.5": 2.5}.items():
        b = nnspec.loads(model.format(stage)).init(0).params["lstm.b"]
        assert (b[forget] == start).all() and not np.delete(b, forget).any()
