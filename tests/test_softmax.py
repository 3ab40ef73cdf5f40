"""The kernels of the softmax family against the definition in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from nnspec.array import Array
from nnspec.ops import OPS

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(6, 40)).astype("f")
AXES = {"the last": (2,), "the first": (0,), "in the middle": (1,), "several": (1, 2), "all": (0, 1, 2)}


def computed(op: str, x: Array, axes: tuple[int, ...]) -> Array:
    out = np.full_like(x, np.nan)
    with np.errstate(all="ignore"):
        OPS[op].prepare(out, x, axes=axes)()  # type: ignore[misc]  # both have it
    return out


def close(op: str, x: Array, axes: tuple[int, ...]) -> None:
    with np.errstate(all="ignore"):
        exact = OPS[op].kernel(x.astype(np.float64), axes=axes)
    np.testing.assert_allclose(computed(op, x, axes), exact, rtol=3e-5, atol=1e-30 if op == "softmax" else 3e-6)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axes", AXES)
def test_it_is_the_same_along_any_axes(op: str, axes: str) -> None:
    close(op, RNG.normal(size=(5, 33, 40)).astype("f"), AXES[axes])


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_many_rows_are_computed_in_parts(op: str) -> None:
    close(op, RNG.normal(size=(7, 1000, 33)).astype("f"), (2,))


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("change", [(0, 200.0), (0, -200.0), (0, 29.0), (0, -29.0), (slice(None), 1000.0), (slice(None), -1000.0)], ids=str)
def test_large_numbers_beside_small_ones_neither_overflow_nor_vanish(op: str, change: tuple[int | slice, float]) -> None:
    rows, shift = change
    x = NORMAL.copy()
    x[rows] += shift
    close(op, x, (1,))


def test_what_is_left_out_has_no_share_and_a_row_of_nothing_else_is_no_number() -> None:
    x = NORMAL.copy()
    x[:, 20:], x[2] = -np.inf, -np.inf
    out = computed("softmax", x, (1,))
    others = np.delete(out, 2, axis=0)
    assert (others[:, 20:] == 0).all() and np.isnan(out[2]).all()
    np.testing.assert_allclose(others.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_row_with_what_is_no_number_leaves_the_others_alone(op: str, number: float) -> None:
    x = NORMAL.copy()
    x[3, 7] = number
    out = computed(op, x, (1,))
    assert np.isnan(out[3]).any()
    np.testing.assert_array_equal(np.isfinite(out).all(1), np.arange(6) != 3)
