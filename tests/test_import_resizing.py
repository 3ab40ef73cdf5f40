"""Images that are enlarged, and elements that are left out, in imported specs: held against torch and, as all imports are, onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from test_import import check_against_torch
from torch import nn
from torch_models import Example, export

import nnspec
from nnspec.importing import import_model
from nnspec.run.ort import Session


class Formula(nn.Module):
    def __init__(self, formula: Any) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.formula(x)


IMAGE, STEPS = torch.randn(2, 3, 5, 6), torch.randn(2, 9, 4)
RESIZED = {
    "bilinear": {"scale_factor": 2, "mode": "bilinear"},
    "bilinear, corners on corners": {"size": (7, 11), "mode": "bilinear", "align_corners": True},
    "bilinear, smaller": {"size": (3, 4), "mode": "bilinear", "align_corners": False},
    "bicubic": {"scale_factor": 2, "mode": "bicubic"},
    "nearest, another size": {"size": (8, 9), "mode": "nearest"},
    "one axis": {"size": (5, 12), "mode": "bilinear"},
}
STRIDED = {
    "that divide": (lambda x: x[:, :8:2], "(x[:8] -> reshape([4, 2, 4]))[:, 0]"),
    "that leave a rest": (lambda x: x[:, ::4], "reshape([3, 4, 4]))[:, 0]"),
    "from within": (lambda x: x[:, 1:7:3, ::2], "[:, :, 0]"),
    "with its gap": (lambda x: x[:, 1::2] + x[:, :8:2], "(x[1:] -> reshape([4, 2, 4]))[:, 0]"),
}


def net_of(formula: Any, x: torch.Tensor, folder: Path) -> tuple[nnspec.Net, Example]:
    e = Example(Formula(formula).eval(), x, "x", ("y",))
    import_model(export(e, folder / "m.onnx"), folder / "m.nn")
    return nnspec.load(folder / "m.nn"), e


@pytest.mark.parametrize("name", RESIZED)
def test_an_image_is_resized_as_torch_does_it(name: str, tmp_path: Path) -> None:
    net, e = net_of(lambda x: F.interpolate(x, **RESIZED[name]), IMAGE, tmp_path)
    check_against_torch(e, net, tmp_path)
    assert not net.params  # weights of the interpolation are not trained


def test_a_whole_factor_is_upsample(tmp_path: Path) -> None:
    net_of(lambda x: F.interpolate(x, scale_factor=3, mode="nearest"), IMAGE, tmp_path)
    assert "output y = x -> upsample(3)" in (tmp_path / "m.nn").read_text()


@pytest.mark.parametrize("name", STRIDED)
def test_steps_over_an_axis_are_the_first_elements_of_rows(name: str, tmp_path: Path) -> None:
    formula, words = STRIDED[name]
    net, e = net_of(formula, STEPS, tmp_path)
    check_against_torch(e, net, tmp_path)
    assert words in " ".join((tmp_path / "m.nn").read_text().split())


LENGTHS, SCALES = (1, 2, 6, 11, 13, 20, 24), (0.3, 0.6, 0.7, 0.9, 1.1, 1.2, 1.3, 1.6, 1.7, 2.0, 2.5, 3.3)
HALVES = ("round_prefer_floor", "round_prefer_ceil")


def resize(opset: int, length: int, asked: Any, of: str, **attributes: Any) -> onnx.ModelProto:
    """An image [1, 1, length, 2] of which the rows are resized; the columns are, to twice as many."""
    given, kind = numpy_helper.from_array(np.asarray(asked), of), TensorProto.FLOAT
    inputs = {"scales": ["x", "", of] if opset > 10 else ["x", of], "sizes": ["x", "", "", of]}[of]
    node = helper.make_node("Upsample" if opset < 10 else "Resize", inputs, ["y"], **attributes)
    ports = [helper.make_tensor_value_info(*p) for p in (("x", kind, [1, 1, length, 2]), ("y", kind, [1, 1, None, None]))]
    graph = helper.make_graph([node], "resize", ports[:1], ports[1:], [given])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize(
    ("opset", "attributes"),
    [
        (9, {}),
        (10, {}),
        *((13, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": m}) for m in ("floor", "ceil", *HALVES)),
        *((13, {"coordinate_transformation_mode": "half_pixel", "nearest_mode": m}) for m in ("floor", *HALVES)),
        *((13, {"coordinate_transformation_mode": w}) for w in ("align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn")),
        (19, {"coordinate_transformation_mode": "half_pixel_symmetric"}),
        (13, {"coordinate_transformation_mode": "align_corners", "mode": "linear"}),
        (13, {"coordinate_transformation_mode": "align_corners", "mode": "cubic", "exclude_outside": 1}),
        (18, {"coordinate_transformation_mode": "half_pixel", "mode": "linear", "antialias": 1}),
    ],
)  # fmt: skip
def test_elements_lie_where_onnxruntime_has_them(opset: int, attributes: dict[str, Any], tmp_path: Path) -> None:
    asked = [(n, np.float32([1, 1, s, 2]), "scales") for n in LENGTHS for s in SCALES if int(np.float32(n) * np.float32(s))]
    asked = [a for a in asked if opset > 9 or a[1].min() >= 1]  # Upsample only enlarges
    if opset > 10:
        asked += [(n, np.int64([1, 1, int(n * s), 4]), "sizes") for n in LENGTHS for s in SCALES if int(n * s)]
    for length, what, of in asked:
        m, x = resize(opset, length, what, of, **attributes), np.random.default_rng(0).normal(size=(1, 1, length, 2)).astype("float32")
        theirs = Session(m.SerializeToString()).run({"x": x})["y"]
        np.testing.assert_allclose(nnspec.from_onnx(m)(x)["y"], theirs, rtol=1e-4, atol=1e-5, err_msg=f"{length} {of} {what}")


def test_what_is_outside_a_crop_is_the_value_that_is_asked_for_whatever_its_weights_come_to() -> None:
    how = {"coordinate_transformation_mode": "tf_crop_and_resize", "mode": "cubic", "exclude_outside": 1, "extrapolation_value": -7.0}
    m = resize(13, 4, np.float32([1, 1, 2, 2]), "scales", **how)
    m.graph.initializer.append(numpy_helper.from_array(np.float32([0, 0, -2, 0, 1, 1, 3, 1]), "roi"))
    m.graph.node[0].input[1] = "roi"
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 2)).astype("float32")
    theirs = Session(m.SerializeToString()).run({"x": x})["y"]
    assert (theirs == -7).any() and (theirs != -7).any()
    np.testing.assert_allclose(nnspec.from_onnx(m)(x)["y"], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [1.7, 1.1, 3.3])
def test_a_fraction_of_nearest_elements_is_torchs(factor: float, tmp_path: Path) -> None:
    net, e = net_of(lambda x: F.interpolate(x, scale_factor=factor, mode="nearest"), torch.randn(2, 3, 17, 20), tmp_path)
    check_against_torch(e, net, tmp_path)
