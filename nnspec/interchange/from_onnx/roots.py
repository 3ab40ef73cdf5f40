"""Roots of what is 0 only where all that it is made of is: a norm, a deviation. There a root has no gradient to pass on, as in torch."""

from __future__ import annotations

import numpy as np

from nnspec.graph import Graph, Var
from nnspec.ops import OPS
from nnspec.ops import pointwise as p

PASSING = tuple(OPS[n] for n in ("sum", "mean", "avg_pool", "abs", "relu", "sign", "reshape", "expand", "transpose", "cut"))
JOINING = tuple(OPS[n] for n in ("mul", "div"))


def root(x: Var, exponent: Var | float = 0.5) -> Var:
    """A power below 1 of a sum of powers above 1, which are 0 together with their gradients."""
    above = p.greater(x, 0.0)
    inside = p.where(above, x, 1.0)
    return p.where(above, p.sqrt(inside) if exponent == 0.5 else inside**exponent, x)


def square_root(x: Var) -> Var:
    """As `Sqrt` says it."""
    return root(x) if _is_of_squares(x.graph, x.name) else p.sqrt(x)


def power(x: Var, y: Var) -> Var:
    """As `Pow` says it."""
    return root(x, y) if 0 < _number(y) < 1 and _is_of_squares(x.graph, x.name) else x**y


def _is_of_squares(graph: Graph, name: str) -> bool:
    """Whether it is made of squares, and of numbers that hang on nothing, by sums, means, products and quotients."""
    node = graph[name]
    if node.op is OPS["square"] or (node.op is OPS["mul"] and node.inputs[0] == node.inputs[1]):
        return True
    if node.op is OPS["pow"]:
        return _number(graph.var(node.inputs[1])) == 2
    if node.op is OPS["add"]:
        return all(_is_of_squares(graph, n) for n in node.inputs)
    if node.op in JOINING:
        parts = [n for n in node.inputs if any(graph[m].op.is_source for m in graph.needed([n]))]
        return bool(parts) and all(_is_of_squares(graph, n) for n in parts)
    return node.op in PASSING and _is_of_squares(graph, node.inputs[0])


def _number(x: Var) -> float:
    """The number that it is; NaN where it is another thing."""
    value = np.asarray(x.node.attributes["value"] if x.node.op is OPS["const"] else ())
    return float(value.item()) if value.size == 1 else float("nan")
