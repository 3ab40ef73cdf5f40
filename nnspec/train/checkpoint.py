"""What a checkpoint says about an engine, and an engine put back to where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.diagnostics import fault
from nnspec.run.engine import Engine
from nnspec.train.environment import environment
from nnspec.version import VERSION

Array = np.ndarray[Any, np.dtype[Any]]


def metadata(engine: Engine) -> dict[str, str]:
    """What an exported model says about where it comes from."""
    digest = hashlib.sha256(engine.spec.source.text.encode()).hexdigest()
    return {"nnspec_version": VERSION, "spec_sha256": digest, "model": engine.spec.model.name, "seed": str(int(engine.seed))}


def manifest(engine: Engine, labels: Mapping[str, list[str]]) -> dict[str, Any]:
    """What a checkpoint says about how it came to be."""
    spec = engine.spec
    where = {"folder": str(spec.folder.resolve()), "settings": dict(spec.settings), "dtype": spec.dtype}
    how = {
        "stage": engine.stage,
        "stage_start": engine.stage_start,
        "labels": labels,
        "engine": engine.name,
        "engine_choice": engine.choice,
    }
    return {**metadata(engine), "seed": int(engine.seed), **where, **how, **environment(engine.threads)}


def restore(engine: Engine, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> None:
    """Put saved weights, states and optimizer states back, and seed and step as they were."""
    engine.resume(manifest.get("stage", 0), manifest.get("stage_start", 0), manifest["step"], manifest.get("seed", 0))
    for name, array in engine.all_arrays().items():
        if name not in arrays or arrays[name].shape != array.shape:
            raise fault("E503", f"the weights do not fit the spec: `{name}` is missing or of another shape")
        np.copyto(array, arrays[name])
