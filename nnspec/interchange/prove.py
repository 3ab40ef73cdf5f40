"""What ONNX itself has to say about a model."""

from __future__ import annotations

from pathlib import Path

import onnx

from nnspec.diagnostics import fault


def check(model: onnx.ModelProto, path: Path | None = None) -> None:
    """The full checker and strict shape inference, or E505 with what they object to; `path` is where a model with weights beside it is."""
    try:
        onnx.checker.check_model(path or model, full_check=True)
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise fault("E505", f"the ONNX checker refuses the model: {' '.join(str(error).split())}") from error
