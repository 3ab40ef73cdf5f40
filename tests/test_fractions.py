"""Pixels as bytes are the fractions they stand for, wherever they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnspec.run.batches import Rows, fill, shapes_of
from nnspec.run.fractions import Fractions

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 3), np.uint8)
EXPECTED = (PIXELS / np.float32(255)).astype(np.float32)
ROWS = np.array([7, 0, 7])


@pytest.fixture
def images() -> Fractions:
    return Fractions(PIXELS, 255, "float32")


def test_numpy_takes_them_for_what_they_stand_for(images: Fractions) -> None:
    assert np.array_equal(np.asarray(images), EXPECTED) and np.asarray(images).dtype == np.float32
    assert np.array_equal(np.concatenate([images, images[:2]]), np.concatenate([EXPECTED, EXPECTED[:2]]))  # type: ignore[list-item]  # so it says
    assert np.asarray(images, np.float64).dtype == np.float64
    assert np.isclose(np.mean(images), EXPECTED.mean())  # type: ignore[call-overload]  # so it says


def test_rows_slices_and_other_shapes_are_fractions_too(images: Fractions) -> None:
    for rows in (slice(2, 5), ROWS, np.arange(10) % 2 == 0):
        assert np.array_equal(np.asarray(images[rows]), EXPECTED[rows])
    assert np.array_equal(np.asarray(images.reshape((10, 12))), EXPECTED.reshape(10, 12))
    assert (len(images), images.shape, images.ndim, images.size) == (10, (10, 1, 4, 3), 4, 120)


@pytest.mark.parametrize("how", ["rows", "slice"])
def test_a_batch_of_them_fills_an_input(images: Fractions, how: str) -> None:
    batch: Any = Rows({"image": images}, ROWS) if how == "rows" else {"image": images[:3]}
    array = np.empty((3, 1, 4, 3), np.float32)
    fill(array, batch, "image")
    assert np.array_equal(array, EXPECTED[ROWS if how == "rows" else slice(3)])
    assert shapes_of(batch) == ((3, 1, 4, 3),)
    assert np.array_equal(batch["image"], EXPECTED[ROWS] if how == "rows" else EXPECTED[:3])
