"""Rewrite rules: each is its own test, and what they are for holds for formulas as a student writes them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT

import nnspec
from nnspec.autodiff import gradients
from nnspec.graph import BATCH, Graph, Mismatch, Type, Var
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.rewrite import BEFORE_GRADIENTS, Rule, load_rules, rewrite
from nnspec.rewrite.factors import lighter
from nnspec.run import reference
from nnspec.syntax import ast

FILES = (*BEFORE_GRADIENTS, "broadcast", "stopped", "export", "flat", "update", "loops", "sessions", "slopes")
RULES = [rule for file in FILES for rule in load_rules(file)]
DIFFERENTIATED = [rule for file in BEFORE_GRADIENTS for rule in load_rules(file)]


class Side:
    """Builds one side of a rule on random inputs: x and y are numbers, g and b rows of them, i positions, c truths; attributes come from a
    table.
    """

    def __init__(self, graph: Graph, rule: Rule, x_shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
        self.graph, self.attributes = graph, attributes
        self.types = {"x": Type("float64", x_shape), "y": Type("float64", (3, 4)), "i": Type("int64", (3,)), "c": Type("bool", (3, 4))}
        shapes = {"": (), "scalar": (), "per_channel": (4, 1), "number": (), "kept": (4,)}
        self.types |= dict.fromkeys(("g", "b"), Type("float64", (4,))) | {"v": Type("float64", (2, 4))}
        self.types |= dict.fromkeys(rule.names, Type("float64", shapes[rule.condition]))
        self.types |= dict.fromkeys(("e", "f"), Type("float64", ())) if rule.condition == "kept" else {}
        self.numbers = rule.names if rule.condition == "number" else ()
        self.kept = rule.names if rule.condition == "kept" else ()

    def build(self, e: ast.Expr) -> Var | float:
        if isinstance(e, ast.Number):
            return e.value
        if isinstance(e, ast.Name) and e.id in self.numbers:
            return float(self.attributes[e.id])
        if isinstance(e, ast.Name):
            return self.graph.source(OPS["state" if e.id in self.kept else "input"], e.id, self.types[e.id])
        if isinstance(e, ast.Binary):
            return self.graph.call(OPS[BINARY[e.operator]], self.build(e.left), self.build(e.right))
        if isinstance(e, ast.Unary):
            return self.graph.call(OPS[UNARY[e.operator]], self.build(e.operand))
        assert isinstance(e, ast.Call) and isinstance(e.callee, ast.Name)
        inputs = [self.build(a.value) for a in e.arguments if a.name is None]
        return self.graph.call(OPS[e.callee.id], *inputs, **{a.name: self.value(a.value) for a in e.arguments if a.name})

    def value(self, e: ast.Expr) -> Any:
        return self.attributes[e.id] if isinstance(e, ast.Name) else e.value  # type: ignore[union-attr]


def values(graph: Graph, rng: np.random.Generator) -> dict[str, Any]:
    kinds = {"float64": lambda s: rng.uniform(0.1, 2, s), "int64": lambda s: rng.integers(0, 3, s), "bool": lambda s: rng.random(s) < 0.5}
    return {n.name: kinds[n.type.dtype](n.type.shape) for n in graph if n.op.is_source}


def built(rule: Rule) -> Graph:
    """A graph with both sides as outputs, for the first choice of shapes that fits the rule."""
    shapes = [(3, 4), (3, 1), (4,), (), (2, 4, 6), (2, 3)]
    for x_shape, s, t in product(shapes, [(3, 4), (3, 1), (1, 3, 4), (1, 1)], [(3, 1), (3, 4), (1, 3, 4)]):
        graph = Graph(dtype="float64")
        windows = {"k": (2,), "s": (2,), "p": (1, 1)} if "pool" in rule.text else {"k": False, "s": s}
        side = Side(
            graph, rule, x_shape, {"a": (1,), "t": t, "e": 0.25, "f": 0.75, "o": (1, 0), "l": 1, "n": 1, "m": 2, "d": "float64", **windows}
        )
        try:
            left, right = side.build(rule.left), side.build(rule.right)
            assert isinstance(left, Var) and isinstance(right, Var) and left.type == right.type
            graph.outputs |= {"left": left.name, "right": right.name}
            reference.run(graph, values(graph, np.random.default_rng(0)))
        except (Mismatch, AssertionError, ValueError, IndexError):
            continue
        return graph
    raise AssertionError(f"no shapes fit {rule.text}")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.text)
def test_both_sides_of_a_rule_agree(rule: Rule) -> None:
    """Also for an x below zero, where the left side is a number there."""
    graph = built(rule)
    rng = np.random.default_rng(0)
    for below in (0.0, 0.0, 2.0, 2.0, 2.0):
        feeds = values(graph, rng)
        if "x" in feeds and feeds["x"].dtype == np.float64:
            feeds["x"] = feeds["x"] - below * rng.random(np.shape(feeds["x"]))
        with np.errstate(all="ignore"):
            result = reference.run(graph, feeds)
        there = np.isfinite(result["left"])
        np.testing.assert_allclose(np.asarray(result["right"])[there], np.asarray(result["left"])[there], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.text)
def test_a_rule_fits_its_own_left_side(rule: Rule) -> None:
    graph = built(rule)
    assert rule.apply(graph, graph.outputs["left"]) is not None


@pytest.mark.parametrize("at", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("rule", DIFFERENTIATED, ids=lambda r: r.text)
def test_both_sides_of_a_rule_have_one_gradient_also_where_one_of_them_bends(rule: Rule, at: float) -> None:
    graph = built(rule)
    feeds = values(graph, np.random.default_rng(0))
    if "x" in feeds:
        feeds["x"] = np.full_like(feeds["x"], at)
    sources = [n.name for n in graph if n.op.is_source and n.type.is_float]
    sides = [[g.name for g in gradients(graph, graph.outputs[side], sources)] for side in ("left", "right")]
    graph.outputs |= {name: name for names in sides for name in names}
    result = reference.run(graph, feeds)
    for left, right in zip(*sides, strict=True):
        there = np.isfinite(result[left])
        np.testing.assert_allclose(np.asarray(result[right])[there], np.asarray(result[left])[there], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("formula", "at", "expected"),
    [
        ("1 / (1 + exp(-x))", -800.0, 0.0),
        ("exp(x) / (1 + exp(x))", 800.0, 1.0),
        ("log(1 + exp(x))", 800.0, 800.0),
        ("log(1 / (1 + exp(-x)))", -800.0, -800.0),
        ("log(1 - 1 / (1 + exp(-x)))", 800.0, -800.0),
        ("max(x, 0)", -1.0, 0.0),
    ],
)
def test_a_formula_as_written_does_not_overflow(formula: str, at: float, expected: float) -> None:
    net = nnspec.loads(f"model M {{ input x: []  output y = {formula} }}")
    assert net(x=[at])["y"][0] == pytest.approx(expected)


AT_A_KINK = {
    "relu(p)": 0,
    "max(p, 0)": 0.5,
    "max(0, p)": 0.5,
    "min(p, 0)": 0.5,
    "clip(p, 0, 6)": 0.5,
    "relu6(p)": 0,
    "hinge(p + 1, 1)": -0.5,
    "max(p, 0) + log(1 + exp(-abs(p)))": 0.5,
    "if p > 0 then p else 2 * (exp(p) - 1)": 2,
    "if p > 0 then p else exp(p) - 1": 1,
    "if p > 0 then p else 0.5 * (exp(p) - 1)": 0.5,
    "if p >= 0 then p else 2 * (exp(p) - 1)": 1,
    "if p < 0 then 2 * (exp(p) - 1) else p": 1,
    "if p <= 0 then 2 * (exp(p) - 1) else p": 2,
    "elu(p, 2)": 1,
    "p * (p > 0)": 0,
    "p * (p >= 0)": 1,
    "if p > 0 then p else 0": 0,
}


@pytest.mark.parametrize("engine", ["numpy", "reference", "ort"])
@pytest.mark.parametrize("formula", AT_A_KINK)
def test_where_two_sides_meet_the_gradient_is_that_of_the_reference(formula: str, engine: str) -> None:
    """Half of it for each side of `max`, all of it for the chosen side of `if`, none for relu; also in a step of a scan, and as `grad`."""
    loops = f"scan e in x with h = 0 {{ h = {formula} + 0 * h * e }}"
    for loss in (formula, f"sum({loops}) / 3"):
        net = nnspec.loads(f"model M {{ input x: [3]  param p: [] = 0  output x  loss {loss} }}", engine=engine)
        assert net.gradients(x=np.ones((2, 3)))[1]["p"] == pytest.approx(AT_A_KINK[formula])
    net = nnspec.loads(f"model M {{ input p: []  output d = grad({formula}, p) }}", engine=engine)
    assert net(p=[0.0])["d"] == pytest.approx([AT_A_KINK[formula]])


def test_the_cross_entropy_of_the_texts_has_the_gradient_of_torch_from_weights_of_zero_on() -> None:
    net = nnspec.loads(
        "model B { input x: [2]  target y: []  z = (x -> dense(1, init = zeros))[0]  output z"
        "  loss max(z, 0) - z * y + log(1 + exp(-abs(z))) }"
    )
    x, y = torch.randn(8, 2), torch.randint(2, (8,)).float()
    w = torch.zeros(2, 1, requires_grad=True)
    torch.nn.functional.binary_cross_entropy_with_logits((x @ w)[:, 0], y).backward()
    np.testing.assert_allclose(net.gradients(x=x.numpy(), y=y.numpy())[1]["dense.W"], w.grad, rtol=1e-6)


def test_a_max_with_zero_is_a_relu_where_nothing_is_differentiated() -> None:
    net = nnspec.loads("model M { input x: [3]  output y = max(x, 0) }")
    assert [n.op.name for n in net.graph] == [n.op.name for n in net.spec.deployed] == ["input", "relu"]


def test_a_product_with_the_truth_value_of_its_sign_is_a_relu_and_a_choice_keeps_what_it_makes_of_nan() -> None:
    net = nnspec.loads("model M { input x: [2]  l = log(x)  output y = l * (l > 0)  output z = if l > 0 then l else 0 }")
    assert [n.op.name for n in net.graph if n.op.name in ("mul", "relu", "where")] == ["relu", "where"]
    out = net(x=[[0.0, -1.0]])
    assert out["y"][0, 0] == 0 and out["z"].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("formula", ["log(exp(x) / sum(exp(x)))", "log(softmax(x))", "x - log(sum(exp(x)))"])
def test_log_of_a_confident_softmax_is_finite(formula: str) -> None:
    net = nnspec.loads(f"model M {{ input x: [2]  output y = {formula} }}")
    assert net(x=[[800.0, 0.0]])["y"].tolist() == [[0.0, -800.0]]


LOSSES = [
    "-log(pick(p, y))",
    "-pick(log(p), y)",
    "-log(pick(exp(z - max(z)) / sum(exp(z - max(z))), y))",
    "-sum(one_hot(y) * log(p))",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_confident_mistake_has_a_finite_loss_and_gradient_however_the_loss_is_written(loss: str) -> None:
    net = nnspec.loads(
        f"model C {{ input x: [3]  target y: class(3)  param s: [] = 1  z = x * s  p = exp(z) / sum(exp(z))  output p  loss {loss} }}"
    )
    value, gradients = net.gradients(x=[[300.0, 0, 0]], y=[1])
    assert value == pytest.approx(300) and gradients["s"] == pytest.approx(300)


def test_binary_cross_entropy_as_the_lecture_writes_it_is_finite() -> None:
    net = nnspec.loads(
        "model B { input x: []  target y: class(2)  param s: [] = 1  p = 1 / (1 + exp(-x * s))  output p"
        "  loss -log(if y == 1 then p else 1 - p) }"
    )
    value, gradients = net.gradients(x=[300.0], y=[0])
    assert value == pytest.approx(300) and gradients["s"] == pytest.approx(300)


PROBABILITY = "x -> dense(1, init = ones) -> sigmoid"
VIEWS = {
    "squeeze": f"p = {PROBABILITY} -> squeeze",
    "an element": f"q = {PROBABILITY}  p = q[0]",
    "an element of a column": f"q = {PROBABILITY} -> reshape([1, 1])  p = squeeze(q[:, 0])",
    "an element of a row of several": "q = x -> dense(3, init = ones) -> sigmoid  p = squeeze(q[1:2])",
    "a transposed row": f"q = {PROBABILITY} -> reshape([1, 1])  p = transpose(q) -> flatten -> squeeze",
}
BINARY_LOSSES = [
    "bce(p, y)",
    "-(y * log(p) + (1 - y) * log(1 - p))",
    "-log(if y == 1 then p else 1 - p)",
    "-(if y == 1 then log(p) else log(1 - p))",
]


@pytest.mark.parametrize("loss", BINARY_LOSSES)
@pytest.mark.parametrize("view", VIEWS)
def test_binary_cross_entropy_of_a_view_of_probabilities_is_finite(view: str, loss: str) -> None:
    """To torch's figures of the logits, also where the sigmoid rounds to 0 or 1."""
    net = nnspec.loads(f"model B {{ input x: [1]  target y: []  {VIEWS[view]}  output p  loss {loss} }}")
    for x, y in ((60.0, 0.0), (-60.0, 1.0), (80.0, 0.0), (0.5, 1.0)):
        value, gradients = net.gradients(x=[[x]], y=[y])
        z = torch.tensor(x, requires_grad=True)
        wanted = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(y))
        wanted.backward()
        assert value == pytest.approx(wanted.item()) and gradients["dense.b"].sum() == pytest.approx(float(z.grad))


