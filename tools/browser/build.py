"""The page with all it needs, in one folder: exported trainings, their data as plain numbers, and onnxruntime-web."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import nnspec
from nnspec import resources
from nnspec.array import Array
from nnspec.train.data import Dataset

PAGE, RUNTIME = Path(__file__).parent / "page", "onnxruntime-web@1.30.0"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# A page is to load in a moment: so many images are enough for 96 % in three epochs.
TRAINED, TESTED = 12_000, 1_000


def build(folder: Path, mnist: Path | None) -> None:
    """Write the folder anew; the spirals are computed, the digits are those of MNIST's files."""
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    _vendor(folder / "vendor")
    trainings = {"spirals": (nnspec.load("spirals"), None)}
    if mnist:
        trainings["mnist"] = (nnspec.load("mnist_mlp", width=64), str(mnist))
    for name, (net, path) in trainings.items():
        _training(folder / name, net, net.dataset(path))
    (folder / "trainings.json").write_text(json.dumps(list(trainings)))


def _training(folder: Path, net: nnspec.Net, data: Dataset) -> None:
    """A training as `nnspec export --train-step` writes it, and beside it what it trains on and is tested on."""
    net.export_training(folder)
    assert data.test
    train, test = _first(data.train, TRAINED), _first(data.test, TESTED)
    about = {part: _written(folder, part, fields) for part, fields in (("train", train), ("test", test))}
    (training, *_) = net.spec.trainings
    first_epoch = np.random.default_rng([training.seed, 1]).permutation(len(next(iter(train.values()))))
    (folder / "order.bin").write_bytes(first_epoch.astype("<u4").tobytes())
    (folder / "data.json").write_text(json.dumps(about))


def _first(fields: Mapping[str, Array], most: int) -> dict[str, Array]:
    return {name: values[:most] for name, values in fields.items()}


def _written(folder: Path, part: str, fields: Mapping[str, Array]) -> dict[str, Any]:
    """Each field as a file of little-endian numbers, and what they are; images as bytes, a quarter of the size."""
    about = {}
    for name, values in fields.items():
        pixels = values.ndim > 2 and values.dtype == np.float32
        kind = "uint8" if pixels else {"f": "float32", "i": "int32"}[values.dtype.kind]
        numbers = np.rint(values * 255) if pixels else values
        (folder / f"{part}-{name}.bin").write_bytes(numbers.astype(kind).tobytes())
        about[name] = {"file": f"{part}-{name}.bin", "kind": kind, "scale": 255 if pixels else 1, "shape": values.shape}
    return about


def _vendor(folder: Path) -> None:
    """onnxruntime-web from npm, kept in the user's cache."""
    kept = resources.cache() / RUNTIME.replace("@", "-")
    if not all((kept / name).exists() for name in RUNTIME_FILES):
        _fetch(kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)


def _fetch(kept: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", RUNTIME], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (packed,) = Path(work).glob("*.tgz")
        kept.mkdir(parents=True, exist_ok=True)
        with tarfile.open(packed) as archive:
            for name in RUNTIME_FILES:
                found = archive.extractfile(f"package/dist/{name}")
                assert found
                (kept / name).write_bytes(io.BytesIO(found.read()).getvalue())
