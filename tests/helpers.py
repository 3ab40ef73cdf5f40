"""What several tests share: short specs, and distances scaled by the largest reference value."""

from __future__ import annotations

import runpy
import tracemalloc
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import nnspec
from nnspec.graph import Type
from nnspec.graph.types import size_names

ROOT = Path(__file__).parent.parent
GALLERY = sorted(p.stem for p in (ROOT / "specs").glob("*.nn"))
MNIST = ROOT.parent / "shared" / "data" / "mnist"


@cache
def tool(name: str) -> dict[str, Any]:
    """What a script beside the package defines."""
    return runpy.run_path(str(ROOT / "tools" / f"{name}.py"))


def distance(value: Any, reference: Any) -> float:
    """The largest difference over the largest reference value."""
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    assert value.shape == reference.shape
    return float(np.abs(value - reference).max() / max(np.abs(reference).max(), 1e-8))


def random_batch(ports: dict[str, Type], examples: int, seed: int = 0) -> dict[str, Any]:
    """A batch that these inputs and targets could hold; every size that is known only at run time is 6."""
    rng = np.random.default_rng(seed)
    out: dict[str, Any] = {}
    for name, port in ports.items():
        shape = port.bound({**dict.fromkeys(size_names(port.shape), 6), "batch": examples}).numbers
        out[name] = rng.integers(0, port.classes or 2, shape) if port.dtype == "int64" else rng.random(shape)
    return out


def traced_peak(net: nnspec.Net, batch: Mapping[str, Any]) -> int:
    """The most bytes that three steps have allocated at a time, after a first."""
    net.engine.step(batch, 0.01)
    tracemalloc.start()
    for _ in range(3):
        net.engine.step(batch, 0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