def test_the_log_of_a_sigmoid_that_is_picked_by_a_class_is_finite() -> None:
    net = nnspec.loads("model C { input x: [3]  target y: class(3)  param s: [] = 1  p = sigmoid(x * s)  output p  loss -log(pick(p, y)) }")
    value, gradients = net.gradients(x=[[0, -300.0, 0]], y=[1])
    assert value == pytest.approx(300) and gradients["s"] == pytest.approx(300)


@pytest.mark.parametrize("loss", ["-log(p[1])", "-sum(log(p[1:2]))", "-log(reshape(p, [2, 2]))[0, 1]"])
def test_the_log_of_an_element_of_a_confident_softmax_is_finite(loss: str) -> None:
    net = nnspec.loads(f"model C {{ input x: [4]  param s: [] = 1  p = softmax(x * s)  output p  loss {loss} }}")
    value, gradients = net.gradients(x=[[300.0, 0, 0, 0]])
    assert value == pytest.approx(300) and gradients["s"] == pytest.approx(300)


def test_a_users_own_softmax_becomes_the_same_operation_as_the_librarys() -> None:
    own = nnspec.loads("fn mine(z) = exp(z) / sum(exp(z))  model M { input x: [5]  output y = mine(x) }")
    std = nnspec.loads("model M { input x: [5]  output y = softmax(x) }")
    assert [n.op.name for n in own.graph] == [n.op.name for n in std.graph] == ["input", "softmax"]


