"""The layer table, held against torch's own counting of the same networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import nnspec
from nnspec.elaborate.report import size_of
from nnspec.summary import summary


def conv(i: int, o: int, k: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, stride, k // 2, bias=bias)


class Inception(nn.Module):
    def __init__(self, i: int, one: int, three_in: int, three: int, five_in: int, five: int, pooled: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            nn.Sequential(conv(i, one, 1), nn.ReLU()),
            nn.Sequential(conv(i, three_in, 1), nn.ReLU(), conv(three_in, three, 3), nn.ReLU()),
            nn.Sequential(conv(i, five_in, 1), nn.ReLU(), conv(five_in, five, 5), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(i, pooled, 1), nn.ReLU()),
        ])  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([b(x) for b in self.branches], 1)


def googlenet() -> nn.Module:
    """Table 1 of Szegedy et al. 2015; local response normalisation has no weights and no convolutions."""
    pool = lambda: nn.MaxPool2d(3, 2, 1)  # noqa: E731
    return nn.Sequential(
        conv(3, 64, 7, 2), nn.ReLU(), pool(), conv(64, 64, 1), nn.ReLU(), conv(64, 192, 3), nn.ReLU(), pool(),
        Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64), pool(),
        Inception(480, 192, 96, 208, 16, 48, 64), Inception(512, 160, 112, 224, 24, 64, 64), Inception(512, 128, 128, 256, 24, 64, 64),
        Inception(512, 112, 144, 288, 32, 64, 64), Inception(528, 256, 160, 320, 32, 128, 128), pool(),
        Inception(832, 256, 160, 320, 32, 128, 128), Inception(832, 384, 192, 384, 48, 128, 128),
        nn.AvgPool2d(7), nn.Flatten(), nn.Linear(1024, 1000),
    )  # fmt: skip


LENET = """
model LeNet5 {
  input image: [1, 32, 32]
  f = image -> conv(6, 5) -> tanh -> avgpool(2) -> conv(16, 5) -> tanh -> avgpool(2) -> flatten
  output y = f -> dense(120) -> tanh -> dense(84) -> tanh -> dense(10)
}"""

RESNET18 = """
layer block(x, channels, stride = 1) {
  y = x -> conv(channels, 3, stride, pad = 1, bias = false) -> batchnorm -> relu -> conv(channels, 3, pad = 1, bias = false) -> batchnorm
  short = if stride == 1 then x else (x -> conv(channels, 1, stride, bias = false) -> batchnorm)
  return relu(short + y)
}
model ResNet18 {
  input image: [3, 224, 224]
  output y = image -> conv(64, 7, stride = 2, pad = 3, bias = false) -> batchnorm -> relu -> maxpool(3, stride = 2, pad = 1)
    -> block(64) -> block(64) -> block(128, 2) -> block(128) -> block(256, 2) -> block(256) -> block(512, 2) -> block(512)
    -> global_avgpool -> dense(1000)
}"""


class Block(nn.Module):
    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.y = nn.Sequential(
            conv(i, o, 3, stride, bias=False), nn.BatchNorm2d(o), nn.ReLU(), conv(o, o, 3, bias=False), nn.BatchNorm2d(o)
        )
        self.short = nn.Identity() if stride == 1 else nn.Sequential(conv(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.short(x) + self.y(x))


def resnet18() -> nn.Module:
    return nn.Sequential(
        conv(3, 64, 7, 2, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Block(64, 64), Block(64, 64),
        Block(64, 128, 2), Block(128, 128), Block(128, 256, 2), Block(256, 256), Block(256, 512, 2), Block(512, 512),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(512, 1000),
    )  # fmt: skip


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def counted(module: nn.Module, *shape: int) -> tuple[int, int, list[int]]:
    """Weights, operations of products and convolutions, and the bytes of what each stage gives, by torch."""
    sizes: list[int] = []
    for stage in module.children():
        stage.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel() * out.element_size()))
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return sum(p.numel() for p in module.parameters()), flops.get_total_flops(), sizes


def products(net: nnspec.Net) -> int:
    """The operations of products and convolutions alone: what torch counts."""
    graph: Any = net.spec.graph
    work = 0
    for node in graph:
        if node.op.name in ("matmul", "conv"):
            out, *inputs = (t.bound({"batch": 1}) for t in (node.type, *(graph[i].type for i in node.inputs)))
            work += node.op.work(out, tuple(inputs), node.attributes)
    return work


@pytest.mark.parametrize(
    ("spec", "module", "shape"),
    [(LENET, lenet, (1, 32, 32)), (RESNET18, resnet18, (3, 224, 224)), ("googlenet", googlenet, (3, 224, 224))],
    ids=["LeNet-5", "ResNet-18", "GoogLeNet"],
)
def test_weights_operations_and_bytes_are_those_that_torch_counts(spec: str, module: Any, shape: tuple[int, ...]) -> None:
    net = nnspec.loads(spec) if "model" in spec else nnspec.load(spec)
    network = module()
    weights, flops, sizes = counted(network, *shape)
    table = net.spec.table
    activations = [r.activation for r in table]
    assert sum(r.parameters for r in table) == weights
    if spec == "googlenet":  # torch's is written without local response normalisation, which is a product in ours
        flops += sum(2 * channels**2 * 56 * 56 for channels in (64, 192))
        sizes = [size for size, stage in zip(sizes, network.children(), strict=True) if isinstance(stage, Inception)]
        activations = [r.activation for r in table if r.name.startswith("inception")]
    assert activations == sizes
    assert products(net) == flops


def test_a_block_of_a_gpt_costs_what_torch_counts() -> None:
    net = nnspec.loads("model B { input x: [16, 32]  output y = x -> transformer_block(heads = 4, causal = true) }")
    layer = nn.TransformerEncoderLayer(32, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:  # other kernels are not counted on a processor
        layer.train()(torch.zeros(1, 16, 32))
    assert products(net) == flops.get_total_flops()
    assert net.spec.table[0].parameters == sum(p.numel() for p in layer.parameters()) - 32  # torch's keys have a bias
    assert net.spec.table[0].activation == 16 * 32 * 4


def test_the_widest_value_may_be_inside_a_stage() -> None:
    net = nnspec.load("gpt")
    assert summary(net.spec).splitlines()[-1] == "widest value: [T, 512] in transformer_block, 2048*T bytes"
    loop = "hs = scan x_t in x with h = zeros(60) { h = tanh(h + sum(x_t)) }"
    assert summary(nnspec.loads(f"model M {{ input x: [T, 3]  {loop}  output o = sum(hs[-1]) }}").spec).endswith(
        "[T, 60] in hs, 240*T bytes"
    )
    assert max(int(str(size_of(r.widest))) for r in nnspec.load("googlenet").spec.table) == 64 * 112 * 112 * 4


def test_the_bytes_of_all_stages_are_added() -> None:
    lines = summary(nnspec.load("mnist_wide").spec).splitlines()
    assert lines[0].split() == ["name", "formula", "output", "params", "FLOPs", "bytes", "sees"]
    assert lines[-2].split() == ["MnistWide", "795,010", "1,590,040", "8,080"]
