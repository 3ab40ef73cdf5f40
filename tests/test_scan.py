"""Loops over sequences: against the same formulas written out, against torch, against differences, and in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import distance

import nnspec
from nnspec.gradcheck import gradcheck
from nnspec.graph import Node
from nnspec.graph.verify import verify
from nnspec.importing import import_model
from nnspec.net import Net
from tools.batches import random_batch

LAYERS = """
layer rnn(x: [T, n], units) -> [T, units] {
  param W: [n, units]     ~ xavier_uniform
  param R: [units, units] ~ xavier_uniform
  param b: [units]        ~ zeros
  hs = scan x_t in x with h = zeros(units) {
    h = tanh(h @ R + x_t @ W + b)
  }
  return hs
}

# Two carried values, gates and a product.
layer gated(x: [T, n], units) -> [T, units] {
  param W: [n, 2 * units]     ~ xavier_uniform
  param R: [units, 2 * units] ~ xavier_uniform
  hs, cs = scan x_t in x with h = zeros(units), c = ones(units) {
    z = x_t @ W + h @ R
    f = sigmoid(z[0:units])
    c = f * c + (1 - f) * tanh(z[units:])
    h = tanh(c)
  }
  return hs + cs
}

# A step that looks at two steps before it, and at something every example has.
layer second(x: [T, n], context: [n]) -> [T, n] {
  a, b = scan x_t in x with now = zeros(n), before = zeros(n) {
    next = sin(now) - 0.5 * before + x_t * context
    before = now
    now = next
  }
  return a
}

# A step that sees the whole sequence: attention over rows that are there from the start.
layer attending(x: [T, n]) -> [T, n] {
  hs = scan x_t in x with h = zeros(n) {
    weights = softmax(reshape(x @ reshape(h + x_t, [n, 1]), [T]))
    h = tanh(weights @ x + x_t)
  }
  return hs
}

# As many steps as there are elements, of which none is read.
layer settling(x: [T, n], units) -> [T, units] {
  param R: [units, units] ~ xavier_uniform
  hs = scan x_t in x with h = ones(units) {
    h = tanh(h @ R)
  }
  return hs
}

layer nested(x: [T, S, n], units) -> [T, units] {
  param W: [n, units]     ~ xavier_uniform
  param R: [units, units] ~ xavier_uniform
  param U: [units, units] ~ xavier_uniform
  outer = scan row in x with s = zeros(units) {
    inner = scan x_t in row with h = s { h = tanh(x_t @ W + h @ R) }
    s = tanh(inner[-1] @ U + s)
  }
  return outer
}

# A matrix is carried, of as many rows as the sequence has steps.
layer mixing(x: [T, n]) -> [T, n] {
  param W: [n, n] ~ xavier_uniform
  hs = scan x_t in x with h = x { h = tanh(h @ W + x_t) }
  return hs[-1]
}

# Products of matrices side by side: of what is carried, of a piece of a sequence, and of what every step is given.
layer rows(x: [T, n], context: [S, n]) -> [T, n] {
  param W: [n, n] ~ xavier_uniform
  param V: [n, n] ~ xavier_uniform
  hs = scan x_t in x with h = zeros(2, n) {
    pair = stack(x_t, 2 * x_t)
    h = tanh(h @ W + pair @ V + mean(context @ W + context * h[0], axis = 0))
  }
  return hs[:, 0] + hs[:, 1]
}

layer tied(x: [T, n], units) -> [T, n] {
  param W: [n, units] ~ xavier_uniform
  hs = scan x_t in x with h = zeros(n) { h = x_t + tanh(h @ W) @ transpose(W) }
  return hs
}

layer transforming(x: [T, n]) -> [T, n] {
  hs = scan x_t in x with h = zeros(2, n) { h = stack(x_t, x_t + 1) + h -> multihead_attention(1) -> layernorm -> dense(n) }
  return hs[:, 0] * hs[:, 1]
}

