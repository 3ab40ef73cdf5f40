"""The run directory: spec, weights, metrics and pictures of one training. Weights are written aside and renamed when whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nnspec.diagnostics import fault
from nnspec.files import write_whole
from nnspec.train.epoch import Epoch
from nnspec.train.plot import curves

Array = np.ndarray[Any, np.dtype[Any]]
STATE, MANIFEST, METRICS, SPEC, CURVE, MODEL = "state.safetensors", "manifest.json", "metrics.jsonl", "spec.nn", "loss.svg", "model.onnx"
IMPORTS = "imports"

KEPT = 3


def fresh(name: str, base: Path = Path("runs")) -> Path:
    """A run directory that is not there yet: `runs/NAME-1`, `runs/NAME-2`, ..."""
    number = 1
    while (base / f"{name}-{number}").exists():
        number += 1
    return base / f"{name}-{number}"


def refuse_used(folder: Path) -> None:
    """A new run does not go where another one is."""
    if (folder / SPEC).exists():
        raise fault("E504", f"{folder} already holds a run", help="choose another --run, or remove it")


def create(folder: Path, spec: str, imported: Mapping[str, str]) -> None:
    """Make the directory with a copy of the spec and of what it imports; one that holds another spec's run is left alone."""
    try:
        if (folder / SPEC).exists():
            if (folder / SPEC).read_text("utf-8") != spec:
                raise fault("E504", f"{folder} holds the run of another spec", help="choose another directory, or remove it")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in imported.items():
            (folder / IMPORTS / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / IMPORTS / name, text.encode())
        write_whole(folder / SPEC, spec.encode())
    except OSError as error:
        raise fault("E504", f"cannot write to {folder}: {error.strerror}") from None


def take_back_unbegun(folder: Path) -> None:
    """Remove what `create` made, if the run has ended before its first epoch did."""
    if not (folder / METRICS).exists():
        rmtree(folder / IMPORTS, ignore_errors=True)
        (folder / SPEC).unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there
            folder.rmdir()


def log(folder: Path, epoch: Epoch) -> None:
    """Append one epoch to metrics.jsonl."""
    with (folder / METRICS).open("a", encoding="utf-8") as f:
        f.write(json.dumps(epoch.as_json()) + "\n")


def draw(folder: Path, title: str, epochs: Iterable[Epoch]) -> None:
    """The loss curve of a run."""
    epochs = list(epochs)
    names = dict.fromkeys(n for e in epochs for n in e.metrics if n.rsplit(".", 1)[-1] == "loss")
    lines = {n: [(float(e.number), e.metrics[n]) for e in epochs if n in e.metrics] for n in names}
    write_whole(folder / CURVE, curves(title, lines).encode())


def save(folder: Path, step: int, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> Path:
    """Weights and manifest as `step-NNNNNNNN`, written to a temporary directory and renamed; one that is there is left alone."""
    final, aside = folder / f"step-{step:08d}", folder / f".tmp-{step}-{os.getpid()}"
    if final.exists():
        raise fault("E504", f"{folder} already holds the weights of step {step}", help="save to another directory, or remove it")
    try:
        _write_checkpoint(aside, step, arrays, manifest)
        aside.replace(final)
        _sync(folder)
    except OSError as error:
        raise fault("E504", f"cannot write to {folder}: {error.strerror}") from None
    return final


def prune(folder: Path) -> None:
    """Keep the last checkpoints only."""
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def _write_checkpoint(aside: Path, step: int, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> None:
    aside.mkdir()
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, aside / STATE)
    content = (aside / STATE).read_bytes()
    files = {STATE: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}}
    write_whole(aside / MANIFEST, json.dumps({"step": step, "files": files, **manifest}, indent=2).encode())
    _sync(aside / STATE)
    _sync(aside)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def newest(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and manifest of the newest checkpoint that is whole."""
    if not (folder / SPEC).is_file():
        raise fault("E503", f"{folder} is not a run directory", None, help="it is what `nnspec train` prints at its end")
    for candidate in sorted(folder.glob("step-*"), reverse=True):
        if (manifest := _verified(candidate)) is not None:
            return load_file(candidate / STATE), manifest
    raise fault("E503", f"{folder} holds no weights that can be read", None)


def _verified(checkpoint: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
        content = (checkpoint / STATE).read_bytes()
        return manifest if hashlib.sha256(content).hexdigest() == manifest["files"][STATE]["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