def test_the_softmax_that_the_readme_shows_is_one_of_each_row() -> None:
    formula = next(line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("fn my_softmax"))
    z = np.random.default_rng(0).normal(size=(2, 5, 3))
    net = nnspec.loads(f"{formula}  model M {{ input z: [T, 3]  output p = my_softmax(z) }}", dtype="float64")
    assert np.stack(net.predict(z)) == pytest.approx(torch.softmax(torch.tensor(z), -1).numpy())


# ---- parts side by side

PADS = {
    "all of it": ([(0, 2, 4), (2, 1, 3), (3, 3, 0)], ["concat"]),
    "in another order": ([(3, 3, 0), (0, 2, 4), (2, 1, 3)], ["concat"]),
    "a part of it": ([(1, 2, 3), (3, 2, 1)], ["concat", "pad"]),
    "a gap": ([(0, 2, 4), (4, 2, 0)], ["add", "pad", "pad"]),
    "an overlap": ([(0, 3, 3), (2, 4, 0)], ["add", "pad", "pad"]),
}


@pytest.mark.parametrize("case", PADS)
def test_sums_of_pads_are_laid_side_by_side_where_they_tile(case: str) -> None:
    places, expected = PADS[case]
    graph = Graph(dtype="float64")
    feeds = {f"x{i}": np.random.default_rng(i).normal(size=(2, length)) for i, (_, length, _) in enumerate(places)}
    parts = [graph.source(OPS["input"], n, Type("float64", a.shape)) for n, a in feeds.items()]
    padded = [OPS["pad"](p, axis=1, before=b, after=a) for p, (b, _, a) in zip(parts, places, strict=True)]
    total = padded[0]
    for other in padded[1:]:
        total = total + other
    graph.outputs["y"] = total.name
    better = rewrite(graph, "algebra")
    assert sorted(n.op.name for n in better if n.op.name != "input") == expected
    np.testing.assert_array_equal(reference.run(better, feeds)["y"], reference.run(graph, feeds)["y"])