layer nested_matrices(x: [T, S, n]) -> [T, n] {
  param W: [n, n] ~ xavier_uniform
  outer = scan row in x with s = row_of_zeros(x) {
    inner = scan x_t in row with h = s { h = tanh(h @ W + x_t) }
    s = inner[-1] @ W + s
  }
  return outer[:, 0]
}

# One number carried, by a choice.
layer peak(x: [T, n]) -> [T, 1] {
  param w: [] = 0.9
  hs = scan x_t in x with h = 0 {
    h = if sum(x_t) > h then sum(x_t) else w * h
  }
  return reshape(hs, [T, 1])
}

# Two numbers carried, one of which no step reads.
layer gate(x: [T, n]) -> [T, 1] {
  param c: [] = 0.5
  gates, hs = scan x_t in x with g = 0, h = 0 {
    g = sigmoid(c * sum(x_t) + h)
    h = g * h + (1 - g) * sum(x_t)
  }
  return reshape(gates + hs, [T, 1])
}

# All that the loop inside yields is as many numbers as there are examples.
layer once(x: [T, n]) -> [T, 1] {
  param w: [] = 0.9
  hs = scan x_t in x with h = 0 {
    inner = scan e in x_t[:1] with k = h { k = tanh(w * k + e) }
    h = inner[-1] + 0.5 * sum(x_t)
  }
  return reshape(hs, [T, 1])
}

