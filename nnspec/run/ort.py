"""onnxruntime, and the only home of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

Array = np.ndarray[Any, np.dtype[Any]]
FATAL_ONLY = 4

REFUSALS: tuple[type[Exception], ...] = (
    state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
    state.NoSuchFile, state.NotImplemented, state.RuntimeException,
)  # fmt: skip
"""What onnxruntime raises for a model or a feed it does not take; the classes have no base of their own."""


class Session:
    """A model that runs on the processor.

    >>> Session(model.SerializeToString()).run({"x": x})["y"]
    """

    def __init__(self, model: bytes | str | Path, threads: int | None = None, *, optimise: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY  # what it says of an error, the exception says too
        options.intra_op_num_threads = threads or 0
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [i.name for i in self._session.get_inputs()]
        self.outputs = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name."""
        values = self._session.run(self.outputs, dict(feeds))
        return dict(zip(self.outputs, values, strict=True))
