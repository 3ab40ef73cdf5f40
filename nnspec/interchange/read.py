"""A model of another tool: its file, its arrays and its attributes as Python has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, helper, numpy_helper

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.elaborate.answers import Answer, Continuation
from nnspec.files import is_plain_file
from nnspec.interchange.nodes import every_tensor
from nnspec.strict_json import loads

PRODUCER = "nnspec"
DEFAULT_DOMAINS = ("", "ai.onnx")


def load(path: Path) -> onnx.ModelProto:
    """The checked model of a file, with the data that lies in files beside it.

    Faults: E501 when there is no such file, E520 when it is no ONNX model or reaches for data outside its folder.
    """
    if not path.is_file():
        raise fault("E501", f"there is no file `{path}`")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise fault("E520", f"`{path}` is not an ONNX model") from None
    except OSError as error:
        raise fault("E501", f"cannot read `{path}`: {error.strerror}") from None
    _take_in(model, path)
    return check(model, str(path))


def check(model: onnx.ModelProto, name: str = "the model") -> onnx.ModelProto:
    """The model itself, where ONNX's own checker has nothing to say against it."""
    try:
        onnx.checker.check_model(model)  # its `full_check` ends the process at some lists that are too short
    except (onnx.checker.ValidationError, ValueError) as error:
        said = " ".join(str(error).split("==>")[0].split())
        raise fault("E520", f"`{name}` is not an ONNX model: {said}") from None
    return model


def labels_of(model: onnx.ModelProto) -> dict[str, list[str]]:
    """What the class numbers of inputs and targets stand for, where the model was exported here and says so."""
    return _said(model, "labels", _are_labels, "a list of different texts")


def answers_of(model: onnx.ModelProto) -> dict[str, Answer]:
    """Which target each output says, where the model was exported here and says so."""
    said = _said(model, "answers", _is_answer, "a target, and perhaps a threshold,")
    return {output: Answer(**answer) for output, answer in said.items()}


def means_of(model: onnx.ModelProto) -> dict[str, Any]:
    """What stands for missing values, by column, where the model was exported here and says so."""
    return _said(model, "means", _is_mean, "numbers")


def continuations_of(model: onnx.ModelProto) -> dict[str, Continuation]:
    """Which output says what an input goes on with, where the model was exported here and says so."""
    said = _said(model, "continuations", _is_continuation, "an output, and perhaps a window,")
    return {name: Continuation(**continuation) for name, continuation in said.items()}


def states_of(model: onnx.ModelProto) -> Collection[str]:
    """The arrays that are no parameters, where the model was exported here and says so."""
    return _said(model, "states", lambda shape: isinstance(shape, list), "shapes")


def _said(model: onnx.ModelProto, key: str, fits: Callable[[Any], bool], what: str) -> dict[str, Any]:
    """An object in the metadata of a model of ours; E520 where its values do not fit."""
    said = {p.key: p.value for p in model.metadata_props}
    if not {"nnspec_version", key} <= said.keys():
        return {}
    try:
        found = loads(said[key])
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(map(fits, found.values())):
        raise fault("E520", f"the `{key}` in the metadata of the model are not {what} for each name")
    return found


def _are_labels(texts: Any) -> bool:
    return isinstance(texts, list) and all(isinstance(t, str) for t in texts) and 0 < len(texts) == len(set(texts))


def _is_answer(said: Any) -> bool:
    known = isinstance(said, dict) and {"target"} <= said.keys() <= {"target", "threshold"}
    return known and isinstance(said["target"], str) and isinstance(said.get("threshold", 0.0), int | float)


def _is_continuation(said: Any) -> bool:
    known = isinstance(said, dict) and {"output"} <= said.keys() <= {"output", "window"}
    window = said.get("window", 1) if known else None
    return known and isinstance(said["output"], str) and isinstance(window, int) and window > 0


def _is_mean(value: Any) -> bool:
    try:
        return bool(np.isfinite(np.asarray(value, np.float64)).all())
    except (TypeError, ValueError):
        return False


def _take_in(model: onnx.ModelProto, path: Path) -> None:
    """Read the arrays that lie in other files, which have to be in the folder of the model, links followed."""
    folder = path.parent.resolve()
    for tensor in every_tensor(model.graph):
        if not external_data_helper.uses_external_data(tensor):
            continue
        try:
            info = external_data_helper.ExternalDataInfo(tensor)
            data = (folder / info.location).resolve()
        except (ValueError, OSError, RuntimeError) as error:  # no numbers, no path, or links that lead to each other
            raise fault("E520", f"`{path}` does not say where the data of `{tensor.name}` lie: {error}") from None
        if not data.is_relative_to(folder) or Path(info.location).is_absolute():
            raise fault("E520", f"`{path}` reaches for data outside its folder: `{info.location}`", help="copy it beside the model")
        if not is_plain_file(data):
            raise fault("E520", f"`{path}` needs `{info.location}` beside it, which is not there")
        tensor.raw_data = _stretch(data, info.offset or 0, info.length, path)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _stretch(data: Path, offset: int, length: int | None, path: Path) -> bytes:
    available = data.stat().st_size - offset
    wanted = available if length is None else length
    if offset < 0 or not 0 <= wanted <= available:
        raise fault("E520", f"`{path}` wants {wanted} bytes from byte {offset} of `{data.name}`, which has {offset + available}")
    try:
        with data.open("rb") as f:
            f.seek(offset)
            return f.read(wanted)
    except OSError as error:
        raise fault("E520", f"cannot read `{data}`: {error.strerror}") from None


def initialisers(graph: onnx.GraphProto) -> dict[str, Array]:
    """The arrays that a graph brings, by name."""
    return {t.name: array(t) for t in graph.initializer}


def hides_by_infinity(model: onnx.ModelProto) -> bool:
    """Whether it has minus infinity for what is masked, so that what is masked altogether is no number."""
    constants = (a.t for n in model.graph.node for a in n.attribute if n.op_type == "Constant" and a.name == "value")
    return any(a.dtype.kind == "f" and bool(np.isneginf(a).any()) for a in map(array, (*model.graph.initializer, *constants)))


def array(tensor: onnx.TensorProto) -> Array:
    return np.asarray(numpy_helper.to_array(tensor))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as Python values: texts decoded, lists as tuples, tensors as arrays."""
    return {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute if not a.ref_attr_name}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return array(value)
    return tuple(map(_plain, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def domain_of(node: onnx.NodeProto) -> str:
    """The domain of a node, "" for ONNX's own."""
    return "" if node.domain in DEFAULT_DOMAINS else str(node.domain)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model is written in."""
    return int(next((o.version for o in model.opset_import if o.domain in DEFAULT_DOMAINS), 1))
