"""Every row of the catalogue against itself: examples, gradients, ONNX and prepared forms, with nothing written for a single op."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from op_checks import (
    SAMPLES,
    Case,
    backwards,
    broadcast_case,
    case,
    cases,
    check_engine,
    check_gradients,
    check_in_place,
    check_prepared,
    differentiable,
    drawn,
    first_order,
    second_order,
)  # fmt: skip

from nnspec.autodiff import gradients
from nnspec.diagnostics import Fault
from nnspec.graph import Graph, Op, Type
from nnspec.interchange.to_onnx import OPSETS, to_onnx
from nnspec.lazy import real
from nnspec.ops import OPS
from nnspec.run import reference
from nnspec.run.ort import Session

ROWS = list(OPS.values())


def ids(value: Any) -> str | None:
    return value.name if isinstance(value, Op) else None


def rows(condition: Callable[[Op], Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [r for r in ROWS if condition(r)], ids=ids)


SINGLE_ONLY = (
    "standard", "layer_norm", "gelu", "gelu_tanh", "clip", "hard_sigmoid", "hard_swish", "leaky_relu", "prelu", "elu", "softsign",
    "lstm", "gru", "rnn",
)  # fmt: skip
"""What stands for formulas that an export in float64 leaves as they are, as `test_double` sees."""


WHOLE = (
    "add", "sub", "mul", "neg", "mod", "quotient", "stop_gradient", "square", "abs", "sign", "relu", "gate", "maximum", "minimum", "clip",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "where", "cast", "cumsum", "reshape", "expand", "transpose",
    "flip", "cut", "pad", "concat", "pick", "take", "put_rows", "top", "scatter", "matmul", "sum", "prod", "max", "min", "argmax",
)  # fmt: skip
"""The rows that compute whole numbers from whole numbers, but for powers."""


def is_broadcasting(row: Op) -> bool:
    return row.pointwise and len(row.inputs) > 1 and "[*s]" in row.signature


@rows(lambda r: r.examples)
def test_examples_are_true(row: Op) -> None:
    for c in cases(row):
        feeds = c.arrays("float64")
        graph, out = c.graph(feeds, "float64")
        got = reference.run(graph, feeds)["out"]
        assert (str(got.dtype), got.shape) == (out.type.dtype, out.type.shape)
        np.testing.assert_allclose(got, c.expected, rtol=0, atol=c.tolerance + 1e-12)


def test_a_class_among_many_is_written_in_the_memory_of_its_row() -> None:
    classes = np.array([19_999, 0, 7])
    tracemalloc.start()
    found = real(OPS["one_hot"].kernel)(classes, 20_000, "float32")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * found.nbytes and [np.flatnonzero(row).tolist() for row in found] == [[19_999], [0], [7]]


def slopes(op: str, inputs: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """The gradients of the sum of an op for its inputs of floats."""
    graph = Graph()
    given = {n: np.asarray(v, "float32" if n != "i" else "int64") for n, v in inputs.items()}
    sources = [graph.source(OPS["input"], n, Type(str(v.dtype), v.shape)) for n, v in given.items()]
    wrt = [n for n in given if n != "i"]
    value = graph.call(OPS[op], *sources, **attributes)
    graph.outputs = {n: g.name for n, g in zip(wrt, gradients(graph, value.name, wrt), strict=True)}
    return {n: g.tolist() for n, g in reference.run(graph, given).items()}


def test_a_factor_that_is_0_gets_the_product_of_the_others() -> None:
    rows = [[0, 2, 3], [0, 0, 5], [1, 2, 3]]
    assert slopes("prod", {"x": rows}, axes=(1,), keep=False) == {"x": [[6, 0, 0], [0, 0, 0], [6, 3, 2]]}
    assert slopes("prod", {"x": rows}, axes=(0, 1), keep=True) == {"x": np.zeros((3, 3)).tolist()}
    given = {"x": [2, 0, 3], "i": [0, 0, 2, 1], "v": [0, 5, 0, 7]}
    assert slopes("scatter", given, how="mul") == {"x": [0, 7, 0], "v": [10, 0, 3, 0]}


def large(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Whole numbers around powers of 2, from 1 to what has room in 64 bits, and none is 0."""
    return rng.choice([-1, 1], shape) * (2 ** rng.choice([2, 31, 53, 61], shape) + rng.integers(-1, 2, shape))


@rows(lambda r: r.name in WHOLE)
def test_onnxruntime_computes_large_whole_numbers_exactly(row: Op) -> None:
    rng = np.random.default_rng(0)
    for c in cases(row) * 20:
        chosen = [p.type.base == "int" and row.name != "quotient" for p in row.declared(len(c.inputs))]
        given = c.arrays("float32").items()
        feeds = {n: a if a.dtype == bool or keeps else large(rng, a.shape) for (n, a), keeps in zip(given, chosen, strict=True)}
        graph, _ = c.graph(feeds, "int64")
        got = Session(to_onnx(graph, {}).SerializeToString()).run(feeds)["out"]
        np.testing.assert_array_equal(got, reference.run(graph, feeds)["out"], strict=True)


