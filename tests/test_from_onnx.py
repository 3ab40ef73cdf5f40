"""ONNX models as networks: called, differentiated, trained and written back; and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper, parser

import nnspec
from nnspec.diagnostics import SpecError
from nnspec.run.ort import Session

HEAD = '<ir_version: 10, opset_import: ["": {opset}]>'


def model(text: str, opset: int = 21) -> onnx.ModelProto:
    return parser.parse_model(HEAD.format(opset=opset) + text)


TWO_LAYERS = model("""
  net (float[N, 3] x) => (float[N, 2] logits)
  <float[3, 4] w1 = {0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0, 0.2, -0.3}, float[4] b1 = {0.1, 0.2, 0.3, 0.4},
   float[4, 2] w2 = {1, -1, 0.5, 0.3, -0.2, 0.4, 0.6, -0.7}>
  { a = MatMul(x, w1)  h0 = Add(a, b1)  h = Tanh(h0)  logits = MatMul(h, w2) }
""")
LEARNING: dict[str, Any] = {"target": "y: class(2)", "loss": "cross_entropy(logits, y)", "train": "epochs 30  optimizer adam(lr = 0.05)"}


def messages(m: onnx.ModelProto, **how: Any) -> str:
    with pytest.raises(SpecError) as caught:
        nnspec.from_onnx(m, **how)
    return str(caught.value)


def points(n: int = 64) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(n, 3)).astype("float32")
    return x, (x[:, 0] > x[:, 1]).astype(int)


def test_parameters_have_the_names_and_values_of_the_file(tmp_path: Path) -> None:
    onnx.save(TWO_LAYERS, str(tmp_path / "m.onnx"))
    net = nnspec.load(tmp_path / "m.onnx")
    assert {n: v.shape for n, v in net.params.items()} == {"w1": (3, 4), "b1": (4,), "w2": (4, 2)}
    assert np.array_equal(net.params["w2"], np.float32([[1, -1], [0.5, 0.3], [-0.2, 0.4], [0.6, -0.7]]))
    assert {n: str(t) for n, t in net.inputs.items()} == {"x": "float32[batch, 3]"}
    x, _ = points()
    expected = np.tanh(x @ net.params["w1"] + net.params["b1"]) @ net.params["w2"]
    np.testing.assert_allclose(net(x)["logits"], expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_torch() -> None:
    import torch

    net = nnspec.from_onnx(TWO_LAYERS, **LEARNING)
    x, y = points()
    w1, b1, w2 = (torch.tensor(net.params[n], requires_grad=True) for n in ("w1", "b1", "w2"))
    loss = torch.nn.functional.cross_entropy(torch.tanh(torch.tensor(x) @ w1 + b1) @ w2, torch.tensor(y))
    loss.backward()
    found, grads = net.gradients(x=x, y=y)
    assert found == pytest.approx(loss.item(), rel=1e-6)
    for name, tensor in (("w1", w1), ("b1", b1), ("w2", w2)):
        np.testing.assert_allclose(grads[name], tensor.grad, rtol=1e-4, atol=1e-6)


AT_A_CORNER: dict[str, Any] = {
    "y = ReduceL2(h, one)": lambda h: h.norm(dim=1, keepdim=True),
    "s = ReduceL2(h, one)  e = Constant<value_float = 1e-12>()  c = Max(s, e)  y = Div(h, c)": lambda h: torch.nn.functional.normalize(
        h, dim=1
    ),
    "y = LpNormalization<axis = 1>(h)": lambda h: torch.nn.functional.normalize(h, dim=1),
    "y = LpNormalization<axis = 1, p = 1>(h)": lambda h: torch.nn.functional.normalize(h, 1, dim=1),
    "i = Unsqueeze(h, one)  y = LpPool<kernel_shape = [2], strides = [2]>(i)": lambda h: torch.nn.functional.lp_pool1d(h[:, None], 2, 2),
    "i = Unsqueeze(h, one)  y = GlobalLpPool<p = 3>(i)": lambda h: h.pow(3).sum(1, keepdim=True).pow(1 / 3),
    "m = ReduceMean(h, one)  d = Sub(h, m)  q = Mul(d, d)  v = ReduceMean(q, one)  y = Sqrt(v)": lambda h: h.std(1, unbiased=False),
    "k = Constant<value_float = 2.0>()  e = Constant<value_float = 0.5>()  q = Pow(h, k)  s = ReduceSum(q, one)  y = Pow(s, e)": lambda h: (
        h.norm(dim=1)
    ),
    "y = ReduceProd(h, one)": lambda h: h.prod(1),
}
"""Nodes that have no gradient for a row of zeros, or none by a formula, and what they are in torch."""


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
@pytest.mark.parametrize("nodes", AT_A_CORNER)
def test_gradients_at_a_corner_are_finite_and_those_of_torch(nodes: str, engine: str) -> None:
    head = "net (float[N, 4] x) => (float[N, k] y) <float[4] w = {1, 1, 1, 1}, float[4] b = {0, 0, 0, 0}, int64[1] one = {1}>"
    m = model(f"{head} {{ a = Mul(x, w)  z = Add(a, b)  h = Relu(z)  {nodes} }}")
    x = np.array([[-1, -2, -3, -1], [0, 2, 3, 4], [1, 2, 3, 4], [-1, 1, 2, -1]], np.float32)
    found, grads = nnspec.from_onnx(m, loss="sum(y^3 + y)", engine=engine).gradients(x=x)
    w, b = torch.ones(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    y = AT_A_CORNER[nodes](torch.relu(torch.tensor(x) * w + b))
    loss = (y**3 + y).sum() / len(x)
    loss.backward()
    assert found == pytest.approx(loss.item(), rel=1e-5)
    for name, theirs in (("w", w.grad), ("b", b.grad)):
        np.testing.assert_allclose(grads[name], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ["numpy", "ort", "reference"])
def test_it_learns_in_every_engine(engine: str) -> None:
    net = nnspec.from_onnx(TWO_LAYERS, engine=engine, **LEARNING)
    x, y = points()
    before = net.evaluate({"x": x, "y": y})["loss"]
    net.fit({"x": x, "y": y})
    assert net.evaluate({"x": x, "y": y})["loss"] < 0.3 * before


def test_what_was_trained_is_written_back(tmp_path: Path) -> None:
    net = nnspec.from_onnx(TWO_LAYERS, **LEARNING)
    x, y = points()
    net.fit({"x": x, "y": y}, epochs=2)
    assert net.export(tmp_path / "out.onnx").difference < 1e-5
    again = nnspec.load(tmp_path / "out.onnx")
    np.testing.assert_allclose(again(x)["logits"], net(x)["logits"], rtol=1e-5, atol=1e-6)


def test_init_brings_back_the_weights_of_the_file() -> None:
    net = nnspec.from_onnx(TWO_LAYERS)
    before = net.params["w1"].copy()
    net.params["w1"] = 0
    assert np.array_equal(net.init().params["w1"], before)


def test_an_output_can_be_the_loss() -> None:
    m = model("m (float[N, 2] x, float[N, 1] y) => (float loss) <float[2, 1] w = {1, 2}> { p = MatMul(x, w) d = Sub(p, y) s = Mul(d, d)"
              " loss = ReduceMean <keepdims = 0> (s) }")  # fmt: skip
    loss, grads = nnspec.from_onnx(m, loss="loss").gradients(x=[[1, 0], [0, 1]], y=[[0], [0]])
    assert loss == 2.5 and grads["w"].tolist() == [[1], [2]]


def test_a_model_without_a_batch_is_taken_as_it_stands() -> None:
    m = model("m (float[1, 3] x) => (float[1, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul(x, w) }")
    net = nnspec.from_onnx(m, target="t: [1, 2]", loss="(y - t)^2", train="epochs 1  optimizer sgd(lr = 0.1)")
    assert net([[1, 1, 1]])["y"].tolist() == [[9, 12]]
    assert net.predict([[1, 1, 1]]).tolist() == [[9, 12]]
    assert net.step(x=[[1, 1, 1]], t=[[9, 12]]) == 0
    with pytest.raises(SpecError, match="E525"):
        net.fit({"x": [[1, 1, 1]], "t": [[9, 12]]})


def two_products(train: str) -> nnspec.Net:
    graph = [helper.make_node("MatMul", ["x", "onnx::w"], ["h"]), helper.make_node("MatMul", ["h", "0.w"], ["y"])]
    ports = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["N", 2]) for n in "xy"]
    weights = [numpy_helper.from_array(np.eye(2, dtype="float32"), n) for n in ("onnx::w", "0.w")]
    m = helper.make_model(helper.make_graph(graph, "m", ports[:1], ports[1:], weights))
    return nnspec.from_onnx(m, target="t: [2]", loss="mse(y, t)", train=f"epochs 1  optimizer sgd(lr = 0.1)  {train}")


@pytest.mark.parametrize(("written", "name"), [("onnx__w", "onnx::w"), ('"onnx::w"', "onnx::w"), ("_0.w", "0.w"), ('"0.w"', "0.w")])
def test_a_parameter_is_frozen_by_its_name_or_as_a_spec_writes_it(written: str, name: str) -> None:
    net = two_products(f"freeze {written}")
    net.step(x=[[1, 2]], t=[[3, 4]])
    assert [n for n, w in net.params.items() if np.array_equal(w, np.eye(2))] == [name]


def test_a_misspelt_parameter_is_offered_as_a_spec_writes_it() -> None:
    with pytest.raises(SpecError, match="did you mean `onnx__w`"):
        two_products("freeze onnx__v")


def test_other_sizes_keep_their_names() -> None:
    m = model("m (float[N, T, 2] x) => (float[N, K] y) { m = ReduceMax <keepdims = 0> (x, one) s = Shape(m) y = Reshape(m, s) }", 18)
    m.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    net = nnspec.from_onnx(m)
    assert str(net.inputs["x"]) == "float32[batch, T, 2]"
    for length in (1, 4):
        assert net(np.ones((3, length, 2)))["y"].shape == (3, 2)


def test_names_that_the_language_has_no_room_for_are_written_otherwise() -> None:
    m = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["input"], ["scores:0"])],
            "main graph",
            [helper.make_tensor_value_info("input", 1, ["N", 2])],
            [helper.make_tensor_value_info("scores:0", 1, ["N", 2])],
        )
    )
    net = nnspec.from_onnx(m, loss="sum(scores_0 * input_)")
    assert net(input=[[1, -1]])["scores:0"].tolist() == [[1, 0]]
    assert net.gradients(input=[[2, -1]])[0] == 4


NUMBERED = model("net (float[N, 2] x) => (float[N, 2] h, float[N, 2] other) <float[2, 2] w = {1, 0, 0, 1}>"
                 " { h = MatMul(x, w)  other = Tanh(h) }")  # fmt: skip
for _port in (NUMBERED.graph.node[0].output, NUMBERED.graph.node[1].input):
    _port[0] = "297"
NUMBERED.graph.output[0].name = "297"


def test_a_loss_of_a_number_that_is_the_name_of_an_output_is_warned_of(tmp_path: Path) -> None:
    onnx.save(NUMBERED, str(tmp_path / "m.onnx"))
    how = {"target": "y: [2]", "loss": "mse(297, y)", "train": "epochs 1  optimizer adam"}
    with pytest.warns(UserWarning, match=r"W111.*no parameter changes the loss `mse`[\s\S]*the model's `297` is written `_297`"):
        nnspec.load(tmp_path / "m.onnx", **how)
    with pytest.warns(UserWarning, match="W111"):
        nnspec.from_onnx(NUMBERED, **how)


@pytest.mark.parametrize("quote", "\"'`")
def test_a_name_in_quotes_is_told_as_formulas_write_it(quote: str) -> None:
    said = messages(NUMBERED, target="y: [2]", loss=f"mse({quote}297{quote}, y)")
    assert "E106" in said and "in formulas the model's `297` is written `_297`" in said


def test_what_formulas_call_an_output_is_learnt_from_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    net = nnspec.from_onnx(NUMBERED, target="y: [2]", loss="mse(_297, y)", train='data csv("297")  epochs 1  optimizer adam')
    assert net.gradients(x=[[1, 2]], y=[[0, 0]])[0] == 2.5 and not recwarn.list
    assert nnspec.from_onnx(NUMBERED).outputs.keys() == {"297", "other"} and not recwarn.list


def test_running_statistics_are_states() -> None:
    m = model("m (float[N, 2, 3] x) => (float[N, 2, 3] y) <float[2] g = {1, 2}, float[2] b = {0, 1}, float[2] mean = {0.5, 1},"
              " float[2] var = {1, 4}> { y = BatchNormalization(x, g, b, mean, var) }")  # fmt: skip
    net = nnspec.from_onnx(m)
    assert (list(net.params), list(net.states)) == (["g", "b"], ["mean", "var"])


def test_the_layer_table_shows_the_nodes() -> None:
    assert "MatMul(x, w1)" in nnspec.from_onnx(TWO_LAYERS).summary()


def test_a_node_that_is_not_imported_is_named_with_its_domain() -> None:
    m = model("m (float[N, 2] x) => (float[N, 2] y) { [here] y = com.example.Magic(x) }")
    m.opset_import.append(helper.make_opsetid("com.example", 1))
    text = messages(m)
    assert "E521" in text and "Magic `here` of the domain com.example" in text and "com.example.Magic(x)" in text


def test_functions_of_the_model_are_read() -> None:
    m = parser.parse_model("""
      <ir_version: 10, opset_import: ["": 21, "own": 1]>
      m (float[N, 2] x) => (float[N, 2] y) { y = own.twice <times = 3.0> (x) }
      <opset_import: ["": 21], domain: "own">
      twice <times: float = 2.0> (a) => (b) { c = Constant <value_float: float = @times> ()  b = Mul(a, c) }
    """)
    assert nnspec.from_onnx(m)([[1, 2]])["y"].tolist() == [[3, 6]]


@pytest.mark.parametrize(
    ("text", "opset", "expected"),
    [
        ("y = Squeeze <axes = [1]> (x)", 11, [1, 2]),
        ("y = Clip <min = 0.0, max = 1.5> (x)", 7, [[1], [1.5]]),
        ("y = Pad <pads = [0, 1, 0, 0], value = 7.0> (x)", 9, [[7, 1], [7, 2]]),
        ("y = ReduceSum <axes = [0], keepdims = 0> (x)", 9, [3]),
        ("y = Slice <starts = [1], ends = [9]> (x)", 9, [[2]]),
        ("y = Upsample <mode = \"nearest\", scales = [1.0, 2.0]> (x)", 7, [[1, 1], [2, 2]]),
        ("y = Softmax <axis = 0> (x)", 11, [[0.26894143], [0.7310586]]),
        ("y = Unsqueeze <axes = [0]> (x)", 9, [[[1], [2]]]),
    ],
)  # fmt: skip
def test_attributes_of_older_versions_are_read(text: str, opset: int, expected: Any) -> None:
    net = nnspec.from_onnx(model(f"m (float[2, 1] x) => (float[A, B] y) {{ {text} }}", opset))
    np.testing.assert_allclose(net([[1], [2]])["y"], expected, rtol=1e-6)


def test_a_branch_that_data_decides_is_chosen_among_both() -> None:
    m = model("""m (float[2] x, bool c) => (float[2] y) {
      y = If (c) <then_branch = t () => (float[2] a) { a = Neg(x) }, else_branch = e () => (float[2] b) { b = Abs(x) }>
    }""")
    net = nnspec.from_onnx(m)
    assert net(x=[1, -2], c=True)["y"].tolist() == [-1, 2]
    assert net(x=[1, -2], c=False)["y"].tolist() == [1, 2]


def test_large_constants_are_states_even_where_two_have_one_name() -> None:
    m = model('m (float[N, 1, 90, 90] x) => (float[N, 1, 180, 180] y) { y = Resize <mode = "linear"> (x, , s) }')
    m.graph.initializer.append(numpy_helper.from_array(np.float32([1, 1, 2, 2]), "s"))
    net = nnspec.from_onnx(m)
    assert [v.shape for v in net.states.values()] == [(90, 180)] * 2 and not net.params
    flat = net(np.ones((1, 1, 90, 90)))["y"]
    np.testing.assert_allclose(flat, 1, rtol=1e-6)


RESIZED = """
  m (float[N, 2, 3, 4] x) => (float[N, 2, H, 5] y)
  <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] five = {5}, int64[1] six = {6}> {
    shape = Shape (x)
    before = Slice (shape, zero, {until})
    sizes = Concat <axis = 0> (before, {then})
    y = Resize <mode = "linear"> (x, , , sizes)
  }"""


@pytest.mark.parametrize(("until", "then"), [("one", "two, six, five"), ("two", "six, five")])
def test_a_resize_may_name_the_batch_among_its_sizes(until: str, then: str) -> None:
    m = model(RESIZED.replace("{until}", until).replace("{then}", then))
    x = np.random.default_rng(0).normal(size=(3, 2, 3, 4)).astype("float32")
    theirs = Session(m.SerializeToString()).run({"x": x})["y"]
    np.testing.assert_allclose(nnspec.from_onnx(m)(x)["y"], theirs, rtol=1e-5, atol=1e-6)


def test_an_axis_is_not_resized_to_the_size_of_the_batch() -> None:
    said = messages(model(RESIZED.replace("{until}", "one").replace("{then}", "two, before, five")))
    assert "E523" in said and "the size `batch` has to be known" in said


@pytest.mark.parametrize(("pad", "more"), [(0, 2), (1, 2), (2, 2), (2, 1)])
def test_a_transposed_convolution_may_be_padded_by_more_than_its_stride(pad: int, more: int) -> None:
    settings = f"pads = [{pad}, {pad}], output_padding = [{more}], dilations = [3]"
    m = model(f"m (float[N, 2, 5] x, float[2, 3, 2] w, float[3] b) => (float[N, 3, L] y) {{ y = ConvTranspose <{settings}> (x, w, b) }}")
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=size).astype("float32") for size in ((4, 2, 5), (2, 3, 2), (3,)))
    theirs = torch.nn.functional.conv_transpose1d(*map(torch.tensor, (x, w, b)), padding=pad, output_padding=more, dilation=3)
    for engine in ("numpy", "ort"):
        ours = nnspec.from_onnx(m, engine=engine, constants={"w": w, "b": b})(x)["y"]
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_a_loop_over_a_size_of_the_data_is_not_called_malformed() -> None:
    said = messages(
        model("""m (float[N, T] x) => (float[N, T] y) {
      shape = Shape (x)  one = Constant <value_int = 1> ()  T = Gather (shape, one)
      y = Loop <body = step (int64 i, bool go, float[N, T] v) => (bool on, float[N, T] w) {
        on = Identity (go)  w = Tanh (v) }> (T, "", x)
    }""")
    )
    assert "E523" in said and "`M` is T, and has to be known" in said


def test_an_input_cannot_have_the_name_of_the_generators() -> None:
    taken = model("m (float[N, 2] seed) => (float[N, 2] y) { y = Relu(seed) }")
    assert "`seed` is taken" in messages(taken) and "rename it" in messages(taken)
    taken.producer_name = "nnspec"
    assert "a part of an exported training" in messages(taken)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 3)]),
        ("ii->i", [(4, 4)]),
        ("iij,jk", [(3, 3, 2), (2, 5)]),
        ("ab,cd->", [(2, 3), (4, 5)]),
        ("a,b,a->ba", [(2,), (3,), (2,)]),
        ("nchw->nhwc", [(1, 2, 3, 4)]),
    ],
)
def test_sums_of_einstein_are_those_of_numpy(equation: str, shapes: list[tuple[int, ...]]) -> None:
    names, rng = [f"x{i}" for i in range(len(shapes))], np.random.default_rng(0)
    ports = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["?"] * len(np.einsum(equation, *map(np.ones, shapes)).shape))
    net = nnspec.from_onnx(
        helper.make_model(helper.make_graph([helper.make_node("Einsum", names, ["y"], equation=equation)], "m", ports, [y]))
    )
    values = {n: rng.normal(size=s).astype("float32") for n, s in zip(names, shapes, strict=True)}
    np.testing.assert_allclose(net(**values)["y"], np.einsum(equation, *values.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_sequences_of_several_lengths_are_read_as_onnxruntime_does(kind: str, gates: int) -> None:
    m = model(f"""m (float[N, T, 2] x, int32[N] lengths) => (float[T, 2, N, 3] y, float[2, N, 3] last) {{
      steps = Transpose <perm = [1, 0, 2]> (x)
      y, last = {kind} <hidden_size = 3, direction = "bidirectional"> (steps, w, r, b, lengths)
    }}""")
    rng = np.random.default_rng(0)
    for name, shape in (("w", (2, 3 * gates, 2)), ("r", (2, 3 * gates, 3)), ("b", (2, 6 * gates))):
        m.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype("float32"), name))
    feeds = {"x": rng.normal(size=(4, 5, 2)).astype("float32"), "lengths": np.int32([5, 1, 3, 2])}
    expected, got = Session(m.SerializeToString()).run(feeds), nnspec.from_onnx(m)(**feeds)
    for name in ("y", "last"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5)


def test_a_loop_from_the_end_gives_its_start_the_gradient_of_the_last_step() -> None:
    m = model("""m (float[N, T, 2] x) => (float[1, N, 3] last)
    <int64[1] one = {1}, int64[1] three = {3}, float[1, 1, 3] h0 = {0.5, -0.25, 0.125}> {
      steps = Transpose <perm = [1, 0, 2]> (x)
      size = Shape <start = 0, end = 1> (x)
      shape = Concat <axis = 0> (one, size, three)
      start = Expand (h0, shape)
      y, last = RNN <hidden_size = 3, direction = "reverse"> (steps, w, r, , , start)
    }""")
    rng = np.random.default_rng(0)
    w, r, x = (rng.normal(size=shape).astype("float32") for shape in ((1, 3, 2), (1, 3, 3), (4, 5, 2)))
    m.graph.initializer.extend([numpy_helper.from_array(w, "w"), numpy_helper.from_array(r, "r")])
    net = nnspec.from_onnx(m, loss="mean(last^2)", dtype="float64")
    h0 = torch.tensor([0.5, -0.25, 0.125], dtype=torch.float64, requires_grad=True)
    h = h0.expand(4, 3)
    for step in reversed(torch.tensor(x, dtype=torch.float64).unbind(1)):
        h = torch.tanh(step @ torch.tensor(w[0].T, dtype=torch.float64) + h @ torch.tensor(r[0].T, dtype=torch.float64))
    (h**2).mean().backward()
    assert h0.grad is not None
    _, gradients = net.gradients(x=x)
    np.testing.assert_allclose(gradients["h0"].ravel(), h0.grad.numpy(), rtol=1e-9)
