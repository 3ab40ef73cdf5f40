"""ONNX files as they are read: what is no model, and data that lies beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nnspec.diagnostics import Fault
from nnspec.interchange import read

WEIGHT = np.arange(512, dtype="float32").reshape(2, 256)


def model() -> onnx.ModelProto:
    """x @ w, with a weight that is large enough to lie in a file of its own."""
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 2])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 256])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "m", [x], [y], [numpy_helper.from_array(WEIGHT, "w")])
    return helper.make_model(graph)


def saved_apart(folder: Path) -> Path:
    onnx.save(model(), str(folder / "m.onnx"), save_as_external_data=True, location="m.data", size_threshold=0)
    return folder / "m.onnx"


def message(path: Path) -> str:
    with pytest.raises(Fault) as caught:
        read.load(path)
    assert caught.value.diagnostic.code == "E520"
    return caught.value.diagnostic.message


def test_arrays_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    arrays = read.initialisers(read.load(saved_apart(tmp_path)).graph)
    assert np.array_equal(arrays["w"], WEIGHT)


def test_data_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = saved_apart(tmp_path / "in")
    (tmp_path / "in" / "m.data").rename(tmp_path / "m.data")
    (tmp_path / "in" / "m.data").symlink_to(tmp_path / "m.data")
    assert "outside its folder: `m.data`" in message(path)


def test_data_that_is_missing_or_short_is_named(tmp_path: Path) -> None:
    path = saved_apart(tmp_path)
    (tmp_path / "m.data").write_bytes(b"short")
    assert "`m.data`, which has 5" in message(path)
    (tmp_path / "m.data").unlink()
    assert "needs `m.data` beside it" in message(path)


@pytest.mark.parametrize("content", [b"", b"hello world", model().SerializeToString()[:-3]])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert "is not an ONNX model" in message(tmp_path / "m.onnx")


def test_attributes_are_values_of_python() -> None:
    node = helper.make_node("Pad", ["x"], ["y"], mode="edge", pads=[0, 1], value=1.5, t=numpy_helper.from_array(WEIGHT))
    found = read.attributes(node)
    assert (found["mode"], found["pads"], found["value"]) == ("edge", (0, 1), 1.5) and np.array_equal(found["t"], WEIGHT)
