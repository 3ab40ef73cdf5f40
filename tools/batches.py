"""Batches that inputs and targets could hold, for what is only to be computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.graph.types import BATCH_NAME, Type, size_names

LENGTH = 6


def random_batch(ports: Mapping[str, Type], examples: int, seed: int = 0) -> dict[str, Any]:
    """Numbers from 0 to 1, and classes; every size that is known only at run time is 6."""
    rng, found = np.random.default_rng(seed), dict[str, Any]()
    for name, port in ports.items():
        shape = port.bound({**dict.fromkeys(size_names(port.shape), LENGTH), BATCH_NAME: examples}).numbers
        found[name] = rng.integers(0, port.classes or 2, shape) if port.dtype == "int64" else rng.random(shape)
    return found
