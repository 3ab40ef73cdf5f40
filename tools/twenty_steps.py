"""Takes twenty steps by the engine and by the `train.py` of an exported training, with the spec's own batch and sizes, and compares.

    python -m tools.twenty_steps [SPEC ...]

Without names, all specs of the gallery that train. They take four epochs of five batches of random numbers from 0 to 1; it ends with 1 if
the losses of an epoch differ by more than 1e-5. What is rounded otherwise grows on the way, more with larger inputs. Weights end further
apart than losses where a network has relu or max pools, which decide by what is 0 but for its rounding, and under adam, which divides a
gradient by its own size.
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
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import nnspec
from nnspec.train.data import Dataset
from tools.batches import random_batch

STEPS, BATCHES, MOST = 20, 5, 1e-5
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Apart:
    """How far both are: the losses of any epoch, relative to those above 1, and the weights in the end, relative to the largest."""

    losses: float
    weights: float


def main() -> int:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tools.twenty_steps", description=__doc__, formatter_class=how)
    parser.add_argument("specs", nargs="*", metavar="SPEC")
    names = parser.parse_args().specs or [n for n in nnspec.gallery.names() if nnspec.load(n).spec.trainings]
    found = {name: _told(name, apart(nnspec.load(name, engine="numpy"))) for name in names}
    return int(any(a.losses > MOST for a in found.values()))


def apart(net: nnspec.Net) -> Apart:
    """How far both end from the network as it is."""
    blocks = len(net.spec.trainings)
    net.spec = net.engine.spec = net.spec.with_training(steps=STEPS, epochs=None, augment=(), stop=None, validation=None)
    ports = net.inputs | net.targets
    numbers = random_batch(ports, BATCHES * net.spec.trainings[0].batch)
    data = {name: np.asarray(values, ports[name].dtype) for name, values in numbers.items()}
    with tempfile.TemporaryDirectory() as folder:
        net.export_training(folder, data=[Dataset(data, None, None)] * blocks)
        theirs = _losses_of_script(Path(folder))
        weights = load_file(Path(folder) / "trained.safetensors")
    with warnings.catch_warnings(action="ignore"):  # of so few steps on noise
        history = net.fit_datasets([Dataset(data, None, None)] * blocks)
    ours = np.array([epoch.metrics["loss"] for epoch in history.epochs])
    return Apart(float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1))), _weights_apart(weights, net.params))


def _losses_of_script(folder: Path) -> Array:
    done = subprocess.run([sys.executable, "-I", str(folder / "train.py")], capture_output=True, text=True, check=True)
    return np.array([float(line.split()[-1]) for line in done.stdout.splitlines()])


def _weights_apart(theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> float:
    largest = max(float(np.abs(w).max()) for w in ours.values())
    return max(float(np.abs(theirs[n] - w).max()) for n, w in ours.items()) / largest


def _told(name: str, a: Apart) -> Apart:
    print(f"{name:24} losses {a.losses:.1e}  weights {a.weights:.1e}{'  TOO FAR' if a.losses > MOST else ''}", flush=True)
    return a


if __name__ == "__main__":
    sys.exit(main())