# ---- less work on large values


def lightened(build: Any, **types: Type) -> tuple[Graph, Graph]:
    graph = Graph(dtype="float64")
    graph.outputs["y"] = build(**{n: graph.source(OPS["input"], n, t) for n, t in types.items()}).name
    return graph, lighter(graph)


IMAGES, CHANNEL = Type("float64", (BATCH, 3, 4, 4)), Type("float64", (3, 1, 1))
LIGHTER = {
    "a small divisor": (lambda x, b, z: x / b, {"mul": 1, "div": 1}),
    "factors meet first": (lambda x, b, z: (x * b) * (b * 2.0), {"mul": 3}),
    "a minus sign goes to the small factor": (lambda x, b, z: -(x * b), {"mul": 1, "neg": 1}),
    "a factor leaves a sum": (lambda x, b, z: OPS["sum"]((x * b) * (z * b), axes=(0, 2, 3), keep=False), {"sum": 1, "mul": 3}),
    "a sum of means": (
        lambda x, b, z: OPS["mean"](OPS["mean"](x, axes=(0,), keep=False), axes=(1, 2), keep=True),
        {"mean": 1, "reshape": 1},
    ),
    "a factor in common": (lambda x, b, z: x * b - z * b, {"sub": 1, "mul": 1}),
    "sums of scaled values": (
        lambda x, b, z: OPS["sum"](x * b + z * (b * b), axes=(0, 2, 3), keep=False) + OPS["sum"](x, axes=(0, 2, 3), keep=False),
        {"sum": 2},
    ),
    "a sum of what is laid over it": (
        lambda x, b, z: (
            OPS["sum"](OPS["expand"](b, shape=IMAGES.shape), axes=(0, 1, 3), keep=False) * OPS["sum"](x, axes=(0, 1, 3), keep=False)
        ),
        {"sum": 2, "size_of": 1},
    ),
    "a mean of what is laid over it": (
        lambda x, b, z: x * OPS["mean"](OPS["expand"](b, shape=IMAGES.shape), axes=(0, 2), keep=True),
        {"mean": 0, "sum": 0},
    ),
    "a factor that varies along the sum stays": (lambda x, b, z: OPS["sum"](x * b, axes=(1,), keep=False), {"sum": 1, "mul": 1}),
}


