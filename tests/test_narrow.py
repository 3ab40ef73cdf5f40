"""Whole numbers of few bits in ONNX models: sums wrap where they leave their kind, and nothing is done where they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

import nnspec
from nnspec.importing import import_model
from nnspec.interchange.narrow import leaving
from nnspec.run.ort import Session

HEAD = '<ir_version: 10, opset_import: ["": 21]> m '
ENDS = {k: (np.iinfo(k).min, np.iinfo(k).max) for k in ("int8", "uint8", "int16", "uint16", "int32", "uint32")}
WRAPPING = {
    "a difference of pixels": "(uint8[N, 4] x) => (float[N, 4] y) <uint8 k = {128}> { d = Sub(x, k)  y = Cast<to = 1>(d) }",
    "a square": "(int32[N, 4] x) => (int32[N, 4] y) { y = Mul(x, x) }",
    "a sum": "(int32[N, 4] x) => (int32[N, 4] y) { y = Add(x, x) }",
    "the next": "(uint32[N, 4] x) => (uint32[N, 4] y) <uint32 k = {1}> { y = Add(x, k) }",
    "the other sign": "(int8[N, 4] x) => (int8[N, 4] y) { y = Neg(x) }",
    "the size of the smallest": "(int8[N, 4] x) => (int8[N, 4] y) { y = Abs(x) }",
    "fewer bits": "(int32[N, 4] x) => (uint8[N, 4] y) { y = Cast<to = 2>(x) }",
    "fewer bits, signed": "(int32[N, 4] x) => (int16[N, 4] y) { y = Cast<to = 5>(x) }",
    "fewer bits and more": "(uint16[N, 4] x) => (int32[N, 4] y) { a = Cast<to = 3>(x)  y = Cast<to = 6>(a) }",
    "a sum in a branch": """(uint8[N, 4] x) => (uint8[N, 4] y) <bool c = {1}> {
        y = If(c) <then_branch = t () => (uint8[N, 4] a) { a = Mul(x, x) }, else_branch = e () => (uint8[N, 4] b) { b = Identity(x) }> }""",
}  # fmt: skip
KEEPING = {
    "an image": "(uint8[N, 4] x) => (float[N, 4] y) <float k = {255}> { d = Cast<to = 1>(x)  y = Div(d, k) }",
    "numbers in 32 bits": "(int64[N, 4] x) => (float[N, 4, 1] y) <float[3, 1] w = {1, 2, 3}> { i = Cast<to = 6>(x)  y = Gather(w, i) }",
    "positions of what is there": """(int64[N, 4] x) => (int32[N, 4] y) <int64 no = {1}, int32 one = {1}> {
        e = Equal(x, no)  t = Not(e)  i = Cast<to = 6>(t)  c = CumSum(i, one)  y = Mul(c, i) }""",
    "the largest": "(uint8[N, 4] x) => (uint8[N, 4] y) <uint8 k = {128}> { y = Max(x, k) }",
    "which is the largest": "(float[N, 4] x) => (int32[N, 1] y) { i = ArgMax<axis = 1>(x)  y = Cast<to = 6>(i) }",
    "a shape": """(float[N, 4, 2] x) => (float[N, 8] y) <int32[1] rest = {-1}> {
        s = Shape<end = 1>(x)  n = Cast<to = 6>(s)  t = Concat<axis = 0>(n, rest)  w = Cast<to = 7>(t)  y = Reshape(x, w) }""",
    "to and fro": "(uint8[N, 4] x) => (uint8[N, 4] y) { a = Cast<to = 6>(x)  y = Cast<to = 2>(a) }",
}  # fmt: skip


def saved(text: str, folder: Path) -> Path:
    model = parser.parse_model(HEAD + text)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(folder / "m.onnx"))
    return folder / "m.onnx"


def ends(kind: str) -> Any:
    """The ends of a kind, what is beside them, and others."""
    low, high = ENDS[kind]
    whole = np.random.default_rng(0).integers(low, high, (3, 4), endpoint=True)
    return np.concatenate([[[low, low + 1, high, high - 1], [low // 2, high // 2, 0, 1]], whole]).astype(kind)


@pytest.mark.parametrize("text", WRAPPING.values(), ids=WRAPPING)
def test_a_file_and_its_spec_keep_what_is_left_in_so_few_bits(text: str, tmp_path: Path) -> None:
    path = saved(text, tmp_path)
    x = ends(text[1 : text.index("[")])
    [expected] = Session(path, optimise=False).run({"x": x}).values()
    net = nnspec.load(path)
    np.testing.assert_array_equal(net(x)["y"], expected)
    net.export(tmp_path / "again.onnx")
    [exported] = Session(tmp_path / "again.onnx").run({"x": x.astype(np.int64)}).values()
    np.testing.assert_array_equal(exported, expected)
    if "If" not in text:
        import_model(path, tmp_path / "m.nn")
        np.testing.assert_array_equal(nnspec.load(tmp_path / "m.nn")(x)["y"].astype(expected.dtype), expected)


@pytest.mark.parametrize("text", KEEPING.values(), ids=KEEPING)
def test_nothing_is_done_where_no_number_can_leave_its_kind(text: str) -> None:
    assert leaving(parser.parse_model(HEAD + text)) == {}


def test_a_value_of_a_function_is_none_of_the_model_by_that_name() -> None:
    head = '<ir_version: 10, opset_import: ["": 21, "own": 1]> m '
    text = """(uint8[N, 2] x, int64[N, 2] z) => (uint8[N, 2] d, int64[N, 2] y) { d = Add(x, x)  y = own.twice(z) }
        <domain: "own", opset_import: ["": 21]> twice (a) => (d) { d = Add(a, a) }"""
    model = parser.parse_model(head + text)
    found = nnspec.from_onnx(model)(x=np.array([[200, 3]]), z=np.array([[200, 3]]))
    assert found["d"].tolist() == [[144, 6]] and found["y"].tolist() == [[400, 6]]


def test_a_fraction_beyond_a_kind_is_a_number_of_the_kind(tmp_path: Path) -> None:
    text = "(float[N, 4] x) => (float[N, 4] y) { u = Cast<to = 2>(x)  y = Cast<to = 1>(u) }"
    [within, beyond] = nnspec.load(saved(text, tmp_path))(np.float32([[0, 2.7, 255.9, 7], [300.2, 256, 1e6, 511]]))["y"]
    assert within.tolist() == [0, 2, 255, 7]
    assert all(0 <= v <= 255 for v in beyond)


def test_a_size_counted_in_32_bits_stays_a_size(tmp_path: Path) -> None:
    text = """(float[N, T, 2] x) => (float[M, 2] y) <int32[1] two = {2}> {
        s = Shape<end = 2>(x)  n = Cast<to = 6>(s)  p = ReduceProd(n)
        t = Concat<axis = 0>(p, two)  w = Cast<to = 7>(t)  y = Reshape(x, w) }"""
    x = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    np.testing.assert_array_equal(nnspec.load(saved(text, tmp_path))(x)["y"], x.reshape(12, 2))


def test_a_whole_quotient_is_rounded_towards_zero(tmp_path: Path) -> None:
    path = saved("(int64[N, 4] x) => (int64[N, 4] y) <int64 k = {3}> { y = Div(x, k) }", tmp_path)
    import_model(path, tmp_path / "m.nn")
    x = np.array([[-7, 7, -6, 5]])
    for file in (path, tmp_path / "m.nn"):
        assert nnspec.load(file)(x)["y"].tolist() == [[-2, 2, -2, 1]]