@pytest.mark.parametrize("exponent", [0, 1, 3, 39, (0, 3, 62), (0, 0, 0)])
def test_onnxruntime_takes_whole_numbers_to_powers_exactly(exponent: Any) -> None:
    graph, x = Graph(), [3, -2, 2]
    y = graph.call(OPS["pow"], graph.source(OPS["input"], "x", Type("int64", (3,))), graph.constant(exponent, "int64"))
    graph.outputs["y"] = y.name
    got = Session(to_onnx(graph, {}).SerializeToString()).run({"x": np.array(x)})["y"]
    assert got.tolist() == [a**b for a, b in zip(x, exponent if isinstance(exponent, tuple) else [exponent] * 3, strict=True)]


@rows(lambda r: r.grad)
def test_gradients_are_those_of_differences(row: Op) -> None:
    found = differentiable(row)
    assert found, f"{row.name} has no example with floats"
    for c in found:
        check_gradients(c, first_order, -(-SAMPLES // len(found)))


@rows(lambda r: r.grad and r.smooth)
def test_second_gradients_are_those_of_differences(row: Op) -> None:
    found = differentiable(row)
    for c in found:
        check_gradients(c, second_order, -(-SAMPLES // len(found)))


@rows(lambda r: r.onnx and r.examples)
def test_onnxruntime_agrees(row: Op) -> None:
    for c in cases(row):
        check_engine(c)
        check_engine(c, optimise=False)


@rows(lambda r: r.onnx and r.examples and r.name not in SINGLE_ONLY)
def test_onnxruntime_agrees_in_float64(row: Op) -> None:
    for c in cases(row):
        check_engine(c, dtype="float64")
        check_engine(c, dtype="float64", optimise=False)


@pytest.mark.parametrize("opset", [OPSETS[0], 18, OPSETS[-1]])
def test_every_opset_is_served_but_for_random_numbers_in_the_oldest(opset: int) -> None:
    refused = []
    for row in ROWS:
        try:
            for c in cases(row) if row.onnx else ():
                check_engine(c, opset=opset)
        except Fault as error:
            refused.append((row.name, error.diagnostic.code))
    assert refused == ([("random", "E505")] if opset == OPSETS[0] else [])


def has_prepared_form(row: Op) -> bool:
    return bool(row.examples) and (row.prepare is not None or isinstance(real(row.kernel), np.ufunc))


@rows(has_prepared_form)
def test_prepared_forms_compute_the_same(row: Op) -> None:
    for c in cases(row):
        check_prepared(c, np.copy)


@rows(lambda r: has_prepared_form(r) and (r.pointwise or r.strided))
def test_prepared_forms_read_any_layout_where_the_row_says_so(row: Op) -> None:
    for c in cases(row):
        check_prepared(c, backwards)


@rows(lambda r: has_prepared_form(r) and r.pointwise and r.in_place)
def test_prepared_forms_may_write_over_an_input_where_the_row_says_so(row: Op) -> None:
    for c in cases(row):
        for name in row.inputs:
            check_in_place(c, name)


@rows(lambda r: not (r.grad and r.onnx and r.examples))
def test_a_missing_facet_has_a_reason(row: Op) -> None:
    assert row.why


@rows(is_broadcasting)
def test_inputs_broadcast(row: Op) -> None:
    c = broadcast_case(row)
    feeds = drawn(c, np.random.default_rng(0))
    graph, out = c.graph(feeds, "float64")
    got = reference.run(graph, feeds)["out"]
    assert got.shape == out.type.shape == (2, 3)
    np.testing.assert_array_equal(got, row.kernel(*np.broadcast_arrays(*feeds.values())))
    check_engine(c)
    if row.grad:
        check_gradients(c, first_order, SAMPLES)


# ---- the checks find what is wrong


def planted(row: Op, **facets: Any) -> Op:
    """A copy that is not in the catalogue."""
    wrong = copy.copy(row)
    wrong.__dict__.update(facets)
    return wrong


def off(row: Op) -> Callable[..., Any]:
    return lambda *a, **k: tuple(v if v is None else v * 1.0001 for v in row.grad(*a, **k))  # type: ignore[misc]  # it has one


def has_slope(row: Op) -> bool:
    return bool(row.grad) and row.name not in ("sign", "floor", "ceil", "round")


@rows(has_slope)
def test_a_wrong_gradient_is_found(row: Op) -> None:
    found = [Case(planted(row, grad=off(row)), c.inputs, c.attrs, c.expected) for c in differentiable(row)]
    with pytest.raises(AssertionError):
        for c in found:
            check_gradients(c, first_order, 3)


def test_a_wrong_onnx_form_is_found() -> None:
    wrong = planted(OPS["sin"], onnx="Cos")
    with pytest.raises(AssertionError):
        check_engine(case(wrong, "sin([0]) == [0]"))


def test_a_prepared_form_that_keeps_its_first_value_is_found() -> None:
    wrong = planted(OPS["square"], prepare=lambda out, x: partial(np.copyto, out, np.square(x)))
    with pytest.raises(AssertionError):
        check_prepared(case(wrong, "square([3]) == [9]"), np.copy)