@pytest.mark.parametrize("scaled", [lambda x, b: x * b, lambda x, b: b * x])
def test_factors_meet_before_the_large_value_on_whichever_side_they_stand(scaled: Any) -> None:
    _, light = lightened(lambda x, b: scaled(x, b) * (b * 2.0), x=IMAGES, b=CHANNEL)
    assert sum(n.op.name == "mul" and n.type.has_batch for n in light) == 1


@pytest.mark.parametrize("case", LIGHTER)
def test_a_lighter_graph_means_the_same(case: str) -> None:
    build, wanted = LIGHTER[case]
    graph, light = lightened(build, x=IMAGES, b=CHANNEL, z=IMAGES)
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(5, 3, 4, 4)), "b": rng.uniform(0.5, 2, size=(3, 1, 1)), "z": rng.normal(size=(5, 3, 4, 4))}
    assert np.allclose(reference.run(graph, feeds)["y"], reference.run(light, feeds)["y"], rtol=1e-12)
    for op, number in wanted.items():
        assert sum(n.op.name == op for n in light) == number, op


def _beside(*parts: Any) -> Any:
    return OPS["concat"](*parts, axis=1)


JOINED = {
    "a product": (lambda x, g, h: x.mT @ _beside(g, h), {"concat": [(3, 128)]}),
    "of narrow parts": (lambda x, g, h: x.mT @ _beside(g, x), {"concat": [(BATCH, 67)]}),
    "a sum": (lambda x, g, h: OPS["sum"](_beside(x, g), axes=(0,), keep=False), {"concat": [(67,)]}),
    "a sum over what is joined": (lambda x, g, h: OPS["sum"](_beside(x, g), axes=(1,), keep=False), {"concat": [(BATCH, 67)]}),
    "neighbours": (
        lambda x, g, h: _beside(_columns(g, 0, 20), _columns(g, 20, 50), _columns(g, 51, 64), h),
        {"cut": [(BATCH, 13), (BATCH, 50)]},
    ),
}


