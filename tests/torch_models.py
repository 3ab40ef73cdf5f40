"""Models as people write them in torch, small and with weights that differ everywhere, exported to ONNX by either exporter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(20, 16), nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.out(F.gelu(self.fc2(F.relu(self.fc1(x))))), -1)


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        x = F.dropout(F.relu(self.fc2(F.relu(self.fc1(x)))), 0.5, self.training)
        return self.fc3(x)


class BasicBlock(nn.Module):
    def __init__(self, channels: int, units: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, units, 3, stride, 1, bias=False), nn.BatchNorm2d(units)
        self.conv2, self.bn2 = nn.Conv2d(units, units, 3, 1, 1, bias=False), nn.BatchNorm2d(units)
        same = stride == 1 and channels == units
        self.downsample = None if same else nn.Sequential(nn.Conv2d(channels, units, 1, stride, bias=False), nn.BatchNorm2d(units))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    """As in torchvision, with fewer channels."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv1, self.bn1, self.maxpool = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.MaxPool2d(3, 2, 1)
        sizes = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)]
        layers = [nn.Sequential(BasicBlock(i, o, s), BasicBlock(o, o, 1)) for i, o, s in sizes]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def convolved(channels: int, units: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(channels, units, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(units), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, units: int, stride: int, widen: int) -> None:
        super().__init__()
        hidden = channels * widen
        first = [convolved(channels, hidden, 1)] if widen > 1 else []
        last = [nn.Conv2d(hidden, units, 1, bias=False), nn.BatchNorm2d(units)]
        self.conv = nn.Sequential(*first, convolved(hidden, hidden, 3, stride, hidden), *last)
        self.residual = stride == 1 and channels == units

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """As in torchvision, with an eighth of the channels."""

    def __init__(self) -> None:
        super().__init__()
        channels, features = 4, [convolved(3, 4, 3, 2)]
        for widen, units, times, stride in (
            (1, 2, 1, 1),
            (6, 3, 2, 2),
            (6, 4, 3, 2),
            (6, 8, 4, 2),
            (6, 12, 3, 1),
            (6, 20, 3, 2),
            (6, 40, 1, 1),
        ):
            for i in range(times):
                features.append(InvertedResidual(channels, units, 1 if i else stride, widen))
                channels = units
        self.features = nn.Sequential(*features, convolved(channels, 160, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(160, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.features(x), (1, 1)), 1))


class LstmClassifier(nn.Module):
    """The last step of two layers in both directions, or the last state of one."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.both, self.embedding = both, nn.Embedding(30, 12)
        self.lstm = nn.LSTM(12, 10, num_layers=1 + both, bidirectional=both, batch_first=True)
        self.head = nn.Linear(10 + 10 * both, 4)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        steps, (h, _) = self.lstm(self.embedding(words))
        return self.head(steps[:, -1] if self.both else h[-1])


class GruTagger(nn.Module):
    """Time in front inside, as torch has it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(5, 7), nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(x.transpose(0, 1))[0]).transpose(0, 1)


class CausalAttention(nn.Module):
    """As in Karpathy's nanoGPT, with the mask as a buffer or in torch's own function."""

    def __init__(self, width: int, heads: int, longest: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(longest, longest)).view(1, 1, longest, longest))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, c // self.heads).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            fit = (q @ k.transpose(-2, -1)) * (1.0 / k.size(-1) ** 0.5)
            y = F.softmax(fit.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf")), -1) @ v  # type: ignore[index]
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class GptBlock(nn.Module):
    def __init__(self, width: int = 32, fused: bool = False) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), CausalAttention(width, 4, 16, fused), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.h = nn.ModuleList([GptBlock(32, fused) for _ in range(2)])
        self.ln_f, self.lm_head = nn.LayerNorm(32), nn.Linear(32, 50, bias=False)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        y = self.wte(text) + self.wpe(torch.arange(text.shape[1]))
        for block in self.h:
            y = block(y)
        return self.lm_head(self.ln_f(y))


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1))
        enlarge = {"stride": 2, "padding": 1, "output_padding": 1}
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, 8, 3, **enlarge), nn.ReLU(), nn.ConvTranspose2d(8, 1, 3, **enlarge), nn.Sigmoid()
        )  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(x)
        return code, self.decoder(code)


class Encoder(nn.Module):
    """torch's own transformer, which normalises after each of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.enc(x)  # type: ignore[no-any-return]


def reaching_pools() -> nn.Module:
    """Pools whose last windows go beyond the image, as GoogLeNet's and SqueezeNet's do."""
    means = nn.AvgPool2d(4, 3, padding=1, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(3, 2, ceil_mode=True), *means, nn.Flatten(), nn.Linear(36, 5))


@dataclass(frozen=True)
class Example:
    """A model, an input for it, the names of its ports, and the axes that vary beside the batch."""

    model: nn.Module
    input: torch.Tensor
    name: str
    outputs: tuple[str, ...]
    varying: Mapping[int, str] = field(default_factory=dict)


def examples() -> dict[str, Example]:
    image, words, time = torch.randn(2, 1, 28, 28), torch.randint(0, 30, (2, 9)), {1: "T"}
    text = torch.randint(0, 50, (2, 16))
    return {
        "mlp": Example(Mlp(), torch.randn(2, 20), "x", ("log_p",)),
        "lenet": Example(LeNet(), image, "image", ("logits",)),
        "resnet": Example(ResNet18(), torch.randn(2, 3, 32, 32), "image", ("logits",)),
        "mobilenet": Example(MobileNetV2(), torch.randn(2, 3, 32, 32), "image", ("logits",)),
        "lstm": Example(LstmClassifier(both=True), words, "words", ("logits",), time),
        "lstm_state": Example(LstmClassifier(both=False), words, "words", ("logits",), time),
        "gru": Example(GruTagger(), torch.randn(2, 9, 5), "x", ("y",), time),
        "gpt_block": Example(GptBlock(), torch.randn(2, 16, 32), "x", ("y",)),
        "gpt": Example(Gpt(fused=True), text, "text", ("logits",)),
        "gpt_any_length": Example(Gpt(), text[:, :9], "text", ("logits",), time),
        "autoencoder": Example(Autoencoder(), image, "image", ("code", "recon")),
        "reaching_pools": Example(reaching_pools(), image, "image", ("logits",)),
        "encoder": Example(Encoder(), torch.randn(2, 9, 16), "x", ("y",)),
    }


def example(name: str) -> Example:
    """One of them, the same every time, none of its weights equal to another: exporters join those that are."""
    torch.manual_seed(0)
    found = examples()[name]
    with torch.no_grad():
        for p in (*found.model.parameters(), *found.model.buffers()):
            if p.dtype == torch.float32 and p.ndim == 1:
                p.add_(0.1 * torch.rand_like(p))
    found.model.eval()
    return found


def export(e: Example, path: Path, *, dynamo: bool = False, **more: Any) -> Path:
    """The model as a file, its batch of any size."""
    axes = {0: "batch", **e.varying}
    how: dict[str, Any] = {"dynamic_axes": {e.name: axes, **{o: {0: "batch"} for o in e.outputs}}}
    if dynamo:
        largest = {"batch": 64, "T": 16}
        how = {"dynamic_shapes": ({a: torch.export.Dim(n, min=2, max=largest[n]) for a, n in axes.items()},), "external_data": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            e.model, (e.input,), str(path), dynamo=dynamo, input_names=[e.name], output_names=list(e.outputs), verbose=False, **how, **more
        )
    return path


def outputs(e: Example, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        found = e.model(x)
    return list(found) if isinstance(found, tuple) else [found]
