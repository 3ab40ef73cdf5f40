"""Loops and recurrent layers that come back from ONNX: as layers of the library, as `scan`, or as one loop of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import GALLERY, distance
from onnx import parser

import nnspec
from nnspec.diagnostics import Fault
from nnspec.importing import import_model
from nnspec.run.ort import Session

CLOSE = 1e-5


def exported(text: str, folder: Path) -> Path:
    nnspec.loads(text).init(seed=0).export(folder / "m.onnx")
    return folder / "m.onnx"


def body_of(model: Path) -> str:
    """The statements of the imported spec, which is proved equal, on one line."""
    done = import_model(model, model.with_suffix(".nn"))
    assert done.difference < CLOSE
    return " ".join(model.with_suffix(".nn").read_text().split("{", 1)[1].rsplit("}", 1)[0].split())


LAYERS = {
    "(x -> rnn(4))[-1]": "input x: [T, 2] output y = (x -> rnn(4))[-1]",
    "x -> gru(4, reverse = true) -> lstm(3)": "input x: [T, 2] output y = x -> gru(4, reverse = true) -> lstm(3)",
    "(x -> bidirectional(rnn, 3))[0]": "input x: [T, 2] output y = (x -> bidirectional(rnn, 3))[0]",
    "x -> rnn(3, act = relu)": "input x: [T, 2] hs = scan x_t in (x -> dense(3)) with h = zeros(3)"
    " { h = relu(x_t + (h -> dense(3, bias = false))) } output y = hs",
}


@pytest.mark.parametrize("pipeline", LAYERS)
def test_a_recurrent_layer_of_ours_comes_back_as_it_was(pipeline: str, tmp_path: Path) -> None:
    assert body_of(exported(f"model M {{ input x: [T, 2]  output y = {pipeline} }}", tmp_path)) == LAYERS[pipeline]


SCANS = {
    "each reads the other's old value": (
        "hs, cs = scan v in x with h = zeros(2), c = ones(2) { d = c  c = h * 0.5 + 0.1  h = tanh(d) + v }  output y = cs",
        "{ h_next = tanh(c) + x_t c_next = h * 0.5 + 0.1 h = h_next c = c_next }",
    ),
    "one reads the other's new value": (
        "hs, cs = scan v in x with h = zeros(2), c = zeros(2) { c = 0.9 * c + v  h = tanh(c + h) }  output y = hs + cs",
        "{ c = 0.9 * c + x_t h = tanh(c + h) }",
    ),
    "a value handed on": (
        "hs, cs = scan v in x with h = zeros(2), c = zeros(2) { c = h  h = v + 1 }  output y = hs + cs",
        "{ c_next = h_2 h_2 = x_t c = c_next }",
    ),
    "what every step is given": (
        "param g: [2] = 2  m = tanh(x[0])  hs = scan v in x with h = m { h = h * g * m + v }  output y = hs, z = m",
        "param g: [2] = 0",
    ),
    "one number": ("hs = scan v in x with s = 1 { s = s / 2 + v[0] }  output y = hs", "with h = 1 {"),
    "products of each step's own numbers": (
        "s = scan v in x with s = zeros(2, 2) { s = 0.9 * s + reshape(v, [2, 1]) * reshape(v, [1, 2]) }  output y = s",
        "(x -> reshape([T, 2, 1])) * (x -> reshape([T, 1, 2]))",
    ),
    "a number that chooses rows": (
        "h, k = scan v in x with h = zeros(2), k = 0 { h = tanh(h + take([[1, 2], [3, 4]], round(k)) + v)  k = argmax(h) }  output y = h",
        "round -> embedding(2, 2)",
    ),
    "numbers that are rounded": (
        "h, k = scan v in x with h = zeros(2), k = zeros(2) { h = tanh(h + take([1, 2], round(k)) + v)  k = clip(h, 0, 1) }  output y = h",
        "round",
    ),
    "a start of several numbers": (
        "hs = scan v in x with p = one_hot(range(0, 2), 2) { p = p * 0.5 + v }  output y = hs",
        "h: [2, 2] = 0",
    ),
    "all steps have the same number, beside one that differs": (
        "h = x -> dense(2)  y = h -> rnn(2)  output g = grad(sum(y), h)",
        "concat(1 -> expand([T, 2]) -> reverse, reverse(1 - h * h), axis = -1)",
    ),
    "the last value": ("hs = scan v in x with h = ones(2) { h = h / 2 + v }  output y = hs[-1]", "output y = hs[-1]"),
}


@pytest.mark.parametrize("name", SCANS)
def test_a_loop_is_a_scan_again(name: str, tmp_path: Path) -> None:
    text, part = SCANS[name]
    assert part in body_of(exported(f"model M {{ input x: [T, 2]  {text} }}", tmp_path))


NESTED = {
    "its result is carried": "d = scan r in x with p = zeros(2) { c = scan j in stack(p, r, axis = 1) with l = 1 {"
    " l = j[1] * 0.3 + min(l, j[0]) }  p = c * 0.9 }",
    "three deep, each reads all around it": "d = scan a in x with p = zeros(2) { q = scan b in x with l = a {"
    " z = scan c in x with m = b { m = m * 0.5 + c * l + p }  l = tanh(z[-1] + l) }  p = q[-1] }",
    "with layers and parameters at every depth": "param w: [2, 2] ~ he_normal  d = scan a in x with p = zeros(2) {"
    " q = scan b in x with l = zeros(2) { l = dense(b + l, 2) + p @ w }  p = dense(q[-1] + a, 2) }",
}


@pytest.mark.parametrize("name", NESTED)
def test_a_loop_within_a_loop_is_a_scan_within_a_scan(name: str, tmp_path: Path) -> None:
    model = exported(f"model M {{ input x: [T, 2]  {NESTED[name]}  output d }}", tmp_path)
    assert body_of(model).count("scan ") == NESTED[name].count("scan ")
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    assert distance(nnspec.load(model.with_suffix(".nn"))(x)["d"], Session(model).run({"x": x})["d"]) < CLOSE


def test_outputs_keep_their_order_though_a_loop_s_has_its_statement_last(tmp_path: Path) -> None:
    text = "hs = scan v in x with h = zeros(2) { h = h / 2 + v }  output first = hs  output second = x -> gru(3)"
    assert "second = x -> gru(3) output first = hs, second" in body_of(exported(f"model M {{ input x: [T, 2]  {text} }}", tmp_path))


SEVERAL = """
  <ir_version: 10, opset_import: ["": 21]>
  m (float[batch, T, 2] a, float[batch, 3, T] b, float[batch, 2] start) => (float[batch, 2] last, float[batch, 3, T] y) {
    last, y = Scan <num_scan_inputs = 2, scan_input_axes = [1, 2], scan_input_directions = [0, 1], scan_output_axes = [2],
      scan_output_directions = [1], body = step (h, a_t, b_t) => (next, row) {
        sum = Add (h, a_t)  next = Tanh (sum)  axis = Constant <value_ints = [1]> ()
        total = ReduceSum (next, axis)  row = Mul (total, b_t)
      }> (start, a, b)
  }
