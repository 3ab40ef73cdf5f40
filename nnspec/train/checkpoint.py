"""What a checkpoint says about an engine, and an engine put back to where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.diagnostics import fault
from nnspec.run.engine import Engine
from nnspec.train.environment import environment
from nnspec.version import VERSION

SPEC = "spec.nn"


def metadata(engine: Engine) -> dict[str, str]:
    """What an exported model says about where it comes from."""
    digest = sources(engine.spec)[SPEC]
    return {"nnspec_version": VERSION, "spec_sha256": digest, "model": engine.spec.model.name, "seed": str(int(engine.seed))}


def sources(spec: Compilation) -> dict[str, str]:
    """The hash of the spec, and of every file it imports."""
    texts = {SPEC: spec.source.text, **spec.imports.texts}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def manifest(engine: Engine) -> dict[str, Any]:
    """What a checkpoint says about how it came to be."""
    spec = engine.spec
    file = {"file": spec.source.name, "folder": str(spec.folder.resolve())}
    what = {"model": spec.model.name, "sources": sources(spec), **file}
    chosen = {"settings": dict(spec.settings), "changes": dict(spec.changes), "dtype": spec.dtype, "seed": int(engine.seed)}
    how = {"stage": engine.stage, "stage_start": engine.stage_start, "engine": engine.name, "engine_choice": engine.choice}
    return {**what, **chosen, **how, **environment(engine)}


def standing_in(engine: Engine) -> dict[str, Any]:
    """A copy of all that another engine of the same spec needs to go on from here."""
    with engine.lock:
        at = {"stage": engine.stage, "stage_start": engine.stage_start, "step": int(engine.steps_done), "seed": int(engine.seed)}
        return {"engine": engine.name, "at": at, "arrays": engine.copies()}


def put_back(engine: Engine, kept: Mapping[str, Any]) -> None:
    """Go on from where another engine stood."""
    engine.use(kept["engine"])
    restore(engine, kept["arrays"], kept["at"])


def restore(engine: Engine, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> None:
    """Put saved weights, states and optimizer states back, and seed and step as they were."""
    engine.resume(manifest["stage"], manifest["stage_start"], manifest["step"], manifest["seed"])
    for name, array in engine.all_arrays().items():
        if name not in arrays or arrays[name].shape != array.shape:
            raise fault("E503", f"the weights do not fit the spec: `{name}` is missing or of another shape")
        np.copyto(array, arrays[name])
