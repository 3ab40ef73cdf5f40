"""Rewrite rules: each is its own test, and what they are for holds for formulas as a student writes them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import nnspec
from nnspec.graph import Graph, Type, Var
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.rewrite import Rule, load_rules
from nnspec.run import reference
from nnspec.syntax import ast

RULES = [r for f in ("stability", "algebra", "broadcast") for r in load_rules(f)]
ATTRIBUTES = {"axes": (1,), "keep": True, "shape": (3, 1)}


class Side:
    """Builds one side of a rule on random inputs, attributes from a table of values that fit together."""

    def __init__(self, graph: Graph, rule: Rule, x_shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
        self.graph, self.attributes = graph, attributes
        self.shapes = {n: () if n in rule.scalars else x_shape for n in ("x", "y")}

    def build(self, e: ast.Expr) -> Var | float:
        if isinstance(e, ast.Number):
            return e.value
        if isinstance(e, ast.Name):
            return self.graph.source(
                OPS["input"], e.id, Type("float64", self.shapes[e.id] if e.id == "x" else ((3, 4) if self.shapes["y"] else ()))
            )
        if isinstance(e, ast.Binary):
            return self.graph.call(OPS[BINARY[e.operator]], self.build(e.left), self.build(e.right))
        if isinstance(e, ast.Unary):
            return self.graph.call(OPS[UNARY[e.operator]], self.build(e.operand))
        assert isinstance(e, ast.Call) and isinstance(e.callee, ast.Name)
        inputs = [self.build(a.value) for a in e.arguments if a.name is None]
        return self.graph.call(OPS[e.callee.id], *inputs, **{a.name: self.value(a.value) for a in e.arguments if a.name})

    def value(self, e: ast.Expr) -> Any:
        return self.attributes[e.id] if isinstance(e, ast.Name) else e.value  # type: ignore[union-attr]


def built(rule: Rule) -> Graph:
    """A graph with both sides as outputs, for the first choice of shapes that fits the rule."""
    shapes = [(3, 4), (3, 1), (4,), ()]
    for x_shape, s, t in product(shapes, [(3, 4), (3, 1), (1, 3, 4)], [(3, 1), (3, 4), (1, 3, 4)]):
        graph = Graph(dtype="float64")
        side = Side(graph, rule, x_shape, {"a": (1,), "k": False, "s": s, "t": t})
        try:
            left, right = side.build(rule.left), side.build(rule.right)
        except Exception:
            continue
        if isinstance(left, Var) and isinstance(right, Var) and left.type == right.type:
            graph.outputs |= {"left": left.name, "right": right.name}
            return graph
    raise AssertionError(f"no shapes fit {rule.text}")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.text)
def test_both_sides_of_a_rule_agree(rule: Rule) -> None:
    graph = built(rule)
    rng = np.random.default_rng(0)
    for _ in range(5):
        feeds = {n.name: rng.uniform(0.1, 2, n.type.shape) for n in graph if n.op.is_source}  # type: ignore[arg-type]
        result = reference.run(graph, feeds)
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


def test_a_users_own_softmax_becomes_the_same_operation_as_the_librarys() -> None:
    own = nnspec.loads("fn mine(z) = exp(z) / sum(exp(z))  model M { input x: [5]  output y = mine(x) }")
    std = nnspec.loads("model M { input x: [5]  output y = softmax(x) }")
    assert [n.op.name for n in own.graph] == [n.op.name for n in std.graph] == ["input", "softmax"]
