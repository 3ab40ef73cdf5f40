"""Takes twenty steps by the engine and by the `train.py` of an exported training, with the spec's own batch and sizes, and compares.

    python -m tools.twenty_steps [--dtype float64] [--normal] [--batch N] [SPEC ...]

Without names, all specs of the gallery that train. They take four epochs of five batches of random numbers from 0 to 1, or with `--normal`
of a normal distribution; it ends with 1 if the losses of an epoch differ by more than 1e-5. What is rounded otherwise grows on the way,
more with larger inputs. Weights end further apart than losses where a network has relu or max pools, which decide by what is 0 but for its
rounding, and under adam, which divides a gradient by its own size. In float64 there is not enough rounding for that, so there weights and
states, too, may differ by no more than 1e-5: that both are the same program.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import nnspec
from nnspec import gallery
from nnspec.array import Array
from nnspec.train.data import Dataset
from tools.batches import random_batch

STEPS, BATCHES, MOST = 20, 5, 1e-5


@dataclass(frozen=True)
class Apart:
    """How far both are: the losses of any epoch, relative to those above 1, and the weights in the end, relative to the largest."""

    losses: float
    weights: float

    def is_far(self, dtype: str) -> bool:
        return not (self.losses <= MOST and (dtype == "float32" or self.weights <= MOST))


def main() -> int:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tools.twenty_steps", description=__doc__, formatter_class=how)
    parser.add_argument("specs", nargs="*", metavar="SPEC")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--normal", action="store_true", help="inputs of a normal distribution, not from 0 to 1")
    parser.add_argument("--batch", type=int, metavar="N", help="examples of a batch in the place of the spec's")
    asked = parser.parse_args()
    names = asked.specs or [n for n in gallery.names() if nnspec.load(n).spec.trainings]
    nets = (nnspec.load(name, engine="numpy", dtype=asked.dtype) for name in names)
    found = [_told(name, apart(net, batch=asked.batch, normal=asked.normal), asked.dtype) for name, net in zip(names, nets, strict=True)]
    return int(any(a.is_far(asked.dtype) for a in found))


def apart(net: nnspec.Net, *, batch: int | None = None, normal: bool = False) -> Apart:
    """How far both end from the network as it is."""
    blocks, size = len(net.spec.trainings), batch or net.spec.trainings[0].batch
    net.spec = net.engine.spec = net.spec.with_training(steps=STEPS, epochs=None, batch=size, augment=(), stop=None, validation=None)
    data = data_of(net, BATCHES * size, normal=normal)
    with tempfile.TemporaryDirectory() as folder:
        net.export_training(folder, data=[Dataset(data, None, None)] * blocks, double=net.spec.dtype == "float64")
        theirs = _losses_of_script(Path(folder))
        weights = load_file(Path(folder) / "trained.safetensors")
    with warnings.catch_warnings(action="ignore"):  # of so few steps on noise
        history = net.fit_datasets([Dataset(data, None, None)] * blocks)
    ours = np.array([epoch.metrics["loss"] for epoch in history.epochs])
    return Apart(float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1))), _weights_apart(weights, {**net.params, **net.states}))


def data_of(net: nnspec.Net, examples: int, *, normal: bool = False) -> dict[str, Array]:
    """Random examples; inputs are from 0 to 1, or of a normal distribution."""
    ports, rng = net.inputs | net.targets, np.random.default_rng(1)
    data = {n: np.asarray(v, ports[n].dtype) for n, v in random_batch(ports, examples).items()}
    drawn = {n: np.asarray(rng.normal(size=data[n].shape), t.dtype) for n, t in net.inputs.items() if normal and t.is_float}
    return data | drawn


def _losses_of_script(folder: Path) -> Array:
    done = subprocess.run([sys.executable, "-I", str(folder / "train.py")], capture_output=True, text=True, check=True)
    return np.array([float(line.split()[-1]) for line in done.stdout.splitlines()])


def _weights_apart(theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> float:
    largest = max(float(np.abs(w).max()) for w in ours.values())
    return max(float(np.abs(theirs[n] - w).max()) for n, w in ours.items()) / largest


def _told(name: str, a: Apart, dtype: str) -> Apart:
    print(f"{name:24} losses {a.losses:.1e}  weights {a.weights:.1e}{'  TOO FAR' if a.is_far(dtype) else ''}", flush=True)
    return a


if __name__ == "__main__":
    sys.exit(main())
