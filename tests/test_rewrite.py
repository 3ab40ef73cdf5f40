"""Rewrite rules: each is its own test, and what they are for holds for formulas as a student writes them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.graph import Graph, Mismatch, Type, Var
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.rewrite import Rule, load_rules, rewrite
from nnspec.run import reference
from nnspec.syntax import ast

RULES = [r for f in ("stability", "algebra", "broadcast", "loops") for r in load_rules(f)]


class Side:
    """Builds one side of a rule on random inputs: x and y are numbers, i positions, c truths; attributes come from a table."""

    def __init__(self, graph: Graph, rule: Rule, x_shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
        self.graph, self.attributes = graph, attributes
        self.types = {"x": Type("float64", x_shape), "y": Type("float64", (3, 4)), "i": Type("int64", (3,)), "c": Type("bool", (3, 4))}
        self.types |= dict.fromkeys(rule.scalars, Type("float64", ()))

    def build(self, e: ast.Expr) -> Var | float:
        if isinstance(e, ast.Number):
            return e.value
        if isinstance(e, ast.Name):
            return self.graph.source(OPS["input"], e.id, self.types[e.id])
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
    kinds = {"float64": lambda s: rng.uniform(0.1, 2, s), "int64": lambda s: rng.integers(0, 4, s), "bool": lambda s: rng.random(s) < 0.5}
    return {n.name: kinds[n.type.dtype](n.type.shape) for n in graph if n.op.is_source}


def built(rule: Rule) -> Graph:
    """A graph with both sides as outputs, for the first choice of shapes that fits the rule."""
    shapes = [(3, 4), (3, 1), (4,), ()]
    for x_shape, s, t in product(shapes, [(3, 4), (3, 1), (1, 3, 4)], [(3, 1), (3, 4), (1, 3, 4)]):
        graph = Graph(dtype="float64")
        side = Side(graph, rule, x_shape, {"a": (1,), "k": False, "s": s, "t": t})
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
    graph = built(rule)
    rng = np.random.default_rng(0)
    for _ in range(5):
        result = reference.run(graph, values(graph, rng))
        np.testing.assert_allclose(result["left"], result["right"], rtol=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.text)
def test_a_rule_fits_its_own_left_side(rule: Rule) -> None:
    graph = built(rule)
    assert rule.apply(graph, graph.outputs["left"]) is not None


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


def test_a_users_own_softmax_becomes_the_same_operation_as_the_librarys() -> None:
    own = nnspec.loads("fn mine(z) = exp(z) / sum(exp(z))  model M { input x: [5]  output y = mine(x) }")
    std = nnspec.loads("model M { input x: [5]  output y = softmax(x) }")
    assert [n.op.name for n in own.graph] == [n.op.name for n in std.graph] == ["input", "softmax"]


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
