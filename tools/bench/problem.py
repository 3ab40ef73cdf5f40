"""What all contenders of a workload are given: the first weights, a batch, and the exported model.

    python -m tools.bench.problem WORKLOAD FOLDER

writes it, as a process of its own: a parent that has imported much shows in the peak memory of its children.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench.workloads import WORKLOADS, Workload

Array = np.ndarray[Any, np.dtype[Any]]
FILE, MODEL = "problem.npz", "model.onnx"


@dataclass(frozen=True)
class Problem:
    """`params` are the first weights by their names in the spec, in its order."""

    workload: Workload
    params: dict[str, Array]
    x: Array
    y: Array
    folder: Path = Path()

    @property
    def model(self) -> Path:
        """The exported network, with these weights."""
        return self.folder / MODEL


def made(workload: Workload) -> Problem:
    net = network(workload)
    rng, sizes = np.random.default_rng(0), {**workload.sizes, "batch": workload.batch}
    x, y = (_drawn(ports[name].bound(sizes), rng) for ports, name in ((net.inputs, "x"), (net.targets, "y")))
    return Problem(workload, {n: np.array(v) for n, v in net.params.items()}, x, y)


def network(workload: Workload, **how: Any) -> Any:
    import nnspec

    return nnspec.load(workload.path, **how, **workload.settings)


def _drawn(port: Any, rng: np.random.Generator) -> Array:
    values = rng.integers(0, port.classes, port.numbers) if port.classes else rng.standard_normal(port.numbers, np.float32)
    return np.asarray(values)


def load(workload: Workload, folder: Path) -> Problem:
    with np.load(folder / FILE) as arrays:
        params = {n.removeprefix("param:"): arrays[n] for n in arrays.files if n.startswith("param:")}
        return Problem(workload, params, arrays["x"], arrays["y"], folder)


def write(workload: Workload, folder: Path) -> None:
    problem = made(workload)
    arrays = {"x": problem.x, "y": problem.y, **{f"param:{n}": v for n, v in problem.params.items()}}
    np.savez(folder / FILE, allow_pickle=False, **arrays)
    if workload.inference:
        network(workload).export(folder / MODEL)


if __name__ == "__main__":
    write(WORKLOADS[sys.argv[1]], Path(sys.argv[2]))