def _columns(x: Any, start: int, stop: int) -> Any:
    return OPS["cut"](x, axis=1, start=start, stop=stop)


@pytest.mark.parametrize("case", JOINED)
def test_what_is_joined_is_not_laid_out_for_a_smaller_value(case: str) -> None:
    build, wanted = JOINED[case]
    wide = Type("float64", (BATCH, 64))
    graph, light = lightened(build, x=Type("float64", (BATCH, 3)), g=wide, h=wide)
    rng = np.random.default_rng(0)
    feeds = {n: rng.normal(size=(5, width)) for n, width in (("x", 3), ("g", 64), ("h", 64))}
    assert np.allclose(reference.run(graph, feeds)["y"], reference.run(light, feeds)["y"], rtol=1e-12)
    for op, shapes in wanted.items():
        assert [n.type.shape for n in light if n.op.name == op] == shapes


def test_of_a_batch_normalisation_two_sums_are_left_for_forward_and_three_for_backward() -> None:
    net = nnspec.loads(
        "model M { input x: [3, 8, 8]  target y: [3]  h = x -> batchnorm -> relu -> conv(3, 8) -> flatten  output h  loss mse(h, y) }"
        "train { epochs 1  optimizer sgd(0.1) }"
    )
    large = [n for n in net.spec.gradients if n.op.name in ("sum", "mean") and net.spec.gradients[n.inputs[0]].type.rank == 4]
    assert len([n for n in large if n.role != "backward"]) == 2
    assert len([n for n in large if n.role == "backward"]) <= 4


# ---- conditions


def standardised(eps: float | str) -> Graph:
    text = f"x - mean(x, keep = true)) / sqrt(mean((x - mean(x, keep = true))^2, keep = true) + {eps})"
    return rewrite(nnspec.loads(f"model M {{ input x: [5]  param e: [] = 1  output y = ({text} }}").spec.deployed, "export")


def test_a_rule_takes_a_number_as_it_is_written() -> None:
    (node,) = [n for n in standardised(0.5) if n.op.name == "standard"]
    assert node.attributes["eps"] == 0.5


def test_a_rule_for_a_number_leaves_what_is_learned_alone() -> None:
    assert "standard" not in [n.op.name for n in standardised("e")]


def test_a_rule_leaves_shapes_alone_that_its_right_side_does_not_take() -> None:
    """The normalised axis is not the last."""
    graph = Graph()
    x = graph.source(OPS["input"], "x", Type("float32", (3, 4)))
    centred = x - OPS["mean"](x, axes=(0,), keep=True)
    graph.outputs["y"] = (centred / OPS["sqrt"](OPS["mean"](OPS["square"](centred), axes=(0,), keep=True) + 0.5)).name
    assert [n.op.name for n in rewrite(graph, "export")] == [n.op.name for n in graph]
