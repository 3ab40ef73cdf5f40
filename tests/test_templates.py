"""Weights drawn as images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import nnspec
from nnspec.train.templates import draw, grid, png, templates

MODEL = """
model Net {
  input image: [1, 4, 6]
  input flat: [24]
  maps   = image -> conv(3, 3) -> relu -> conv(2, 1) as mixed
  output seen = image -> flatten -> dense(5)
  output rest = concat(flat, maps -> flatten) -> dense(2) as head
  output deep = maps -> conv(2, 2) as last -> flatten
}
"""


def test_templates_are_those_of_kernels_and_matrices_on_one_channel() -> None:
    net = nnspec.loads(MODEL)
    found = dict(templates(net.spec.graph, net.params))
    assert {name: images.shape for name, images in found.items()} == {"conv.W": (3, 3, 3), "dense.W": (5, 4, 6)}
    assert np.array_equal(found["dense.W"][2].ravel(), net.params["dense.W"][:, 2])


def test_a_template_is_grey_at_zero_and_white_or_black_at_its_largest() -> None:
    picture = grid(np.array([[[0.0, 2.0], [-1.0, -2.0]], [[0.0, 0.0], [0.0, 0.0]]]))
    assert picture.shape == (4 + 84 + 4, 2 * (4 + 84) + 4)
    assert [picture[10, 10], picture[10, 60], picture[60, 10], picture[60, 60]] == [128, 255, 64, 0]
    assert picture[0].min() == 255 and (picture[4:88, 92:176] == 128).all()


def test_a_sequence_of_single_numbers_is_no_image() -> None:
    net = nnspec.loads("model Net { input x: [8]  output h = reshape(x, [8, 1]) -> gru(3) }")
    assert not dict(templates(net.spec.graph, net.params))


@pytest.mark.parametrize(("units", "rows", "columns"), [(3, 1, 3), (10, 1, 10), (12, 2, 10), (250, 10, 10)])
def test_templates_stand_in_rows_of_ten(units: int, rows: int, columns: int) -> None:
    assert grid(np.ones((units, 84, 84))).shape == (rows * 88 + 4, columns * 88 + 4)


def test_the_picture_is_what_a_reader_of_png_sees(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)
    net = nnspec.loads(MODEL)
    draw(tmp_path, net.spec.graph, net.params)
    assert {p.name for p in tmp_path.iterdir()} == {"conv.W.png", "dense.W.png"}


def test_templates_of_three_channels_are_coloured_where_they_see_the_image() -> None:
    net = nnspec.loads("model N { input i: [3, 6, 6]  output y = i -> conv(4, 3) -> conv(3, 3) -> flatten -> dense(2) }")
    found = dict(templates(net.spec.graph, net.params))
    assert {n: v.shape for n, v in found.items()} == {"conv.W": (4, 3, 3, 3), "dense.W": (2, 2, 2, 3)}
    assert np.array_equal(found["conv.W"][1, :, :, 2], net.params["conv.W"][1, 2])
    image = pytest.importorskip("PIL.Image")
    pixels = grid(found["conv.W"])
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(pixels))).convert("RGB")), pixels)
