"""Checkpoints on the disk: written aside, renamed when whole, and never changed again. The newest whole one is the truth."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from nnspec import weights
from nnspec.array import Array
from nnspec.diagnostics import Diagnostic, fault
from nnspec.files import aside, plain, remove, sync, write_whole, writing
from nnspec.record import dataclass
from nnspec.strict_json import loads

STATE, MANIFEST, SEAL = "state.safetensors", "manifest.json", "sha256"
FORMAT, KEPT = 1, 3
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """What was read of one; `skipped` says what is wrong with those after it."""

    path: Path
    arrays: dict[str, Array]
    manifest: dict[str, Any]
    skipped: tuple[Diagnostic, ...] = ()

    @property
    def step(self) -> int:
        return step_of(self.path)


def place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name; -1 for what is none."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def committed(folder: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    return sorted((p for p in folder.glob("step-*") if step_of(p) >= 0), key=step_of)


def commit(folder: Path, step: int, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> Path:
    """Arrays and manifest as `step-NNNNNNNN`: on the disk when this returns, and until then as if nothing were."""
    final = place(folder, step)
    if final.exists():
        raise fault("E504", f"{folder} already holds the weights of step {step}", help="save to another directory, or remove it")
    new = aside(final)
    try:
        with writing(folder):
            new.mkdir()
            state = weights.content({n: np.asarray(a, order="C") for n, a in arrays.items()})
            write_whole(new / STATE, state)
            files = {STATE: {"sha256": _digest(state), "size": len(state)}}
            write_whole(new / MANIFEST, sealed({"format": FORMAT, "step": step, "files": files, **manifest}))
            new.rename(final)
            sync(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # it is gone when all went well
    return final


def prune(folder: Path) -> None:
    """Keep the last checkpoints only; the best weights of a training that may stop early are in each of them."""
    for old in committed(folder)[:-KEPT]:
        discard(old)


def discard(checkpoint: Path) -> None:
    """Remove a checkpoint, so that it is never seen half."""
    remove(checkpoint.rename(aside(checkpoint)))


def set_aside(folder: Path, step: int) -> None:
    """Give the checkpoints after a step, which are damaged, another name: a training that goes on from there writes its own."""
    for later in committed(folder):
        if step_of(later) > step:
            remove(folder / f"damaged-{later.name}")
            later.rename(folder / f"damaged-{later.name}")


def newest(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole; a Fault (E503) where there is none."""
    candidates, skipped = committed(folder), list[Diagnostic]()
    for path in reversed(candidates):
        read = _read(path)
        if isinstance(read, Checkpoint):
            return Checkpoint(read.path, read.arrays, read.manifest, tuple(skipped))
        skipped.append(Diagnostic("W540", f"{path} is passed over: {read}", help="the one before it is taken", level="warning"))
    if committed(folder) != candidates:  # a training goes on, and has replaced them while they were read
        return newest(folder)
    unsaved = f"it was not saved yet; if its training has died, `nnspec train F.nn --run {folder}`, of the same spec, begins it anew"
    raise fault("E503", f"{folder} holds no weights that can be read", help="; ".join(d.message for d in skipped) or unsaved)


def manifest_of(folder: Path, step: int) -> dict[str, Any]:
    """What the checkpoint of a step says; nothing where there is none that can be read."""
    try:
        return unsealed(plain(place(folder, step) / MANIFEST).read_bytes()) or {}
    except OSError:
        return {}


def _read(path: Path) -> Checkpoint | str:
    """A checkpoint, or what is wrong with it."""
    try:
        manifest = unsealed(plain(path / MANIFEST).read_bytes())
        if manifest is None:
            return f"{MANIFEST} is not what was written"
        if manifest.get("format") != FORMAT:
            return "it is of another version of nnspec"
        content = plain(path / STATE).read_bytes()
        if _digest(content) != manifest["files"][STATE]["sha256"]:
            return f"{STATE} is not what was written"
        return Checkpoint(path, load(content), manifest)
    except OSError as error:
        return f"{Path(error.filename or path).name} cannot be read: {error.strerror}"
    except (KeyError, TypeError, SafetensorError):
        return "it does not say what it should"


def sealed(document: Mapping[str, Any]) -> bytes:
    """A document as JSON with the hash of all that it says."""
    return json.dumps({**document, SEAL: _digest(_canonical(document))}, indent=2).encode()


def unsealed(content: bytes) -> dict[str, Any] | None:
    """The document again; None if it is not what was sealed."""
    try:
        document = loads(content)
    except ValueError:
        return None
    seal = document.pop(SEAL, None) if isinstance(document, dict) else None
    return document if seal is not None and seal == _digest(_canonical(document)) else None


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
