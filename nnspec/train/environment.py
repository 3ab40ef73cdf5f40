"""What a run's figures depend on besides the spec: versions, processor, threads."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np


def environment(threads: int) -> dict[str, Any]:
    """Recorded in every manifest: bits are promised for the same values of these only."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "threads": threads or os.cpu_count(),
    }
