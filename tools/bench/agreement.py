"""Whether the contenders compute the same: from the same weights, the same losses over three steps, or the same outputs."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench import problem
from tools.bench.contenders import Column, Contender
from tools.bench.workloads import Workload

STEPS, BATCH, TOLERANCE = 3, 2, 1e-4


def differences(workload: Workload, contenders: Iterable[Contender]) -> Iterator[tuple[str, float]]:
    """The name of every peer, and how far it is from ours, over the largest number; on a small batch."""
    workload = replace(workload, batch=BATCH)
    ours, *peers = (c for c in contenders if c.column in (Column.OURS, Column.PEER) and not c.missing)
    with tempfile.TemporaryDirectory() as folder:
        problem.write(workload, Path(folder))
        given = problem.load(workload, Path(folder))
        expected = _steps(ours, given)
        for peer in peers:
            yield peer.name, float(np.abs(_steps(peer, given) - expected).max() / np.abs(expected).max())


def _steps(contender: Contender, given: problem.Problem) -> Any:
    peer = importlib.import_module(f"tools.bench.peers.{contender.module}")
    step = (peer.inference if given.workload.inference else peer.training)(given, contender.how)
    return np.stack([np.array(step()) for _ in range(STEPS)])
