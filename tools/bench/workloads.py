"""The workloads: which spec on what batch, and how many times faster than the best peer it is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPECS = Path(__file__).parent / "specs"
IMAGES = ("cnn", "vgg", "resnet")


@dataclass(frozen=True)
class Workload:
    """`at_least` and `aim` are ratios, the best peer's time over ours; of the gallery's MNIST run, of time or (`lower`) of memory."""

    name: str
    title: str
    spec: str
    batch: int
    at_least: float
    aim: float
    settings: Mapping[str, str | int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    inference: bool = False
    lower: bool = False

    @property
    def path(self) -> Path:
        return SPECS / f"{self.spec}.nn"


def _mlp(width: int, batch: int, at_least: float, aim: float) -> Workload:
    return Workload(f"mlp-{width}", f"MLP 784-{width}-10, batch {batch}", "mlp", batch, at_least, aim, {"width": width})


def _cnn(batch: int) -> Workload:
    return Workload(f"cnn-{batch}", f"CNN, batch {batch}", "cnn", batch, 1.2, 1.6)


def _recurrent(cell: str, at_least: float, aim: float) -> Workload:
    title = f"{cell.upper()}, 50 steps, batch 32, adam"
    return Workload(cell, title, "recurrent", 32, at_least, aim, {"cell": cell}, {"T": 50})


def _exported(of: Workload, called: str, batch: int, at_least: float = 1.2) -> Workload:
    name, title = f"onnx-{called.lower()}-{batch}", f"{called} in onnxruntime, batch {batch}"
    return Workload(name, title, of.spec, batch, at_least, 2.0, of.settings, of.sizes, inference=True)


LSTM, GRU = _recurrent("lstm", 0.8, 1.0), _recurrent("gru", 2.0, 2.8)
TRANSFORMER = Workload("transformer", "Transformer, 64 steps, batch 16, adamw", "transformer", 16, 1.4, 1.8, sizes={"T": 64})
TRAINING = (
    _mlp(64, 32, 2.0, 3.0),
    _mlp(128, 64, 1.6, 2.2),
    _mlp(1000, 128, 1.0, 1.25),
    _mlp(2000, 256, 1.0, 1.25),
    *map(_cnn, (32, 64, 256)),
    Workload("vgg", "VGG-like, batch 64", "vgg", 64, 1.0, 1.45),
    Workload("resnet", "ResNet with batchnorm, batch 64", "resnet", 64, 0.8, 1.05),
    LSTM,
    GRU,
    TRANSFORMER,
)
INFERENCE = (
    *(_exported(TRAINING[1], "MLP", batch) for batch in (1, 64)),
    *(_exported(_cnn(64), "CNN", batch) for batch in (1, 64)),
    _exported(LSTM, "LSTM", 1),
    _exported(LSTM, "LSTM", 64, 0.95),
    *(_exported(TRANSFORMER, "Transformer", batch) for batch in (1, 64)),
)
MNIST = (
    Workload("mnist", "MNIST, one epoch from start to exit", "mnist_mlp", 64, 3.0, 5.0),
    Workload("mnist-memory", "MNIST, peak memory, share of torch's", "mnist_mlp", 64, 0.6, 0.4, lower=True),
)
WORKLOADS = {w.name: w for w in (*TRAINING, *INFERENCE, *MNIST)}
