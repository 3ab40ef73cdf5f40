"""The workloads' networks in PyTorch, their layers in the order of the specs, from which they take their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tools.bench.problem import Array, Problem


class Positional(nn.Embedding):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight[: x.shape[1]]


class QueryKeyValue(nn.Linear):
    """Three projections in one; the bias of the keys, which the spec does not have, changes nothing."""


class Attention(nn.Module):
    def __init__(self, n: int, heads: int) -> None:
        super().__init__()
        self.heads, self.project, self.out = heads, QueryKeyValue(n, 3 * n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(seen.transpose(1, 2).flatten(2))


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class LastState(nn.Module):
    """The bias of the recurrent product is a second one where the spec has none (but for the new state of a gru), and stays 0 there."""

    def __init__(self, cell: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.cell = cell(64, 128, batch_first=True)
        self.cell.bias_hh_l0.register_hook(self._without_second_biases)

    def _without_second_biases(self, gradient: Tensor) -> Tensor:
        only = torch.zeros_like(gradient)
        if isinstance(self.cell, nn.GRU):
            only[256:] = gradient[256:]
        return only

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0][:, -1]


def _conv(channels: int, units: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, units, 3, padding=1), nn.ReLU()]


def _normalised(channels: int, units: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, units, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(units)]


def _blocks(c: int) -> list[nn.Module]:
    return [m for _ in range(2) for m in (Residual(*_normalised(c, c, 3), nn.ReLU(), *_normalised(c, c, 3)), nn.ReLU())]


def _mlp(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))


def _cnn() -> nn.Module:
    features = [*_conv(1, 32), nn.MaxPool2d(2), *_conv(32, 64), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def _vgg() -> nn.Module:
    first = [*_conv(3, 64), *_conv(64, 64), nn.MaxPool2d(2), *_conv(64, 128), *_conv(128, 128), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *_conv(128, 256), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4096, 10))


def _resnet() -> nn.Module:
    first = [*_normalised(3, 32, 3), nn.ReLU(), *_blocks(32), nn.MaxPool2d(2), *_normalised(32, 64, 1), *_blocks(64)]
    last = [nn.MaxPool2d(2), *_normalised(64, 128, 1), *_blocks(128), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*first, *last, nn.Flatten(), nn.Linear(128, 10))


def _recurrent(cell: str) -> nn.Module:
    return nn.Sequential(LastState({"lstm": nn.LSTM, "gru": nn.GRU}[cell]), nn.Linear(128, 10))


def _transformer(n: int = 128, vocabulary: int = 256) -> nn.Module:
    blocks = []
    for _ in range(2):
        blocks += [Residual(nn.LayerNorm(n), Attention(n, 4))]
        blocks += [Residual(nn.LayerNorm(n), nn.Linear(n, 4 * n), nn.GELU("tanh"), nn.Linear(4 * n, n))]
    return nn.Sequential(nn.Embedding(vocabulary, n), Positional(64, n), *blocks, nn.LayerNorm(n), nn.Linear(n, vocabulary))


NETS: dict[str, Callable[..., nn.Module]] = {
    "mlp": _mlp, "cnn": _cnn, "vgg": _vgg, "resnet": _resnet, "recurrent": _recurrent, "transformer": _transformer,
}  # fmt: skip
Layer = Mapping[str, Array]


def _dense(layer: Layer) -> dict[str, Array]:
    return {"weight": layer["W"].T, "bias": layer["b"]}


def _projections(query: Layer, key: Layer, value: Layer) -> dict[str, Array]:
    weights, nothing = [p["W"].T for p in (query, key, value)], np.zeros_like(query["b"])
    return {"weight": np.concatenate(weights), "bias": np.concatenate([query["b"], nothing, value["b"]])}


def _gates(w: Array, order: tuple[int, ...]) -> Array:
    """Gates that lie side by side in the order of the spec, below each other in another."""
    parts = np.split(w.T, len(order))
    return np.concatenate([parts[i] for i in order])


def _lstm(layer: Layer) -> dict[str, Array]:
    w, r, b = (_gates(layer[n], (0, 2, 3, 1)) for n in ("W", "R", "b"))
    return {"weight_ih_l0": w, "weight_hh_l0": r, "bias_ih_l0": b, "bias_hh_l0": np.zeros_like(b)}


def _gru(layer: Layer) -> dict[str, Array]:
    w, r, b = (_gates(layer[n], (1, 0, 2)) for n in ("W", "R", "b"))
    recurrent = np.concatenate([np.zeros(2 * len(layer["b_R"]), np.float32), layer["b_R"]])
    return {"weight_ih_l0": w, "weight_hh_l0": r, "bias_ih_l0": b, "bias_hh_l0": recurrent}


def _normalising(layer: Layer) -> dict[str, Array]:
    return {"weight": layer["gamma"], "bias": layer["beta"]}


TAKES: dict[type[nn.Module], Callable[..., dict[str, Array]]] = {
    nn.Linear: _dense,
    QueryKeyValue: _projections,
    nn.Conv2d: lambda layer: {"weight": layer["W"]} | ({"bias": layer["b"]} if "b" in layer else {}),
    nn.Embedding: lambda layer: {"weight": layer["W"]},
    Positional: lambda layer: {"weight": layer["W"]},
    nn.BatchNorm2d: _normalising,
    nn.LayerNorm: _normalising,
    nn.LSTM: _lstm,
    nn.GRU: _gru,
}


def network(problem: Problem) -> nn.Module:
    """The network with the weights of the problem."""
    net = NETS[problem.workload.spec](**problem.workload.settings)
    layers = _layers(problem.params)
    for module in net.modules():
        if take := TAKES.get(type(module)):
            values = take(*(next(layers) for _ in range(3 if take is _projections else 1)))
            module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in values.items()}, strict=False)
    assert next(layers, None) is None, "the spec has more layers"
    return net


def _layers(params: Mapping[str, Array]) -> Iterator[Layer]:
    for _, named in groupby(params.items(), lambda item: item[0].rpartition(".")[0]):
        yield {name.rpartition(".")[2]: value for name, value in named}