"""


def test_several_sequences_along_any_axis_either_way(tmp_path: Path) -> None:
    onnx.save(parser.parse_model(SEVERAL), tmp_path / "m.onnx")
    body = body_of(tmp_path / "m.onnx")
    assert "with h = start, c = zeros(3)" in body and "x_t[:2]" in body


@pytest.mark.parametrize("text", [SEVERAL, "rnn(4, act = relu)"])
def test_a_loop_of_any_length_is_one_loop_of_a_network(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if "Scan" in text:
        onnx.save(parser.parse_model(text), path)
    else:
        exported(f"model M {{ input x: [T, 2]  output y = x -> {text} }}", tmp_path)
    net, session = nnspec.load(path), Session(path)
    rng = np.random.default_rng(0)
    for length in (3, 8):
        feeds = {n: rng.normal(size=t.bound({"batch": 5, "T": length}).shape).astype(np.float32) for n, t in net.inputs.items()}
        ours, theirs = net(**feeds), session.run(feeds)
        assert max(distance(ours[n], theirs[n]) for n in theirs) < CLOSE
    assert [n.op.name for n in net.graph].count("scan") == 1


def test_a_loop_over_no_examples_is_refused_with_its_node(tmp_path: Path) -> None:
    text = SEVERAL.replace(", float[batch, 2] start)", ")").replace("{\n    last, y", "<float[2] start = {1, 2}> {\n    [walk] last, y", 1)
    onnx.save(parser.parse_model(text), tmp_path / "m.onnx")
    with pytest.raises(Fault, match="Scan `walk`: the start of what it carries, its input 1, is not of one example"):
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")


KNOWN = """
  <ir_version: 10, opset_import: ["": 21]>
  m (float[batch, 2] x) => (float[batch, 2] y) {
    yes = Constant <value = bool[1] {CONDITION}> ()
    h = If <then_branch = a () => (t) { t = Tanh (x) }, else_branch = b () => (e) { e = Relu (x) }> (yes)
    n = Constant <value_int = 3> ()
    y = Loop <body = step (int64 i, bool go, float[batch, 2] v) => (bool on, float[batch, 2] w) {
      on = Identity (go)  u = Mul (v, h)  w = Add (u, x) }> (n, "", h)
  }
"""


@pytest.mark.parametrize(("condition", "function"), [("1", "tanh"), ("0", "relu")])
def test_a_known_branch_is_taken_and_a_known_loop_is_written_out(condition: str, function: str, tmp_path: Path) -> None:
    onnx.save(parser.parse_model(KNOWN.replace("CONDITION", condition)), tmp_path / "m.onnx")
    assert body_of(tmp_path / "m.onnx") == f"input x: [2] h = {function}(x) output y = ((h * h + x) * h + x) * h + x"


DECIDED = {
    "If": "If <then_branch = a () => (t) { t = Tanh (x) }, else_branch = b () => (e) { e = Relu (x) }> (c)",
    "Loop": 'Loop <body = step (i, go, v) => (on, w) { on = Identity (go)  w = Mul (v, x) }> ("", c, x)',
}


@pytest.mark.parametrize("op", DECIDED)
def test_what_data_decides_is_refused_with_its_node(op: str, tmp_path: Path) -> None:
    head = '<ir_version: 10, opset_import: ["": 21]> m (float[batch, 2] x, bool[batch] c) => (float[batch, 2] y)'
    onnx.save(parser.parse_model(f"{head} {{ [choice] y = {DECIDED[op]} }}"), tmp_path / "m.onnx")
    with pytest.raises(Fault, match=f"{op} `choice`: `cond` is computed from data"):
        import_model(tmp_path / "m.onnx", tmp_path / "m.nn")


@pytest.mark.parametrize("name", sorted({*GALLERY} - {"googlenet"}))  # that one takes a minute
def test_every_spec_of_the_gallery_comes_back_with_its_outputs(name: str, tmp_path: Path) -> None:
    """Those of seed and step, too, where they are drawn."""
    nnspec.load(name).export(tmp_path / "m.onnx")
    assert import_model(tmp_path / "m.onnx", tmp_path / "m.nn").difference < CLOSE
