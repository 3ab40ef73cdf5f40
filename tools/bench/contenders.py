"""Who takes part in a workload, and in which environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from tools.bench.workloads import IMAGES, MNIST, Workload

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Without these a step of PyTorch gives its activations back to the system and gets them again, page by page.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


class Column(StrEnum):
    OURS = "ours"
    PEER = "peer"
    PINNED = "pinned"  # ours with the OpenBLAS settings of this environment
    TUNED = "tuned"  # peers with another malloc


@dataclass(frozen=True)
class Contender:
    """`module` of `tools.bench.peers` computes it, the way `how` says."""

    name: str
    column: Column
    module: str
    how: str = ""
    needs: str = ""

    @property
    def missing(self) -> bool:
        return bool(self.needs) and find_spec(self.needs) is None

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if self.column == Column.PINNED or k not in PINS}
        return kept | MALLOC if self.column == Column.TUNED else kept


def contenders(workload: Workload, engine: str) -> Iterator[Contender]:
    """Ours first."""
    yield Contender("nnspec", Column.OURS, "ours", engine)
    if not workload.inference and any(p in os.environ for p in PINS):  # onnxruntime does not use OpenBLAS
        yield Contender("nnspec, pinned", Column.PINNED, "ours", engine)
    eager = {"torch": "eager"} | ({"torch channels-last": "channels_last"} if workload.spec in IMAGES else {})
    for name, how in eager.items():
        yield Contender(name, Column.PEER, "torch_peer", how, "torch")
    if workload not in MNIST:
        yield from _others(workload)
    for name, how in eager.items():
        yield Contender(f"{name}, malloc tuned", Column.TUNED, "torch_peer", how, "torch")


def _others(workload: Workload) -> Iterator[Contender]:
    yield Contender("torch.compile", Column.PEER, "torch_peer", "compile", "torch")
    if workload.inference:
        yield Contender("torch.jit", Column.PEER, "torch_peer", "jit", "torch")
        return
    yield Contender("jax", Column.PEER, "jax_peer", needs="jax")
    if workload.spec == "mlp":
        yield Contender("scikit-learn", Column.PEER, "sklearn_peer", needs="sklearn")
