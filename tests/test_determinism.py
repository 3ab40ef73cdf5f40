"""The same spec, seed and number of threads give the same bytes, whatever surrounds them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

SPEC = """
model Small {
  input  image: [1, 6, 6]
  target y: class(3)
  logits = image -> [conv(2, 3, pad = same), conv(2, 1)] -> concat(axis = 0) -> batchnorm -> gelu -> dropout(0.3) -> flatten -> dense(3)
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
  metric accuracy(logits, y)
}
train {
  data npz("data.npz")  validation 0.2  batch 8  epochs 2  optimizer adamw(lr = 0.01)  schedule cosine  seed 4
  augment image -> shift(1) -> noise(0.1)
}
"""
MAKE = """
import sys
from pathlib import Path
import nnspec
from nnspec.planning import step_plan

where, out = sys.argv[1:]
for engine in ("numpy", "ort"):
    net = nnspec.load(where, engine=engine, threads=2)
    net.fit(run=Path(out, engine))
    net.export(Path(out, f"{engine}.onnx"))
texts = {"graph": net.graph, "inference": net.spec.inference, "step": net.spec.step, "plan": step_plan(net.spec, {})}
for name, text in texts.items():
    Path(out, f"{name}.txt").write_text(str(text), "utf-8")
"""
AROUND = (
    {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8"},
    {"PYTHONHASHSEED": "3", "LC_ALL": "de_DE.ISO-8859-1", "TZ": "Pacific/Apia", "COLUMNS": "20"},
    {"PYTHONHASHSEED": "random", "LC_ALL": "POSIX", "TZ": ":/nowhere", "PYTHONUTF8": "0", "HOME": "/nowhere"},
)


def made(folder: Path, number: int) -> dict[str, str]:
    """The hash of every file that is made in surroundings of its own, from a spec that is reached by another path each time."""
    here, out = folder / "/".join("abcde"[: number + 1]), folder / f"out-{number}"
    here.mkdir(parents=True, exist_ok=True)
    out.mkdir()
    where = os.path.relpath(folder / "net.nn", here) if number % 2 else str(folder / "net.nn")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **AROUND[number]}
    done = subprocess.run(
        [sys.executable, "-c", MAKE, where, str(out)], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for epochs in out.rglob("metrics.jsonl"):
        epochs.write_text("\n".join(json.dumps(json.loads(line) | {"seconds": 0}) for line in epochs.read_text().splitlines()))
    for looks in out.rglob("health.jsonl"):  # the first; how many follow hangs on the time that they take
        looks.write_text(looks.read_text().splitlines()[0])
    for manifest in out.rglob("manifest.json"):  # says which folder, and what was asked for
        manifest.unlink()
    files = sorted(p for p in out.rglob("*") if p.is_file())
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", image=rng.random((40, 1, 6, 6)), y=rng.integers(0, 3, 40))
    (tmp_path / "net.nn").write_text(SPEC)
    return tmp_path


def test_hash_seeds_folders_locales_and_time_zones_change_no_byte_of_graphs_weights_and_models(folder: Path) -> None:
    first, *others = (made(folder, number) for number in range(len(AROUND)))
    assert {"graph.txt", "step.txt", "plan.txt", "numpy.onnx", "ort.onnx", "numpy/step-00000008/state.safetensors"} <= set(first)
    for number, other in enumerate(others, 1):
        assert other == first, AROUND[number]
