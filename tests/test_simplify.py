"""What an export makes of a graph: other operations, other weights, the same values."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import ROOT, distance

import nnspec
from nnspec.compile import Compilation
from nnspec.graph import Graph
from nnspec.graph.verify import verify
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import to_onnx
from nnspec.run import reference
from tools.batches import random_batch

NORMALISED = ("lenet", "resnet", "inception_mnist")
GALLERY = ("lenet", "resnet", "inception_mnist", "gpt", "char_lstm")
OF_BATCHNORM = {"Sub", "Div", "Mul", "Sqrt", "Reciprocal", "BatchNormalization"}


def model(body: str, ports: str = "input x: [3, 8, 8]") -> nnspec.Net:
    return nnspec.loads(f"model M {{ {ports}  output y = {body} }}", dtype="float64")


def random_weights(net: nnspec.Net, seed: int = 0) -> dict[str, Any]:
    """As after some training: running means are not 0, variances not 1."""
    rng = np.random.default_rng(seed)
    states = {n: rng.uniform(0.2, 3, v.shape) for n, v in net.states.items()}
    return {n: v + rng.normal(0, 0.3, v.shape) for n, v in net.params.items()} | states


def both(net: nnspec.Net, seed: int = 0, examples: int = 3) -> tuple[dict[str, Any], dict[str, Any], Graph, dict[str, Any]]:
    """Outputs before and after in float64, and what there is after."""
    weights = random_weights(net, seed)
    graph, new = simplified(net.spec.deployed, weights)
    feeds = random_batch(net.inputs, examples, seed)
    return reference.run(net.graph, {**weights, **feeds}), reference.run(verify(graph), {**new, **feeds}), graph, new


def agree(net: nnspec.Net) -> tuple[Counter[str], dict[str, Any]]:
    """The operations that are left, and their weights, where the values are those of before."""
    before, after, graph, new = both(net)
    assert all(distance(after[n], v) < 1e-12 for n, v in before.items())
    return Counter(n.op.name for n in graph if n.inputs or n.op.name == "iota"), {
        n.name: new[n.name] for n in graph if n.op.is_source and n.name in new
    }


def exported(net: nnspec.Net, opset: int = 21) -> onnx.ModelProto:
    single = Compilation(net.spec.source, net.spec.settings, "float32")
    return to_onnx(*simplified(single.deployed, {n: v.astype("f") for n, v in random_weights(net).items()}), opset=opset)


def kinds(found: onnx.ModelProto) -> Counter[str]:
    return Counter(n.op_type for n in found.graph.node)


@pytest.mark.parametrize("name", GALLERY)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_of_the_gallery_computes_the_same(name: str, seed: int) -> None:
    before, after, _, _ = both(nnspec.load(ROOT / "specs" / f"{name}.nn", dtype="float64"), seed, 2)
    assert all(distance(after[n], v) < 1e-10 for n, v in before.items())


@pytest.mark.parametrize("name", NORMALISED)
def test_nothing_is_left_of_batchnorm(name: str) -> None:
    net = nnspec.load(ROOT / "specs" / f"{name}.nn")
    found = exported(net)
    assert not OF_BATCHNORM & kinds(found).keys()
    assert kinds(found)["Conv"] == sum(n.op.name == "conv" for n in net.graph)
    assert not [i.name for i in found.graph.initializer if i.name.endswith((".mu", ".var", ".gamma"))]


# ---- factors and terms


CHAINS = {
    "conv(4, 3) -> batchnorm": {"conv_bias": 1},
    "conv(4, 3, bias = false) -> batchnorm -> batchnorm": {"conv_bias": 1},
    "conv(6, 3, stride = 2, pad = same, groups = 3) -> batchnorm": {"conv_bias": 1},
    "conv(4, 3) -> batchnorm -> relu -> conv(4, 3) -> batchnorm": {"conv_bias": 2, "relu": 1},
    "conv_transpose(4, 3, stride = 2) -> batchnorm": {"conv_input_grad": 1, "add": 1},
    "conv_transpose(6, 3, groups = 3) -> batchnorm": {"conv_input_grad": 1, "batch_norm": 1},
    "flatten -> dense(5) -> batchnorm": {"reshape": 1, "affine": 1},
    "flatten -> dense(5, bias = false) -> batchnorm": {"reshape": 1, "affine": 1},
    "dense(5) -> dropout_classic(0.5)": {"matmul": 1, "add": 1},
}


@pytest.mark.parametrize("chain", CHAINS)
def test_constant_factors_and_terms_are_taken_into_the_weights(chain: str) -> None:
    assert agree(model(f"x -> {chain}"))[0] == CHAINS[chain]


def test_a_value_that_something_else_reads_keeps_its_weights() -> None:
    """Or the convolution would be computed twice."""
    net = nnspec.loads("model M { input x: [3, 8, 8]  h = x -> conv(4, 3)  output y = h -> batchnorm, h }", dtype="float64")
    left, weights = agree(net)
    assert left["conv_bias"] == 1 and {"conv.W", "conv.b"} <= weights.keys()


def test_batchnorm_that_no_convolution_takes_is_one_operation() -> None:
    net = model("x -> batchnorm -> relu -> conv(4, 3) -> relu -> batchnorm")
    assert agree(net)[0] == {"batch_norm": 2, "relu": 2, "conv_bias": 1}
    assert kinds(exported(net)) == {"BatchNormalization": 2, "Relu": 2, "Conv": 1}


def test_a_factor_and_a_term_for_each_channel_are_one_operation() -> None:
    net = model("max(x, 0) * along(g, x) + along(b, x)", "input x: [3, 8, 8]  param g: [3] = 2  param b: [3] = 1")
    assert agree(net)[0] == {"relu": 1, "batch_norm": 1}


def test_several_factors_are_one_where_no_product_takes_them() -> None:
    left, _ = agree(model("exp(x) / s * g", "input x: [4]  param g: [4] = 2  param s: [4] = 3"))
    assert left == {"exp": 1, "mul": 1}


def test_a_term_that_differs_by_position_is_not_taken_for_a_bias() -> None:
    net = model("(x -> conv(4, 3)) + k", "input x: [3, 8, 8]  param k: [6, 6] ~ he_normal")
    assert agree(net)[0] == {"conv_bias": 1, "add": 1}


def test_the_scale_of_attention_is_in_the_weights_of_its_queries() -> None:
    left, weights = agree(model("x -> multihead_attention(heads = 2)", "input x: [5, 8]"))
    assert not left.keys() & {"div", "mul"}
    assert "multihead_attention.query.W" in weights


# ---- names


def test_changed_weights_keep_the_names_of_the_parameters() -> None:
    _, weights = agree(model("x -> conv(4, 3) -> batchnorm -> relu -> flatten -> dense(2)"))
    assert weights.keys() == {"conv.W", "conv.b", "dense.W", "dense.b"}
    _, weights = agree(model("x -> conv(4, 3, bias = false) -> batchnorm"))
    assert weights.keys() == {"conv.W", "batchnorm.beta"}


def test_a_parameter_that_is_read_as_it_is_keeps_its_name_and_value() -> None:
    net = nnspec.loads("model M { input x: [4]  param W: [4, 4] ~ he_normal  output y = x @ W * 2, z = x @ W @ exp(W) }", dtype="float64")
    before, after, graph, new = both(net)
    assert all(distance(after[n], v) < 1e-12 for n, v in before.items())
    np.testing.assert_array_equal(new["W"], random_weights(net)["W"])
    assert "W" in graph.nodes and "exp" in graph.nodes


def test_what_is_computed_in_advance_takes_no_name_of_the_users() -> None:
    net = nnspec.loads("model M { param p: [2] = 1  input exp: [2]  output y = exp + exp(concat(p, p))[1:3] }", dtype="float64")
    before, after, graph, _ = both(net)
    assert distance(after["output:y"], before["output:y"]) < 1e-12
    assert graph["exp"].op.name == "input"


def test_an_operation_with_new_weights_is_still_that_of_its_layer() -> None:
    text = "model M {\n input x: [3, 8, 8]\n y = x -> conv(4, 3)\n -> batchnorm -> relu\n output y }"
    written = [(n.name, n.doc_string.partition(":")[2]) for n in exported(nnspec.loads(text)).graph.node]
    assert written == [("conv/conv_bias", "3:11"), ("relu", "4:18")]


# ---- constants


def test_what_depends_on_no_input_is_computed_in_advance() -> None:
    left, weights = agree(model("x + transpose(exp(A) @ A) * 2", "input x: [3, 3]  param A: [3, 3] ~ he_normal"))
    assert left == {"add": 1} and len(weights) == 1


def test_a_graph_may_be_deeper_than_python_calls_itself() -> None:
    left, _ = agree(nnspec.loads("model M { input x: [1]  output y = (x -> repeat(1500) { tanh }) + 1 }", dtype="float64"))
    assert left == {"tanh": 1500, "add": 1}


def test_an_output_may_be_constant() -> None:
    left, weights = agree(model("exp(a)", "input x: [2]  param a: [2] = 1"))
    assert not left and weights.keys() == {"a"}


def test_a_large_array_of_one_number_is_not_laid_out_in_the_file() -> None:
    left, weights = agree(model("x * expand(a, [300, 300])", "input x: [300, 300]  param a: [1, 1] = 2"))
    assert sum(w.size for w in weights.values()) == 1
    left, weights = agree(model("x @ expand(a, [300, 300])", "input x: [2, 300]  param a: [1, 1] = 2"))
    assert left["expand"] == 1 and sum(w.size for w in weights.values()) == 1


def test_a_large_weight_that_is_tied_is_in_the_file_once() -> None:
    net = model("(x -> embedding(1000, 100)) @ transpose(embedding.W)", "input x: class(1000)[3]")
    left, weights = agree(net)
    assert left == {"take": 1, "transpose": 1, "matmul": 1} and weights.keys() == {"embedding.W"}


def test_sizes_known_only_at_run_time_stay() -> None:
    left, _ = agree(model("x -> positional", "input x: [T, 4]"))
    assert left["iota"] == 1


# ---- the ops of ONNX


OPS_OF_ONNX = {
    "x -> layernorm": "LayerNormalization",
    "x -> layernorm(axis = 0)": "LayerNormalization",
    "x -> instancenorm": "LayerNormalization",
    "gelu(x)": "Gelu",
    "gelu_tanh(x)": "Gelu",
    "x * 0.5 * (1 + erf(x / sqrt(2)))": "Gelu",
    "leaky_relu(x)": "LeakyRelu",
    "x -> prelu": "PRelu",
    "x -> prelu(per_channel = true)": "PRelu",
    "elu(x)": "Elu",
    "elu(x, 0.5)": "Elu",
    "selu(x)": "Elu",
    "softsign(x)": "Softsign",
    "hard_sigmoid(x)": "HardSigmoid",
    "hard_swish(x)": "HardSwish",
    "min(max(x, 0), 6)": "Clip",
    "min(max(x, -1), 1)": "Clip",
}


@pytest.mark.parametrize("formula", OPS_OF_ONNX)
def test_a_formula_that_onnx_has_an_op_for_is_written_as_that(formula: str) -> None:
    net = model(formula, "input x: [4, 6]")
    agree(net)
    assert kinds(exported(net))[OPS_OF_ONNX[formula]] == 1


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("formula", OPS_OF_ONNX)
def test_an_op_that_is_younger_than_the_opset_is_written_out(formula: str, opset: int) -> None:
    net = model(formula, "input x: [4, 6]")
    assert ("Gelu" in kinds(exported(net, opset))) == (OPS_OF_ONNX[formula] == "Gelu" and opset == 20)


def test_a_dense_layer_over_rows_is_a_gemm() -> None:
    found = exported(model("x -> dense(4) -> relu -> dense(2)", "input x: [3]"))
    assert kinds(found) == {"Gemm": 2, "Relu": 1}
    assert [i.name for i in found.graph.initializer] == ["dense.W", "dense.b", "dense_2.W", "dense_2.b"]


# ---- masks and transposes


@pytest.mark.parametrize("ports", ["input x: [5, 8]", "input x: [T, 8]"])
def test_a_causal_mask_is_added(ports: str) -> None:
    net = model("x -> multihead_attention(heads = 2, causal = true)", ports)
    found = kinds(exported(net))
    assert agree(net)[0]["softmax"] == 1
    assert found["Where"] == (1 if "T" in ports else 0)


MASKS = {
    "a score that is not hopeless": ("softmax(if positions(x) <= 2 then x else -10)", 1),
    "a row that sees nothing": ("softmax(if reshape(positions(x), [4, 1]) > reshape(positions(x), [1, 4]) then A else -1e9)", 1),
    "scores that are read": ("softmax(if positions(x) <= 2 then x else -1e9) + (if positions(x) <= 2 then x else -1e9)", 1),
    "no softmax": ("exp(if positions(x) <= 2 then x else -1e9)", 1),
    "a mask from outside": ("softmax(if x > 0.5 then x else -1e9)", 1),
    "any other": ("softmax(if positions(x) <= 2 then x else -1e9)", 0),
}


@pytest.mark.parametrize("why", MASKS)
def test_a_mask_stays_a_choice_where_adding_it_would_say_something_else(why: str) -> None:
    formula, choices = MASKS[why]
    net = model(formula.replace("A", "reshape(x, [4, 1]) * reshape(x, [1, 4])"), "input x: [4]")
    assert agree(net)[0]["where"] == choices


def test_only_the_step_that_is_read_is_moved() -> None:
    """A recurrent layer computes with the steps in front, a spec has the examples in front."""
    left, _ = agree(model("(x -> lstm(4))[-1] -> dense(2)", "input x: [6, 3]"))
    loop = {"matmul": 1, "add": 1, "expand": 1, "scan": 1, "part": 1}  # one node in float32 only
    assert left == {"transpose": 1, **loop, "cut": 1, "reshape": 1, "affine": 1}


def test_a_graph_that_trains_keeps_its_weights_as_they_are() -> None:
    net = nnspec.load(ROOT / "specs" / "lenet.nn")
    before = {**net.params, **net.states}
    graph, weights = simplified(net.spec.gradients, before)
    assert {n.name for n in net.spec.gradients if n.op.is_source} == {n.name for n in graph if n.op.is_source}
    assert weights.keys() == before.keys() and all(weights[n] is before[n] for n in before)


@pytest.mark.parametrize("name", NORMALISED)
def test_in_use_our_own_engines_go_over_images_for_batchnorm_once_or_never(name: str) -> None:
    """Never where the kernel has fewer numbers than the image: its weights are multiplied at every run."""
    net = nnspec.load(ROOT / "specs" / f"{name}.nn", dtype="float64")
    feeds = {**random_weights(net), **random_batch(net.inputs, 2), **random_batch(net.targets, 2)}
    for as_written, ours in ((net.spec.graph, net.graph), (net.spec.model.graph, net.spec.evaluation)):
        left = [n for n in ours if n.type.has_batch and n.type.rank == 4 and n.op.name in ("sub", "div", "mul")]
        convolutions = [n for n in ours if n.op.name == "conv"]
        large = [n for n in convolutions if np.prod(ours[n.inputs[1]].type.shape) > np.prod(n.type.shape[1:])]
        assert [n.op.name for n in left] == ["mul"] * len(large) and len(large) < len(convolutions) / 2
        outputs = [o for o in as_written.outputs if o.startswith("output:")]
        before, after = (reference.run(g, feeds, outputs) for g in (as_written, verify(ours)))
        assert all(distance(after[n], before[n]) < 1e-10 for n in outputs)
