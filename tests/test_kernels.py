"""The kernels of the planned engine against the definition: every method of convolution, every layout, every size at which they change."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from helpers import with_leftovers

from nnspec import blas
from nnspec.array import Array
from nnspec.deploy import distance
from nnspec.graph import Op
from nnspec.lazy import real
from nnspec.ops import OPS, columns, pooling, winograd
from nnspec.ops.dense import in_rows
from nnspec.ops.totals import sum_into, sums_as_product
from nnspec.ops.windows import padded_shape
from nnspec.run.rows import WORTH_IT, in_long_rows


def images(*shape: int, last: bool = True) -> Array:
    """Random images [n, c, *size], with their channels last in memory or not."""
    n, c, *size = shape
    rng = np.random.default_rng(sum(shape))
    return np.moveaxis(rng.normal(size=(n, *size, c)), -1, 1) if last else rng.normal(size=shape)


def empty_like(shape: tuple[int, ...], last: bool) -> Array:
    return np.full_like(images(*shape, last=last), np.nan)


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "same": ((3, 4, 9, 7), (5, 4, 3, 3), {"pads": (1, 1, 1, 1)}),
    "one channel": ((3, 1, 8, 8), (6, 1, 5, 5), {"pads": (2, 2, 2, 2)}),
    "of one pixel": ((3, 4, 5, 5), (6, 4, 1, 1), {}),
    "of one pixel, every second": ((3, 4, 6, 6), (6, 4, 1, 1), {"strides": (2, 2)}),
    "strides": ((3, 4, 9, 8), (5, 4, 3, 2), {"strides": (2, 3), "pads": (1, 0, 1, 1)}),
    "strides beyond the kernel": ((2, 4, 9, 8), (5, 4, 2, 1), {"strides": (3, 2), "pads": (1, 0, 2, 1)}),
    "strides with many pads": ((2, 6, 3, 5), (6, 6, 5, 4), {"strides": (2, 2), "pads": (4, 5, 5, 4)}),
    "strides, tiles of rows": ((2, 24, 11, 12), (24, 24, 5, 5), {"strides": (2, 2), "pads": (2, 2, 2, 2)}),
    "strides, far fewer channels": ((2, 2, 9, 8), (8, 2, 3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "dilations": ((2, 4, 9, 9), (5, 4, 3, 3), {"dilations": (2, 3), "pads": (2, 3, 2, 3)}),
    "groups": ((3, 6, 7, 7), (4, 3, 3, 3), {"groups": 2, "pads": (1, 1, 1, 1)}),
    "groups in bundles": ((2, 24, 7, 7), (36, 2, 3, 3), {"groups": 12, "pads": (1, 1, 1, 1)}),
    "groups in bundles, strides": ((2, 12, 9, 7), (12, 3, 3, 2), {"groups": 4, "strides": (2, 2), "pads": (1, 0, 1, 1)}),
    "wide groups": ((2, 40, 5, 5), (36, 20, 3, 3), {"groups": 2, "pads": (1, 1, 1, 1)}),
    "depthwise": ((3, 6, 7, 7), (6, 1, 3, 3), {"groups": 6, "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "fewer units than channels": ((2, 16, 9, 7), (3, 16, 5, 4), {"pads": (2, 1, 2, 3)}),
    "far fewer units than channels": ((2, 64, 8, 8), (2, 64, 3, 3), {"pads": (1, 1, 1, 1), "dilations": (1, 1)}),
    "fewer units, in groups": ((2, 12, 7, 7), (4, 6, 3, 3), {"groups": 2, "pads": (1, 0, 1, 2)}),
    "one unit": ((3, 16, 9, 8), (1, 16, 5, 3), {"pads": (2, 1, 2, 1)}),
    "one unit, dilated": ((2, 6, 9, 9), (1, 6, 3, 2), {"pads": (2, 1, 2, 0), "dilations": (2, 1)}),
    "one unit without pads": ((2, 5, 6), (1, 5, 3), {"strides": (1,), "pads": (0, 0), "dilations": (1,)}),
    "more pads than the kernel": ((2, 3, 5, 5), (4, 3, 2, 2), {"pads": (2, 3, 2, 0)}),
    "a line": ((4, 3, 11), (5, 3, 4), {"strides": (2,), "pads": (1, 2), "dilations": (1,)}),
    "a cube": ((2, 3, 4, 5, 4), (4, 3, 2, 3, 2), {"strides": (1, 1, 2), "pads": (0, 1, 0, 1, 1, 0), "dilations": (1, 1, 1)}),
    "tiles": ((3, 64, 8, 8), (64, 64, 3, 3), {"pads": (1, 1, 1, 1)}),
    "tiles over the edge": ((2, 96, 7, 10), (128, 96, 3, 3), {"pads": (1, 1, 1, 1)}),
    "tiles without pads": ((2, 64, 10, 10), (64, 64, 3, 3), {}),
    "tiles of rows": ((3, 16, 8, 8), (16, 16, 3, 3), {"pads": (1, 1, 1, 1)}),
    "tiles of rows over the edge": ((3, 12, 9, 11), (20, 12, 5, 3), {"pads": (2, 1, 2, 1)}),
    "tiles of rows, more pads on one side": ((2, 16, 6, 9), (16, 16, 2, 3), {"pads": (0, 2, 1, 0)}),
    "tiles of rows, wide": ((2, 160, 8, 8), (160, 160, 1, 3), {"pads": (0, 1, 0, 1)}),
    "tiles of a line": ((3, 24, 21), (24, 24, 3), {"strides": (1,), "pads": (1, 1), "dilations": (1,)}),
}


FORMS: dict[str, winograd.Form] = {
    "tiles": winograd.Form(1, 3),
    "tiles of rows": winograd.Form(2, 1),
    "tiles over the edge": winograd.Form(1, 3),
    "tiles without pads": winograd.Form(1, 3),
    "tiles of a line": winograd.Form(1, 1),
}
"""Those that would not be taken, but have to be right, too."""


@pytest.mark.parametrize("case", FORMS)
def test_every_form_is_as_defined(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "form", lambda *_, **__: FORMS[case])
    test_convolution_and_its_gradients_are_as_defined(case, True, True, True, monkeypatch)


@pytest.mark.parametrize(("x_last", "out_last"), list(product([True, False], [True, False])))
@pytest.mark.parametrize("parts", ["one chunk", "chunks", "bands"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_and_its_gradients_are_as_defined(
    case: str, parts: str, x_last: bool, out_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parts == "bands":
        monkeypatch.setattr(columns, "LARGE_IMAGE", 0)
        monkeypatch.setattr(columns, "BAND_BYTES", 1 << 11)
    if parts != "one chunk":
        monkeypatch.setattr(columns, "CHUNK_BYTES", 1 << 13)
        monkeypatch.setattr(winograd, "CHUNK_BYTES", {1: 1 << 13, 2: 1 << 13})
        monkeypatch.setattr(winograd, "WEIGHTS", 1 << 30)
    x_shape, w_shape, given = CONVOLUTIONS[case]
    axes = len(x_shape) - 2
    a = {"strides": (1,) * axes, "pads": (0,) * 2 * axes, "dilations": (1,) * axes, "groups": 1, **given}
    x, w = images(*x_shape, last=x_last), np.random.default_rng(0).normal(size=w_shape)
    y = OPS["conv"].kernel(x, w, **a)
    g = images(*y.shape, last=out_last)
    for op, inputs, more, last in (
        ("conv", (x, w), {}, out_last),
        ("conv_input_grad", (g, w), {"size": x_shape[2:]}, x_last),
        ("conv_weight_grad", (x, g), {"kernel": w_shape[2:]}, False),
    ):
        expected = OPS[op].kernel(*inputs, **a, **more)
        out = empty_like(expected.shape, last)
        run = with_leftovers(partial(OPS[op].prepare, out, *inputs, **a, **more))  # type: ignore[arg-type]  # these rows have it
        for _ in range(2):
            run()
            assert distance(out, expected) < 1e-11, op


def test_the_tiles_are_used_where_they_save_work() -> None:
    plain: Any = {"kernel": (3, 3), "strides": (1, 1), "dilations": (1, 1), "groups": 1}
    both, rows = winograd.Form(2, 1), winograd.Form(1, 3)
    assert winograd.form(**plain, channels=(64, 64), grid=(16, 16)) == both
    assert winograd.form(**plain, channels=(16, 16), grid=(16, 16)) == rows
    assert winograd.form(**{**plain, "kernel": (5, 3)}, channels=(64, 64), grid=(16, 16)) == winograd.Form(1, 5)
    assert winograd.form((3,), (1,), (1,), 1, (64, 64), (16,)) == winograd.Form(1, 1)
    assert winograd.form(**plain, channels=(32, 1), grid=(28, 28)) is None
    assert winograd.form(**plain, channels=(64, 64), grid=(1, 1)) is None
    assert winograd.form(**{**plain, "strides": (2, 2)}, channels=(64, 64), grid=(16, 16)) is None
    assert winograd.form(**{**plain, "kernel": (5, 5)}, channels=(64, 64), grid=(16, 16)) is None


POOLS: dict[str, dict[str, Any]] = {
    "side by side": {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)},
    "side by side, not all covered": {"kernel": (3, 2), "strides": (3, 2), "pads": (0, 0, 0, 0)},
    "one pixel": {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)},
    "overlapping": {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    "overlapping all around": {"kernel": (5, 4), "strides": (1, 1), "pads": (2, 1, 2, 2)},
    "along one axis": {"kernel": (1, 3), "strides": (1, 2), "pads": (0, 1, 0, 1)},
    "with gaps": {"kernel": (2, 1), "strides": (3, 2), "pads": (1, 0, 0, 0)},
    "pads only, with windows that see nothing else": {"kernel": (1, 1), "strides": (1, 1), "pads": (1, 0, 2, 1)},
    "all of it": {"kernel": (8, 7), "strides": (8, 7), "pads": (0, 0, 0, 0)},
}


@pytest.mark.parametrize("images_of_a_chunk", [1, 2, 9])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("case", POOLS)
def test_pools_and_their_gradients_are_as_defined_with_ties_too(
    case: str, last: bool, images_of_a_chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, x = POOLS[case], np.round(images(3, 4, 8, 7, last=last))  # whole numbers: many are equal
    monkeypatch.setattr(pooling, "CHUNK_BYTES", images_of_a_chunk * 8 * int(np.prod(padded_shape((1, *x.shape[1:]), how["pads"]))))
    y = OPS["max_pool"].kernel(x, **how)
    g = images(*y.shape, last=last)
    size = {"size": x.shape[2:]}
    for op, inputs, more in (
        ("max_pool", (x,), {}),
        ("max_pool_grad", (g, x, y), {}),
        ("avg_pool", (x,), {}),
        ("avg_pool_grad", (g,), size),
    ):
        if op == "avg_pool" and case.startswith("pads only"):
            return  # the mean of nothing
        expected = OPS[op].kernel(*inputs, **more, **how)
        out = empty_like(expected.shape, last)
        run = with_leftovers(partial(OPS[op].prepare, out, *inputs, **more, **how))  # type: ignore[arg-type]  # these rows have it
        for _ in range(2):
            run()
            np.testing.assert_allclose(out, expected, atol=1e-12, err_msg=op)
    spread = OPS["max_pool_grad"].kernel(g, x, y, **how)
    assert np.isclose(spread.sum(), g.sum())


@pytest.mark.parametrize("library", [True, False], ids=["BLAS", "NumPy alone"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_is_added_to_what_is_there(dtype: str, library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not library:
        monkeypatch.setattr(blas, "_function", lambda name, dtype: None)
    rng = np.random.default_rng(0)
    for a_turned, b_turned, keep in product([True, False], [True, False], [1.0, 0.5]):
        a = rng.normal(size=(5, 7)).astype(dtype) if not a_turned else rng.normal(size=(7, 5)).astype(dtype).T
        b = rng.normal(size=(7, 3)).astype(dtype) if not b_turned else rng.normal(size=(3, 7)).astype(dtype).T
        out = rng.normal(size=(5, 3)).astype(dtype)
        expected = a @ b + keep * out
        blas.accumulated_product(a, b, out, keep)()
        assert distance(out, expected) < 1e-6


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(32, 784, 64), (500, 40, 64), (40, 64, 500), (100, 100, 101)], ids=str)
def test_a_product_a_little_larger_than_small_is_the_same_product_in_halves(
    shape: tuple[int, int, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas, "_has_small", lambda: True)
    blas.use_threads(threads)
    rng, (m, k, n) = np.random.default_rng(0), shape
    for a_turned, b_turned, keep in product([True, False], [True, False], [None, 0.5]):
        a = rng.normal(size=(k, m)).T if a_turned else rng.normal(size=(m, k))
        b = rng.normal(size=(n, k)).T if b_turned else rng.normal(size=(k, n))
        out = rng.normal(size=(m, n))
        whole = partial(np.matmul, a, b, out)
        assert (blas._in_halves(whole, a, b, out, keep or 0.0) is whole) == b_turned
        expected = a @ b + (keep or 0.0) * out
        (blas.product(a, b, out) if keep is None else blas.accumulated_product(a, b, out, keep))()
        assert distance(out, expected) < 1e-12


def test_what_is_no_number_in_the_result_before_a_product_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_has_small", lambda: True)
    blas.use_threads(1)
    a, b, out = np.ones((32, 784), np.float32), np.ones((784, 64), np.float32), np.full((32, 64), np.nan, np.float32)
    blas.product(a, b, out)()
    assert np.all(out == 784)


def test_numpys_own_blas_is_found_here() -> None:
    assert blas._function("gemm", "float32") and blas._function("axpy", "float64") and blas._function("axpby", "float32")


@pytest.mark.parametrize("library", [True, False], ids=["BLAS", "NumPy alone"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("into", ["x", "elsewhere"])
@pytest.mark.parametrize("gap", [1, 2])
def test_a_moving_average_is_the_same_wherever_it_goes(
    dtype: str, library: bool, into: str, gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not library:
        monkeypatch.setattr(blas, "_function", lambda name, dtype: None)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=30).astype(dtype)[::gap] for name in ("x", "y", "elsewhere")}
    a, b = (np.full((), number, dtype) for number in (0.75, -0.5))
    expected = 0.75 * arrays["x"] - 0.5 * arrays["y"]
    kept = {name: array.copy() for name, array in arrays.items() if name != into}
    OPS["blend"].prepare(arrays[into], arrays["x"], arrays["y"], a, b)()
    assert distance(arrays[into], expected) < 1e-6
    assert all(np.array_equal(arrays[name], array) for name, array in kept.items())


LAYOUTS = {
    "rows": lambda: np.random.default_rng(0).normal(size=(6, 5, 8)),
    "channels last": lambda: images(6, 5, 8, 3),
    "turned": lambda: np.random.default_rng(0).normal(size=(5, 6)).T,
    "with a gap": lambda: np.random.default_rng(0).normal(size=(6, 9))[:, :5],
    "an axis of one": lambda: images(6, 1, 8, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sum_as_a_product_is_the_sum(layout: str) -> None:
    x = LAYOUTS[layout]()
    found = 0
    for axes in [(i,) for i in range(x.ndim)] + [tuple(i for i in range(x.ndim) if i != k) for k in range(x.ndim)]:
        factors = sums_as_product(x, axes)
        if factors:
            found += 1
            assert np.allclose(np.matmul(*factors), x.sum(axes).reshape(-1)), axes
    assert found or layout == "with a gap"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("shape", [(4,), (3, 2), (5, 2, 3, 2, 2), (2, 17, 3), (3, 4, 4), (2, 1, 3)])
def test_a_sum_of_few_numbers_is_the_sum_wherever_they_lie(shape: tuple[int, ...], keep: bool) -> None:
    rng = np.random.default_rng(0)
    orders = [tuple(range(len(shape))), tuple(reversed(range(len(shape))))]
    for axes, order, gap in product([a for n in range(1, 4) for a in combinations(range(len(shape)), n)], orders, (1, 2)):
        x = np.empty([gap * shape[a] for a in order]).transpose(np.argsort(order))[(*[slice(None, None, gap)] * len(shape),)]
        out = np.empty(np.zeros(shape).sum(axes, keepdims=keep).shape[::-1]).T
        run = sum_into(out, x, axes, keep)
        x[...] = rng.standard_normal(shape)
        run()
        np.testing.assert_allclose(out, x.sum(axes, keepdims=keep), err_msg=str((axes, order, gap)))


def test_long_rows_are_where_arrays_lie_alike() -> None:
    x, y = images(8, 16, 8, 8), images(8, 16, 8, 8)
    rows, few = in_rows(x, y), in_rows(x[:4], y[:4])
    assert rows and rows[0].shape == (8, 1024) and np.shares_memory(rows[0], x)
    assert few and few[0].shape == (4096,) and np.shares_memory(few[0], x)
    assert in_rows(x, images(8, 16, 8, 8, last=False)) is None


BESIDE = {
    "one number a channel": lambda: np.random.default_rng(1).normal(size=(16, 1, 1)),
    "an image": lambda: images(1, 16, 8, 8)[0],
    "a number": lambda: np.float64(2.0),
    "one number an image": lambda: np.random.default_rng(1).normal(size=(32, 1, 1, 1)),
    "the other layout": lambda: images(32, 16, 8, 8, last=False),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_an_operation_in_long_rows_is_the_same_operation(beside: str) -> None:
    x, b = images(32, 16, 8, 8), np.asarray(BESIDE[beside]())
    assert x.size >= WORTH_IT
    out = np.empty_like(x)
    wide = in_long_rows(out, [x, b])
    assert (wide is not None) == (beside == "one number a channel")
    if wide:
        for copy in wide.copies:
            copy()
        np.subtract(*wide.inputs, out=wide.out)
        assert np.array_equal(out, x - b)


@pytest.mark.parametrize(("seconds", "help"), [(0.001, True), (0.01, False)])
def test_threads_that_take_much_longer_than_one_do_not_help(seconds: float, help: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_median_seconds", lambda _, number: seconds if number == 4 else 0.001)
    assert blas.threads_help(4, 8) == help


DRAWN: dict[str, Callable[[np.random.Generator, Op], Array]] = {
    "bool": lambda drawn, _: drawn.random(8) < 0.5,
    "int": lambda drawn, _: drawn.integers(1, 9, 8),
    "float": lambda drawn, op: drawn.uniform(*op.domain, 8).astype("float32"),
}
BY_ELEMENT = [op for op in OPS.values() if op.pointwise and not op.attributes and (op.prepare or isinstance(real(op.kernel), np.ufunc))]


@pytest.mark.parametrize("gap", [2, 4, 8])
@pytest.mark.parametrize("op", BY_ELEMENT, ids=lambda op: op.name)
def test_an_operation_on_single_elements_is_the_same_in_memory_with_gaps(op: Op, gap: int) -> None:
    drawn = np.random.default_rng(gap)
    bases = [p.type.base if p.type else "" for p in op.declared(len(op.inputs))]
    inputs: list[Array] = [DRAWN[base](drawn, op) for base in bases]
    expected = op.kernel(*inputs)
    apart = [np.repeat(x, gap)[::gap] for x in inputs]
    out = np.zeros(8 * gap, expected.dtype)[::gap]
    call = op.prepare(out, *apart) if op.prepare else partial(real(op.kernel), *apart, out=out)
    call()
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_the_error_function_in_float32_is_that_of_python_and_never_beyond_one() -> None:
    x = np.linspace(-60, 60, 24_001, dtype="float32")
    out = np.empty_like(x)
    assert OPS["erf"].prepare
    OPS["erf"].prepare(out, x)()
    np.testing.assert_allclose(out, [math.erf(v) for v in x], atol=4e-7)
    assert set(out[np.abs(x) >= 4]) == {-1, 1} and np.abs(out).max() == 1


@pytest.mark.parametrize("shape", [(1 << 23,), (2, 1 << 22), (1 << 17, 3), (32, 4096, 3), (1 << 13, 8), (70001,)], ids=str)
@pytest.mark.parametrize("op", ["sum", "mean"])
@pytest.mark.parametrize("axes", ["first", "last", "all"])
def test_long_sums_are_as_exact_as_sums_of_sums(op: str, shape: tuple[int, ...], axes: str) -> None:
    x = np.random.default_rng(0).random(shape, np.float32)
    chosen = {"first": tuple(range(max(1, x.ndim - 1))), "last": (x.ndim - 1,), "all": tuple(range(x.ndim))}[axes]
    exact = getattr(np, op)(x, chosen, np.float64)
    out = np.empty(exact.shape, np.float32)
    run = real(OPS[op].prepare)(out, x, axes=chosen, keep=False)
    for _ in range(2):
        run()
        np.testing.assert_allclose(out, exact, rtol=6e-7)


def with_gaps(array: Array) -> Array:
    """The same numbers with others between them in memory."""
    wide = np.full([n + 2 for n in array.shape], np.nan, array.dtype)
    wide[tuple(slice(1, -1) for _ in array.shape)] = array
    return wide[tuple(slice(1, -1) for _ in array.shape)]


@pytest.mark.parametrize("laid", [np.array, with_gaps], ids=["whole", "with gaps"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((70_001, 2), (0,)),
        ((3, 70_001), (1,)),
        ((10_007, 2, 7), (0, 2)),
        ((2, 70_001, 2), (1,)),
        ((307, 2, 311), (2, 0)),
        ((3, 1 << 20), (0, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("op", ["sum", "mean"])
def test_equal_numbers_are_not_rounded_the_same_way_at_every_step_of_a_long_sum(
    op: str, shape: tuple[int, ...], axes: tuple[int, ...], laid: Callable[[Array], Array]
) -> None:
    x = laid(np.full(shape, 1 / 128_000, np.float32))
    exact = getattr(np, op)(x, axes, np.float64)
    for keep in (False, True):
        out = np.empty(np.sum(x, axes, keepdims=keep).shape, np.float32)
        real(OPS[op].prepare)(out, x, axes=axes, keep=keep)()
        np.testing.assert_allclose(out.reshape(exact.shape), exact, rtol=1e-5)
    np.testing.assert_allclose(real(OPS[op].kernel)(x, axes, False), exact, rtol=1e-7)


@pytest.mark.parametrize("axes", [(0,), (0, 2), (2,)], ids=str)
def test_a_long_sum_of_nothing_is_zero(axes: tuple[int, ...]) -> None:
    x = np.ones((10_000, 3, 5), np.float32)[:, :, :0]
    out = np.full(np.sum(x, axes).shape, np.nan, np.float32)
    real(OPS["sum"].prepare)(out, x, axes=axes, keep=False)()
    assert not out.any()
