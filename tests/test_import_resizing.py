"""Images that are enlarged, and elements that are left out, in imported specs: held against torch and, as all imports are, onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_import import check_against_torch
from torch import nn
from torch_models import Example, export

import nnspec
from nnspec.importing import import_model


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
