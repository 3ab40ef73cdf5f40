"""Primitives of the language on examples and batches: their values in every engine, and what they refuse."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from helpers import distance, refused
from torch.nn import functional

import nnspec
from nnspec import SpecError
from nnspec.graph import Mismatch, Size, Type
from nnspec.interchange.to_onnx import to_onnx
from nnspec.ops import OPS
from nnspec.run.ort import Session

RNG = np.random.default_rng(0)


def value(model: str, **fields: Any) -> Any:
    """The output `y` of a model, which the reference, the planned engine and onnxruntime agree on."""
    text = f"model M {{ {model} }}"
    planned, definition = nnspec.loads(text).init(3), nnspec.loads(text, engine="reference").init(3)
    y = planned(**fields)["y"]
    assert distance(y, definition(**fields)["y"]) < 1e-5
    graph = planned.spec.inference
    feeds = {n.name: np.asarray(fields[n.name], n.type.dtype) for n in graph if n.op.name == "input"}
    exported = Session(to_onnx(graph, planned.engine.all_arrays()).SerializeToString()).run(feeds)["y"]
    assert distance(exported, y) < 1e-5
    return y


@pytest.mark.parametrize("function", ["floor", "ceil", "round"])
def test_whole_numbers_are_round_already(function: str) -> None:
    assert value(f"input i: class(5)[3]  output y = {function}(i)", i=[[1, 4, 0]]).tolist() == [[1, 4, 0]]


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("k^2", [5001**2, 9]),
        ("k^3 - k^[1, 0]", [5001**3 - 5001, 26]),
        ("cumsum(k * k)", [5001**2, 5001**2 + 9]),
        ("cumsum(k)^2 + k", [5001**2 + 5001, 5004**2 + 3]),
    ],
)
def test_whole_numbers_stay_whole_where_floats_are_none(engine: str, formula: str, expected: list[int]) -> None:
    """In float32 5001^2 is 25010000."""
    found = nnspec.loads(f"model M {{ input k: int[2]  output y = {formula} }}", engine=engine)(k=[[5001, 3]])["y"]
    assert found.dtype == np.int64 and found.tolist() == [expected]


@pytest.mark.parametrize(("formula", "expected"), [("k^0.5", [3, 2]), ("k^-1", [1 / 9, 0.25]), ("2^k", [512, 16]), ("k^k", [9**9, 256])])
def test_a_power_that_may_be_no_whole_number_is_a_float(formula: str, expected: list[float]) -> None:
    found = value(f"input k: int[2]  output y = {formula}", k=[[9, 4]])
    assert found.dtype == np.float32 and found.tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize("order", [(-1, -2, -3), (1, -1, 0), (-2, 0, 2), (2, 1, 0)])
def test_an_order_of_axes_may_count_from_the_end(order: tuple[int, ...]) -> None:
    x = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    found = value(f"input x: [3, 4, 5]  output y = transpose(x, {list(order)})", x=x)
    np.testing.assert_array_equal(found, torch.stack([torch.permute(e, order) for e in torch.tensor(x)]))


@pytest.mark.parametrize(("axis", "size"), [(0, 3), (-3, 3), (1, 4), (-2, 4), (-1, 5)])
def test_a_vector_is_laid_along_an_axis_from_either_end(axis: int, size: int) -> None:
    x, v = np.ones((2, 3, 4, 5), np.float32), np.arange(size)
    found = value(f"input x: [3, 4, 5]  output y = x * along(range(0, {size}), x, axis = {axis})", x=x)
    np.testing.assert_array_equal(found, np.moveaxis(np.broadcast_to(v, (2, *sorted({3, 4, 5} - {size}), size)), -1, axis % 3 + 1))


@pytest.mark.parametrize("length", [1, 9, 10, 11, 30])
def test_the_last_ten_of_any_sequence_may_have_zeros_before_them(length: int) -> None:
    x = RNG.normal(size=(2, length)).astype(np.float32)
    expected = np.concatenate([np.zeros((2, 10)), x], 1)[:, -10:]
    assert distance(value("input x: [T]  output y = pad_axis(x, 0, 10, 0)[-10:]", x=x), expected) < 1e-7


# ---- products

SIDES = ((4,), (3, 4), (1, 3, 4), (2, 3, 4), (2, 1, 3, 4)), ((4, 5), (1, 4, 5), (2, 4, 5), (2, 2, 4, 5))


@pytest.mark.parametrize("left", SIDES[0])
@pytest.mark.parametrize("right", SIDES[1])
@pytest.mark.parametrize("batched", ["x", "z", "xz"])
def test_a_product_of_an_example_is_that_of_numpy(left: tuple[int, ...], right: tuple[int, ...], batched: str) -> None:
    x, z = (RNG.normal(size=(3, *shape) if name in batched else shape) for name, shape in (("x", left), ("z", right)))
    given = {name: array for name, array in (("x", x), ("z", z)) if name in batched}
    kept = "".join(f"param {n}: {list(a.shape)} = {a.tolist()}  " for n, a in (("x", x), ("z", z)) if n not in batched)
    inputs = "".join(f"input {n}: {list(a.shape[1:])}  " for n, a in given.items())
    each = [np.matmul(x[i] if "x" in batched else x, z[i] if "z" in batched else z) for i in range(3)]
    assert distance(value(f"{inputs}{kept}output y = x @ z", **given), each) < 1e-5


@pytest.mark.parametrize("engine", ["reference", "numpy", "ort"])
def test_a_tensor_layer_has_the_gradient_of_torch(engine: str) -> None:
    """Socher et al. 2013: x W_k y for every k."""
    x, y, w = (torch.tensor(RNG.normal(size=shape)) for shape in ((5, 2), (5, 2), (3, 2, 2)))
    w.requires_grad_()
    loss = (torch.einsum("bi,kij,bj->bk", x, w, y) ** 2).mean()
    (expected,) = torch.autograd.grad(loss, w)
    formulas = "z = sum((x @ W) * y, axis = -1)  output z  loss mean(z^2)"
    spec = f"model M {{ input x: [2]  input y: [2]  param W: [3, 2, 2] = {w.tolist()}  {formulas} }}"
    found, gradients = nnspec.loads(spec, engine=engine, dtype="float64").gradients(x=x.numpy(), y=y.numpy())
    assert found == pytest.approx(loss.item()) and distance(gradients["W"], expected) < 1e-9


# ---- random numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_drawn_piece_by_piece_are_those_of_the_definition(dtype: str) -> None:
    shape, seed, step = (3, 7001), np.array(5), np.array(2)
    out = np.empty(shape, dtype)
    assert OPS["random"].prepare
    OPS["random"].prepare(out, seed, step, stream=11, shape=shape, dtype=dtype)()
    np.testing.assert_array_equal(out, OPS["random"].kernel(seed, step, stream=11, shape=shape, dtype=dtype))


# ---- rows by number

TABLE = np.arange(6.0).reshape(3, 2)


def test_take_gives_rows_of_a_parameter_for_each_example() -> None:
    i = [[2, 0], [1, 1]]
    y = value("input i: class(3)[2]  param W: [3, 2] = [[0, 1], [2, 3], [4, 5]]  output y = take(W, i)", i=i)
    np.testing.assert_array_equal(y, TABLE[i])


def test_take_gives_rows_of_each_example() -> None:
    x, i = RNG.random((4, 3, 2)), np.array([[2, 0], [1, 1], [0, 0], [2, 2]])
    y = value("input x: [3, 2]  input i: class(3)[2]  output y = take(x, i)", x=x, i=i)
    np.testing.assert_allclose(y, np.take_along_axis(x, i[:, :, None], 1), rtol=1e-6)


def test_take_reads_a_number_or_a_list_written_down() -> None:
    x = RNG.random((4, 3, 2))
    np.testing.assert_allclose(value("input x: [3, 2]  output y = take(x, [2, 0])", x=x), x[:, [2, 0]], rtol=1e-6)
    np.testing.assert_allclose(value("input x: [3, 2]  output y = take(x, 1)", x=x), x[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("take(x, 3)", "E205.* there is no row 3"),
        ("take(x, [])", "E205.* there is no row"),
        ("take(x, [[1], [1, 2]])", "E208"),
        ("take(x, k)", "E202.* needs 4 rows"),
        ("take(x, x)", "E106.* expected a class number"),
        ("take(sum(x), 0)", "E202.* no rows"),
    ],
)
def test_take_refuses(formula: str, message: str) -> None:
    assert re.search(message, refused(f"input x: [3, 2]  input k: class(4)  output y = {formula}"), re.S)


# ---- order


def test_reverse_turns_an_axis_of_each_example_round() -> None:
    x = RNG.random((2, 3, 4))
    np.testing.assert_allclose(value("input x: [T, 4]  output y = reverse(x)", x=x), x[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(value("input x: [T, 4]  output y = reverse(x, axis = -1)", x=x), x[:, :, ::-1], rtol=1e-6)
    np.testing.assert_allclose(value("param W: [3] = [1, 2, 3]  output y = reverse(W)"), [3, 2, 1])
    assert "E205" in refused("input x: [3]  output y = reverse(x, axis = 1)")


def test_positions_count_along_an_axis_of_any_length() -> None:
    for length in (1, 4):
        x = np.zeros((2, length, 3))
        np.testing.assert_array_equal(value("input x: [T, 3]  output y = x[:, 0] + positions(x)", x=x), [np.arange(length)] * 2)
        np.testing.assert_array_equal(value("input x: [T, 3]  output y = x[0] + positions(x, axis = -1)", x=x), [[0, 1, 2]] * 2)


def test_squeeze_drops_axes_of_length_1() -> None:
    x = RNG.random((2, 1, 3, 1))
    np.testing.assert_allclose(value("input x: [1, 3, 1]  output y = x -> squeeze", x=x), x[:, 0, :, 0], rtol=1e-6)
    np.testing.assert_allclose(value("input x: [1, T, 1]  output y = squeeze(x, axis = -1)", x=x), x[..., 0], rtol=1e-6)
    np.testing.assert_allclose(value("input x: [1, 3, 1]  output y = squeeze(x, axis = [0, 2])", x=x), x[:, 0, :, 0], rtol=1e-6)
    np.testing.assert_allclose(value("input x: [1]  output y = x -> squeeze", x=x[:, 0, :1, 0]), x[:, 0, 0, 0], rtol=1e-6)


def test_squeeze_refuses_an_axis_that_is_longer() -> None:
    assert "drops axes of length 1 only, and x is [1, 3]" in refused("input x: [1, 3]  output y = squeeze(x, axis = 1)")


@pytest.mark.parametrize("row", [3, -1])
@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_a_row_that_is_not_there_is_an_error(engine: str, row: int) -> None:
    net = nnspec.loads("model M { input i: int[2]  param W: [3, 2] = 1  output y = take(W, i) }", engine=engine).init(0)
    with pytest.raises(SpecError, match=rf"E205.* there is no row {row}: there are 3(?s:.*):1:60"):
        net(i=[[0, row]])


@pytest.mark.parametrize("shape", ["[-2, -3]", "[0]", "[6, 1.5]", "[true, 6]"])
def test_a_shape_is_whole_numbers_from_1(shape: str) -> None:
    assert "E106" in refused(f"input x: [2, 3]  output y = reshape(x, {shape})")


def test_one_axis_is_not_several() -> None:
    for formula in ("reverse(x, axis = [0, 1])", "positions(x, axis = [0, 1])", "cut_axis(x, [0, 1], 0, 1)"):
        assert "E205" in refused(f"input x: [2, 3]  output y = {formula}")


def test_cut_axis_is_a_slice_of_any_axis() -> None:
    x = RNG.random((2, 3, 5))
    np.testing.assert_allclose(value("input x: [3, T]  output y = cut_axis(x, -1, 1, 4)", x=x), x[:, :, 1:4], rtol=1e-6)
    assert "E205" in refused("input x: [3, 5]  output y = cut_axis(x, 2, 1, 4)")


# ---- joining


def test_concat_adds_sizes_that_are_known_only_at_run_time() -> None:
    t = Size.named("T")
    types = tuple(Type("float32", (2, n)) for n in (t, 3, 2 * t))
    assert OPS["concat"].type(types, {"axis": 1}).shape == (2, 3 * t + 3)


def test_concat_names_what_does_not_fit() -> None:
    with pytest.raises(Mismatch, match=r"\[2, 3\] and \[3, 3\] differ in more than axis 1"):
        OPS["concat"].type((Type("float32", (2, 3)), Type("float32", (3, 3))), {"axis": 1})


def test_reshape_counts_the_elements() -> None:
    with pytest.raises(Mismatch, match=r"\[2, 3\] has 6 elements, \[4\] has 4"):
        OPS["reshape"].type((Type("float32", (2, 3)),), {"shape": (4,)})


# ---- the error function


def test_erf_and_its_inverse_are_right_to_the_last_digits_of_float64() -> None:
    x = np.concatenate([np.linspace(-6.5, 6.5, 1001), [1e-300, 0.46875, 5.9]])
    np.testing.assert_allclose(OPS["erf"].kernel(x), [math.erf(v) for v in x], rtol=1e-15)
    tails = np.concatenate([np.linspace(0.01, 0.5, 50), np.logspace(-16, -2, 50)])
    y = OPS["erfinv"].kernel(1 - 2 * tails)
    np.testing.assert_allclose([math.erfc(v) for v in y], 1 - (1 - 2 * tails), rtol=1e-13)
    np.testing.assert_allclose([OPS["erfinv"].on_numbers(float(v)) for v in 2 * tails - 1], -y, rtol=1e-15, atol=1e-16)
    assert list(OPS["erfinv"].kernel(np.array([-1.0, 1.0]))) == [-np.inf, np.inf]


# ---- windows over one, two and three axes


@pytest.mark.parametrize("size", [[5], [5, 4], [5, 4, 3]])
def test_windows_move_over_as_many_axes_as_an_image_has(size: list[int]) -> None:
    x, kernel = RNG.random((3, 2, *size)), [2] * len(size)
    y = value(f"input x: {[2, *size]}  param W: {[4, 2, *kernel]} ~ he_normal  output y = pool_max(convolve(x, W, pad = same), 2)", x=x)
    assert y.shape == (3, 4, *(n // 2 for n in size))
    mean = value(f"input x: {[2, *size]}  output y = pool_mean(x, kernel = {kernel}, stride = 1, pad = 1)", x=x)
    assert mean.shape == (3, 2, *(n + 1 for n in size))
    np.testing.assert_allclose(mean[(..., *(0,) * len(size))], x[(..., *(0,) * len(size))], rtol=1e-6)


def test_an_image_that_is_the_same_for_all_has_no_batch_after_windows_either() -> None:
    """As in style transfer, where the image is what is trained."""
    image, kernel = (torch.ones(shape, requires_grad=True) for shape in ((1, 4, 4), (2, 1, 3, 3)))
    features = functional.conv2d(image[None], kernel, padding=1)
    loss = ((features.reshape(32) ** 2).sum() + functional.max_pool2d(features, 2).reshape(8).sum()) * 1.5
    loss.backward()
    text = (
        "model M { input x: []  param image: [1, 4, 4] = 1  param K: [2, 1, 3, 3] = 1  f = convolve(image, K, pad = same)"
        "  output row = reshape(f, [32]), wide = convolve_transpose(f, K)  loss (sum(row^2) + sum(f -> maxpool(2) -> flatten)) * x }"
    )
    for engine in ("numpy", "reference", "ort"):
        net = nnspec.loads(text, engine=engine).init(0)
        value, gradients = net.gradients(x=[1, 2])
        assert value == pytest.approx(loss.item()) and net(x=[1, 2])["wide"].shape == (1, 6, 6)
        assert max(distance(gradients[n], t.grad) for n, t in (("image", image), ("K", kernel))) < 1e-6


def test_a_signal_of_any_length_is_convolved() -> None:
    for length in (4, 9):
        x = RNG.random((3, 2, length))
        y = value("input x: [2, T]  param W: [1, 2, 3] = [[[1, 0, 0], [0, 0, 2]]]  output y = convolve(x, W, pad = 1)", x=x)
        np.testing.assert_allclose(y[:, 0, 1:-1], x[:, 0, :-2] + 2 * x[:, 1, 2:], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("input x: [2, 8]  param W: [4, 2, 3, 3] = 1  output y = convolve(x, W)", r"E202.* W is \[units, channels / groups, width\]"),
        ("input x: [2, 8, 8]  param W: [4, 2, 3, 3] = 1  output y = convolve(x, W, stride = [1, 1, 1])", "E106.* one number or two"),
        ("input x: [2, 8]  output y = pool_max(x, [2, 2])", "E106.* `kernel` is one number, not"),
        ("input x: [2, 8, 8, 8]  output y = pool_max(x, 2, pad = [1, 1])", "E106.* `pad` is one number or three"),
        ("input x: [8]  output y = pool_max(x, 2)", r"E202.* an image is \[channels, height, width\], not \[8\]"),
        ("input x: [2, 8]  output y = pool_mean(x, 2, pad = 2)", "E206.* a window of 2 would lie wholly"),
        ("input x: [2, T]  param W: [4, 2, 3] = 1  output y = convolve(x, W, stride = 2)", "E202.* step by 2 over a size known only"),
        ("input x: [2, T]  output y = pool_max(x, 2, stride = 1)", "E202.* pooling over a size known only at run time"),
    ],
)
def test_windows_refuse(model: str, message: str) -> None:
    assert re.search(message, refused(model), re.S)


def test_the_receptive_field_has_a_number_for_each_axis() -> None:
    model = "input x: {}  param W: {} = 1  y = pool_max(convolve(x, W, stride = 2), 2)  output y  expect receptive_field(y) == {}"
    nnspec.loads(f"model M {{ {model.format('[1, 20]', '[1, 1, 3]', '[5]')} }}")
    nnspec.loads(f"model M {{ {model.format('[1, 9, 9, 9]', '[1, 1, 3, 3, 2]', '[5, 5, 4]')} }}")


@pytest.mark.parametrize(("settings", "size"), [("pad = same", [10, 8]), ("", [11, 9]), ("pad = 1, output_pad = 1", [10, 8])])
def test_a_transposed_convolution_gives_back_the_size(settings: str, size: list[int]) -> None:
    x = RNG.random((3, 2, 5, 4))
    model = f"input x: [2, 5, 4]  param W: [2, 3, 3, 3] ~ he_normal  output y = convolve_transpose(x, W, stride = 2, {settings})"
    assert value(model.replace(", )", ")"), x=x).shape == (3, 3, *size)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("convolve_transpose(x, W, output_pad = 1)", "E106.* less than the stride"),
        ("convolve_transpose(x, W, pad = 1, output_pad = 2)", "E106.* less than the stride and what `pad` cuts off together"),
        ("convolve_transpose(x, W, groups = 2)", "E202.* 3 channels do not fit W"),
        ("convolve_transpose(x, W, pad = 9)", "E206.* takes all of the result"),
        ("convolve_transpose(x, x)", r"E202.* W is \[channels, units / groups, width\]"),
    ],
)
def test_a_transposed_convolution_refuses(call: str, message: str) -> None:
    assert re.search(message, refused(f"input x: [3, 8]  param W: [3, 2, 3] = 1  output y = {call}"), re.S)


# ---- shapes


def test_expand_repeats_and_pad_axis_adds_zeros() -> None:
    x = RNG.random((3, 2, 1))
    np.testing.assert_allclose(value("input x: [2, 1]  output y = expand(x, [4, 2, 3])", x=x), np.tile(x[:, None], (1, 4, 1, 3)), rtol=1e-6)
    padded = value("input x: [2, 1]  output y = pad_axis(x, -1, 1, 2)", x=x)
    np.testing.assert_allclose(padded, np.pad(x, ((0, 0), (0, 0), (1, 2))), rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("expand(x, [3, 3])", r"E204.* \[2, 1\] does not repeat to \[3, 3\]"),
        ("expand(x, x)", "E106.* a shape is a list of sizes"),
        ("pad_axis(x, [0, 1], 1, 1)", "E205.* `axis` is one axis, not 2"),
        ("pad_axis(x, 0, -1, 1)", "E106.* `before` is a whole number from 0"),
        ("rank_of(x, axis = 5)", "E205.* there is no axis 5"),
        ("orthogonalise(sum(x))", "E202.* a matrix can be made orthogonal"),
    ],
)
def test_shapes_and_axes_refuse(formula: str, message: str) -> None:
    assert re.search(message, refused(f"input x: [2, 1]  output y = {formula}"), re.S)


# ---- along an axis


def test_ranks_and_running_sums_go_along_one_axis() -> None:
    x = RNG.integers(0, 4, (3, 6)).astype(float)
    ranks = [[(row < v).sum() + ((row == v).sum() + 1) / 2 for v in row] for row in x]
    np.testing.assert_array_equal(value("input x: [6]  output y = rank_of(x)", x=x), ranks)
    x = RNG.random((3, 6, 2))
    np.testing.assert_allclose(value("input x: [6, 2]  output y = cumsum(x, axis = 0)", x=x), np.cumsum(x, 1), rtol=1e-6)


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_what_is_no_number_has_no_rank_and_takes_none(engine: str) -> None:
    text = "model M { input x: [2, 8]  output y = rank_of(x[0] / x[1]) }"
    x = [[0, 1, -1, 0, 0, 1, -2.5, 2.5], [0, 0, 0, 0, 1, 1, 1, 1]]
    np.testing.assert_array_equal(nnspec.loads(text, engine=engine)(x=[x])["y"], [[np.nan, 6, 1, np.nan, 3, 4, 2, 5]])


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", ["0.5", "e", "1.5", "-0.5", "0.5 * k", "e * k[:1]", "reshape(e * k, [2, 4])[0, 0]"])
def test_powers_of_what_is_at_the_ends_are_those_of_c(exponent: str, dtype: str, engine: str) -> None:
    text = f"model M {{ input x: [8]  input d: [8]  input k: [8]  param e: [] = 0.5  output y = (x / d)^({exponent}) }}"
    x, d = np.array([1, -1, 0, 0, -1, 4, 9, -2.5]), np.array([0, 0, 1, -1, 1, 1, 1, 1])
    with np.errstate(all="ignore"):
        quotients = (x / d).tolist()
    one = {"1.5": 1.5, "-0.5": -0.5}.get(exponent, 0.5)
    expected = [math.nan if q < 0 and math.isfinite(q) else math.inf if q == 0 and one < 0 else math.pow(q, one) for q in quotients]
    with np.errstate(all="ignore"):
        found = nnspec.loads(text, engine=engine, dtype=dtype).init()(x=[x, x], d=[d, d], k=np.ones((2, 8)))["y"]
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)
    assert not np.signbit(found[found == 0]).any()


def test_no_numbers_have_no_powers() -> None:
    for y in (np.zeros(0), np.array(0.5)):
        assert OPS["pow"].kernel(np.zeros(0), y).shape == (0,)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_an_init_can_be_orthogonal(shape: tuple[int, int]) -> None:
    drawn = "init drawn = orthogonalise(random(shape) - 0.5)"
    w = nnspec.loads(f"{drawn}  model M {{ param W: {list(shape)} ~ drawn  output y = sum(W) }}").init(1).params["W"]
    product = w @ w.T if shape[0] < shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-6)


# ---- random weights in formulas


@pytest.mark.parametrize(
    ("formula", "help_"),
    [
        ("x + 0.5 * normal(0, 1)", r"write `\(0 \* x \+ normal\(0, 1\)\)`"),
        ("x @ xavier_normal(4, 3)", r"write `param W: \[4, 3\] ~ xavier_normal`, and `W` here"),
    ],
)
def test_an_init_in_a_formula_that_lacks_a_shape_is_told_how_to_get_one(formula: str, help_: str) -> None:
    assert re.search(f"E106.*{help_}", refused(f"input x: [4]  output y = {formula}"), re.S)