fn row_of_zeros(x) = 0 * x[0]
"""
NETS = {
    "one value": "x -> rnn(5)",
    "two values": "x -> gated(5)",
    "a number": "x -> peak",
    "two numbers": "x -> gate",
    "two steps back": "x -> second(x[0])",
    "attention in a step": "x -> attending",
    "a loop in a loop": "stack(x, 2 * x, axis = 1) -> nested(4)",
    "a loop after a loop": "x -> rnn(4) -> gated(3)",
    "elements that no step reads": "x -> settling(4)",
    "no recurrence": "x -> layer_of_steps",
    "a matrix": "x -> mixing",
    "matrices of all sorts": "x -> rows(x)",
    "weights and their transpose": "x -> tied(4)",
    "layers in a step": "x -> transforming",
    "a number in a loop of one step in a loop": "x -> once",
    "a matrix in a loop in a loop": "stack(x, 2 * x, axis = 1) -> nested_matrices",
    "loops of matrices after each other": "x -> mixing -> rows(x) -> mixing",
}
STEPS = "layer layer_of_steps(x: [T, n]) { hs = scan x_t in x with h = 0 { h = sum(x_t^2) } return reshape(hs, [T, 1]) }"


def spec(pipeline: str, length: str = "T") -> str:
    return f"""{LAYERS} {STEPS}
    model Net {{
      input  x: [{length}, 3]
      target y: []
      h = {pipeline}
      output z = sum(h[-1]) + mean(h)
      loss   (z - y)^2
    }}
    train {{ epochs 1  optimizer sgd(lr = 0.1) }}"""


def scans(net: Net) -> list[Node]:
    return [n for n in net.spec.inference if n.op.name == "scan"]


@pytest.mark.parametrize("length", ["T", "6"])
@pytest.mark.parametrize("net", NETS)
def test_gradients_are_those_of_differences(net: str, length: str) -> None:
    compiled = nnspec.loads(spec(NETS[net], length), dtype="float64").spec
    for graph in (compiled.inference, compiled.stable, compiled.gradients, compiled.step):
        verify(graph)
    for checked in gradcheck(compiled):
        assert checked.passed, checked


@pytest.mark.parametrize("net", NETS)
def test_engines_agree(net: str) -> None:
    ours = nnspec.loads(spec(NETS[net])).init(seed=1)
    reference = nnspec.loads(spec(NETS[net]), engine="reference").init(seed=1)
    for length in (1, 7):
        batch = random_batch({"x": ours.inputs["x"].bound({"batch": 5, "T": length}), "y": ours.targets["y"]}, 5)
        assert distance(ours(x=batch["x"])["z"], reference(x=batch["x"])["z"]) < 1e-5
        loss, gradients = ours.gradients(**batch)
        expected_loss, expected = reference.gradients(**batch)
        assert abs(loss - expected_loss) <= 1e-5 * abs(expected_loss)
        assert all(distance(gradients[n], expected[n]) < 1e-4 for n in expected)


@pytest.mark.parametrize("net", NETS)
def test_onnxruntime_agrees_at_every_length(net: str, tmp_path: Path) -> None:
    assert nnspec.loads(spec(NETS[net])).export(tmp_path / "m.onnx").difference < 1e-5


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_loss_of_derivatives_through_a_loop_has_the_right_gradient(cell: str) -> None:
    text = f"model M {{ input x: [5, 2]  h = x -> {cell}(3)  g = grad(sum(h[-1]^2), x)  output g  loss sum(g^2) + sum(h) }}"
    net = nnspec.loads(text, dtype="float64").init(seed=0)
    assert all(checked.passed for checked in gradcheck(net.spec))
    reference = nnspec.loads(text, dtype="float64", engine="reference").init(seed=0)
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    expected = reference.gradients(x=x)[1]
    assert all(distance(g, expected[n]) < 1e-12 for n, g in net.gradients(x=x)[1].items())


def test_a_loop_is_its_formulas_written_out() -> None:
    unrolled = """
    model Net {
      input x: [3, 2]
      param W: [2, 4] ~ xavier_uniform
      param R: [4, 4] ~ xavier_uniform
      h1 = tanh(x[0] @ W)  h2 = tanh(x[1] @ W + h1 @ R)  h3 = tanh(x[2] @ W + h2 @ R)
      output hs = stack(h1, h2, h3)
    }"""
    rolled = """
    model Net {
      input x: [3, 2]
      param W: [2, 4] ~ xavier_uniform
      param R: [4, 4] ~ xavier_uniform
      output hs = scan x_t in x with h = zeros(4) { h = tanh(x_t @ W + h @ R) }
    }"""
    x = np.random.default_rng(0).normal(size=(2, 3, 2))
    results = [nnspec.loads(text, dtype="float64").init(seed=0)(x=x)["hs"].copy() for text in (unrolled, rolled)]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-13)


TWINS = {
    "another matrix": ("h @ A + e", "h @ B + e", lambda h, e, a, b: (h[0] @ a + e, h[1] @ b + e)),
    "another formula": ("h + e", "h - e", lambda h, e, a, b: (h[0] + e, h[1] - e)),
    "another number": ("0.5 * h + e", "0.25 * h + e", lambda h, e, a, b: (0.5 * h[0] + e, 0.25 * h[1] + e)),
}


@pytest.mark.parametrize("twins", TWINS)
def test_loops_over_one_sequence_from_one_start_stay_two_in_every_engine(twins: str, tmp_path: Path) -> None:
    one, other, formula = TWINS[twins]
    text = f"""
    model Twins {{
      input x: [4, 2]
      target y: [2]
      param A: [2, 2] ~ normal(0, 1)
      param B: [2, 2] ~ normal(0, 1)
      first  = scan e in x with h = zeros(2) {{ h = {one} }}
      second = scan e in x with h = zeros(2) {{ h = {other} }}
      output p = first[-1], q = second[-1]
      loss mse(first[-1] + second[-1], y)
    }}
    train {{ epochs 1  optimizer sgd(lr = 0.1) }}"""
    batch = {"x": np.random.default_rng(0).normal(size=(3, 4, 2)), "y": np.ones((3, 2))}
    gradients = []
    for engine in ("reference", "numpy", "ort"):
        net = nnspec.loads(text, engine=engine).init(seed=0)
        found, values = net(x=batch["x"]), (np.zeros((3, 2)), np.zeros((3, 2)))
        for t in range(4):
            values = formula(values, batch["x"][:, t], net.params["A"], net.params["B"])
        assert distance(found["p"], values[0]) < 1e-5
        assert distance(found["q"], values[1]) < 1e-5
        gradients.append({n: g.copy() for n, g in net.gradients(**batch)[1].items()})
    assert all(distance(g[n], gradients[0][n]) < 1e-4 for g in gradients for n in g)
    assert net.export(tmp_path / "m.onnx").difference < 1e-5
    assert net.export_training(tmp_path / "step").difference < 1e-5
    assert import_model(tmp_path / "m.onnx", tmp_path / "again.nn").difference < 1e-5


def test_what_no_step_waits_for_is_one_operation_over_all_steps() -> None:
    (loop,) = scans(nnspec.loads(spec(NETS["one value"])))
    inside = [n.op.name for n in loop.attributes["body"].body if not n.op.is_source]
    assert inside == ["matmul", "add", "add", "tanh"]
    gradients = nnspec.loads(spec(NETS["two values"])).spec.gradients
    products = [n for n in gradients if n.op.name == "matmul" and n.type.shape in ((3, 10), (5, 10))]
    assert len(products) == 2  # the gradients of W and R: one product each, over all steps


def test_backward_computes_no_product_of_a_step_again() -> None:
    net = nnspec.loads(spec("x -> lstm(5) -> gru(4) -> rnn(3)"), dtype="float64")
    products = [n for n in net.spec.gradients if n.op.name == "matmul"]
    assert not {i for n in products for i in n.inputs} & {"lstm.R", "gru.R", "rnn.R"}
    assert len(products) == 3 * 3 + 2  # for each loop x W before it and the gradients of W and R after it, and for two that of x
    assert all(checked.passed for checked in gradcheck(net.spec))


def test_what_nobody_reads_of_a_loop_brings_no_zeros_into_its_gradient() -> None:
    gradients = nnspec.loads(spec("x -> lstm(5)")).spec.gradients
    assert not any(n.op.name == "pad" and n.type.shape[-1] == 10 for n in gradients)


def test_a_body_without_recurrence_is_no_loop() -> None:
    assert not scans(nnspec.loads(spec(NETS["no recurrence"])))


def test_each_step_draws_anew() -> None:
    text = """
    model Net {
      input x: [T]
      output hs = scan x_t in x with h = 0 { h = x_t * 0 + 1 * (x_t + normal(0, 1)) }
    }"""
    noise = nnspec.loads(text)(x=np.zeros((2, 50)))["hs"]
    assert len(np.unique(noise)) == noise.size
    assert 0.7 < noise.std() < 1.3


def test_a_state_cannot_be_updated_in_a_step() -> None:
    text = "model M { input x: [3, 2] state s: [2] = 0 output h = scan x_t in x with h = zeros(2) { s <- batch_mean(x_t)  h = h + x_t } }"
    with pytest.raises(nnspec.SpecError) as error:
        nnspec.loads(text)
    assert "E108" in {d.code for d in error.value.diagnostics}


MISTAKES = {
    "h = zeros(2) { h = h + x_t }": ("E201", "x_t"),
    "h = 0 { h = h + x_t }": ("E202", "is [3] after a step"),
    "h = zeros { h = h + x_t }": ("E106", "zeros(n)"),
    "h = zeros(3) { h = h + x_t  return h }": ("E108", "no `return`"),
    "h = zeros(3) { k = h }": ("", ""),
}


@pytest.mark.parametrize("carried", MISTAKES)
def test_mistakes_are_pointed_at(carried: str) -> None:
    text = f"model M {{ input x: [T, 3]  output hs = scan x_t in x with {carried} }}"
    code, words = MISTAKES[carried]
    if not code:
        nnspec.loads(text)
        return
    with pytest.raises(nnspec.SpecError) as error:
        nnspec.loads(text)
    assert [d.code for d in error.value.diagnostics] == [code]
    assert words in str(error.value)


# ---- the library's layers in ONNX

LAYERS_IN_ONNX = {
    "x -> lstm(5)": ["LSTM"],
    "x -> gru(5)": ["GRU"],
    "x -> lstm(5) -> lstm(4)": ["LSTM", "LSTM"],
    "x -> bidirectional(gru, 4)": ["GRU", "GRU"],
    "x -> rnn(4)": ["RNN"],
    "x -> dense(4) -> gru(4) -> rnn(2)": ["GRU", "RNN"],
    "x -> rnn(4, act = relu)": ["Scan"],
}


@pytest.mark.parametrize("length", ["T", "6"])
@pytest.mark.parametrize("pipeline", LAYERS_IN_ONNX)
def test_recurrent_layers_are_exported_as_the_ops_of_that_name(pipeline: str, length: str, tmp_path: Path) -> None:
    net = nnspec.loads(f"model M {{ input x: [{length}, 3]  output y = {pipeline} }}").init(seed=0)
    assert net.export(tmp_path / "m.onnx").difference < 1e-5
    nodes = [n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node]
    assert [n for n in nodes if n in ("LSTM", "GRU", "RNN", "Scan")] == LAYERS_IN_ONNX[pipeline]


def test_another_cell_than_the_library_s_is_exported_as_a_loop(tmp_path: Path) -> None:
    net = nnspec.loads(spec(NETS["two values"]))
    net.export(tmp_path / "m.onnx")
    assert "Scan" in [n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node]


LSTM = """
layer mine(x: [T, n], units) {
  param W: [n, 4 * units] ~ xavier_uniform
  param R: [units, 4 * units] ~ xavier_uniform
  param b: [4 * units] ~ zeros
  hs, cs = scan v in x with hidden = zeros(units), cell = zeros(units) {
    all = v @ W + b + hidden @ R
    i = sigmoid(all[:units])
    o = sigmoid(all[units:2 * units])
    f = sigmoid(all[2 * units:3 * units])
    cell = f * cell + i * tanh(all[3 * units:])
    hidden = o * tanh(cell)
  }
  return hs
}
model M { input x: [T, 3]  output y = x -> mine(5) }
"""


@pytest.mark.parametrize(
    ("change", "op"),
    [
        (("", ""), "LSTM"),
        (("f * cell + i", "i * cell + f"), "Scan"),
        (("return hs", "return cs"), "Scan"),
        (("+ hidden @ R", "+ hidden @ R + b"), "Scan"),
    ],
)
def test_the_same_formulas_of_a_user_are_recognised_and_nothing_else(change: tuple[str, str], op: str, tmp_path: Path) -> None:
    net = nnspec.loads(LSTM.replace(*change)).init(seed=0)
    assert net.export(tmp_path / "m.onnx").difference < 1e-5
    assert [n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node if n.op_type in ("LSTM", "Scan")] == [op]


def test_a_scan_is_shown_to_its_closing_brace() -> None:
    net = nnspec.loads("model M { input x: [T, 3]  output hs = scan v in x with h = zeros(3) { h = h + v } }")
    assert "scan v in x with h = zeros(3) { h = h + v }" in str(net.summary())


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
def test_a_scan_starts_with_and_walks_a_choice(engine: str) -> None:
    net = nnspec.loads(
        "model M { input x: [3]"
        "  a = scan e in x with h = if x[0] > 0 then 1 else if x[1] > 0 then 2 else 0, g = 3 { h = h + e  g = g * h }"
        "  output y = a[0], b = scan e in if x[0] > 0 then x else -x with h = if x[0] > 0 then 10 else 0 { h = h + e } }",
        engine=engine,
    )
    found = net(x=[[1, 2, 3], [-1, 2, 3], [-1, -2, 3]])
    assert found["y"].tolist() == [[2, 4, 7], [1, 3, 6], [-1, -3, 0]]
    assert found["b"].tolist() == [[11, 13, 16], [1, -1, -4], [1, 3, 0]]
