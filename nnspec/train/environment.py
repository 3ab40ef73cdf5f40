"""What a run's figures depend on besides the spec: versions, processor, threads."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from nnspec.blas import libraries
from nnspec.run.engine import Engine
from nnspec.run.team import cores
from nnspec.version import VERSION


def environment(engine: Engine) -> dict[str, Any]:
    """Recorded in every manifest: bits are promised for the same values of these only."""
    found = {
        "nnspec_version": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": libraries(),
        "machine": platform.machine(),
        "threads": engine.threads or engine.asked_threads or cores(),
    }
    if engine.name == "ort":
        from nnspec.run.ort import VERSION as ORT  # a tenth of a second that the other engines need not wait

        found["onnxruntime"] = ORT
    return found
