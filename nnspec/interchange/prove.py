"""What ONNX itself has to say about a model."""

from __future__ import annotations

from pathlib import Path

import onnx

from nnspec.diagnostics import fault


def check(model: onnx.ModelProto, path: Path | None = None) -> bytes:
    """A model as it is written, after the full checker and strict shape inference, or E505 with what they object to.

    `path` is where a model with weights beside it is.
    """
    content = bytes(model.SerializeToString())
    try:
        onnx.checker.check_model(path or content, full_check=True)
        if _has_open_sizes(model):  # following values takes long where a million of them are counted, as for first weights
            onnx.shape_inference.infer_shapes(content, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise fault("E505", f"the ONNX checker refuses the model: {' '.join(str(error).split())}") from error
    return content


def _has_open_sizes(model: onnx.ModelProto) -> bool:
    return any(dim.dim_param for value in model.graph.input for dim in value.type.tensor_type.shape.dim)
