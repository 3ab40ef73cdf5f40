"""Rules `left => right`, `left => right where scalar x`: names stand for any value, keyword names for any attribute.

`scalar` is one number, `per_channel` one for each channel of an image, `number` one that is written: on the right an attribute may take it.
`kept` is a state or parameter.

A rule fits only where both sides have the same type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nnspec.graph import Graph, Mismatch, Node, Var
from nnspec.graph.loop import with_bodies
from nnspec.ops import OPS
from nnspec.ops.operators import BINARY, UNARY
from nnspec.record import dataclass
from nnspec.rewrite.tiles import side_by_side
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_expression

Bindings = dict[str, Any]
MAX_REWRITES_OF_A_NODE = 20
SUMS = {"add", "pad"}
"""What a sum of pads reads."""
CONDITIONS: dict[str, Callable[[Node], bool]] = {
    "scalar": lambda node: not node.type.shape,
    "per_channel": lambda node: node.type.rank > 1 and set(node.type.shape[1:]) == {1},
    "kept": lambda node: node.op.name in ("state", "param"),
    "number": lambda node: isinstance(node.constant, int | float),
}


@dataclass(frozen=True)
class Rule:
    """`left => right`, over ops of the catalogue."""

    text: str
    left: ast.Expr
    result: str
    condition: str = ""
    names: tuple[str, ...] = ()
    """The names for which the condition has to hold."""

    @cached_property
    def right(self) -> ast.Expr:
        """What the rule makes, which is read when it first does."""
        right: ast.Expr = parse_expression(self.result)
        return right

    @property
    def root(self) -> str:
        return _operation(self.left)[0]

    @cached_property
    def below(self) -> frozenset[str | float]:
        """The operations and numbers that the root has to read."""
        operands = _operation(self.left)[1]
        return frozenset(i.value if isinstance(i, ast.Number) else _operation(i)[0] for i in operands if not isinstance(i, ast.Name))

    @cached_property
    def keeps(self) -> bool:
        """Whether the operation is left out."""
        return self.result in {i.id for i in _operation(self.left)[1] if isinstance(i, ast.Name)}

    def apply(self, graph: Graph, name: str) -> str | None:
        """The node that says the same as `name`, or None where the rule does not fit."""
        for bindings in _match(graph, self.left, name, {}):
            made = self._made(graph, bindings)
            if made and made.type == graph[name].type:
                return made.name
        return None

    def _made(self, graph: Graph, bindings: Bindings) -> Var | None:
        if self.condition:
            bound = [graph[bindings[n]] for n in self.names]
            if not all(CONDITIONS[self.condition](node) for node in bound):
                return None
            if self.condition == "number":
                bindings = bindings | {n: node.attributes["value"] for n, node in zip(self.names, bound, strict=True)}
        try:
            return _make(graph, self.right, bindings)
        except Mismatch:  # an op of the right side does not take these shapes
            return None


def load_rules(name: str) -> tuple[Rule, ...]:
    """The rules of one file of this folder."""
    text = (Path(__file__).parent / f"{name}.rules").read_text("utf-8")
    return tuple(_rule(line) for line in text.splitlines() if "=>" in line and not line.startswith("#"))


def _rule(line: str) -> Rule:
    left, right = line.split("=>")
    right, _, condition = right.partition(" where ")
    condition, *names = condition.split() or [""]
    return Rule(" ".join(line.split()), parse_expression(left.strip()), right.strip(), condition, tuple(names))


@dataclass(frozen=True, eq=False)
class Rooted:
    """The rules that begin with one operation; none of them fits what reads none of the `openers`, if there are any."""

    rules: tuple[Rule, ...]
    openers: frozenset[str | float | None]


@cache
def _by_root(*files: str) -> dict[str, Rooted]:
    table: dict[str, list[Rule]] = {"add": []}
    for file in files:
        for rule in load_rules(file):
            table.setdefault(rule.root, []).append(rule)
    return {root: _rooted(rules, SUMS if root == "add" else set()) for root, rules in table.items()}


def _rooted(rules: list[Rule], others: set[str]) -> Rooted:
    openers = {next(iter(rule.below), None) for rule in rules}
    return Rooted(tuple(rules), frozenset() if None in openers else frozenset(openers | others))


def rewrite(graph: Graph, *files: str) -> Graph:
    """The graph with the rules of these files applied wherever they fit, inputs before what uses them, and parts laid side by side."""
    table, others = _by_root(*files), set[str]()

    def rebuild(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        op = node.op.name
        if op == "scan":
            return new.add(node.op, inputs, with_bodies(node, lambda body: rewrite(body, *files)), node.type, node.name)
        name = new.copy_node(node, inputs)
        for _ in range(MAX_REWRITES_OF_A_NODE if op in table else 0):
            better = _first(new, name, table, node.name.rpartition("/")[0], others)
            if better is None:
                break
            name = better
        return name

    return graph.rebuilt(rebuild)


def _first(graph: Graph, name: str, table: dict[str, Rooted], scope: str, others: set[str]) -> str | None:
    """What the first rule that fits makes of a node; `others` are sums that are not of pads alone."""
    nodes = graph.nodes
    node = nodes[name]
    here = table.get(node.op.name)
    if here is None:
        return None
    inputs = [nodes[i] for i in node.inputs]
    below = {i.op.name if i.op.name != "const" else i.attributes["value"] for i in inputs}
    if here.openers and here.openers.isdisjoint(below):
        return None
    near = [rule for rule in here.rules if rule.below <= below and not (rule.keeps and _changed(node, inputs))]
    padded = node.op.name == "add" and below <= SUMS
    if not near and not padded:
        return None
    with graph.at(scope=scope):
        better = next(filter(None, (rule.apply(graph, name) for rule in near)), None)
        return side_by_side(graph, name, others) if padded and not better else better


def _changed(node: Node, inputs: list[Node]) -> bool:
    """Whether a value is of another type than all it is made of."""
    return all(i.type != node.type for i in inputs)


def fits(pattern: str, graph: Graph, name: str) -> Bindings | None:
    """What the names of a pattern stand for in a value, if it has that form."""
    return next(_match(graph, _pattern(pattern), name, {}), None)


@cache
def _pattern(text: str) -> ast.Expr:
    pattern: ast.Expr = parse_expression(text)
    return pattern


@cache
def _operation(pattern: ast.Expr) -> tuple[str, tuple[ast.Expr, ...], dict[str, ast.Expr]]:
    """Op name, inputs and attributes of a pattern."""
    if isinstance(pattern, ast.Binary):
        return BINARY[pattern.operator], (pattern.left, pattern.right), {}
    if isinstance(pattern, ast.Unary):
        return UNARY[pattern.operator], (pattern.operand,), {}
    assert isinstance(pattern, ast.Call) and isinstance(pattern.callee, ast.Name)
    inputs = tuple(a.value for a in pattern.arguments if a.name is None)
    return pattern.callee.id, inputs, {a.name: a.value for a in pattern.arguments if a.name}


def _match(graph: Graph, pattern: ast.Expr, name: str, bound: Bindings) -> Iterator[Bindings]:
    """Every way in which a pattern fits the value `name`."""
    node = graph[name]
    if isinstance(pattern, ast.Name):
        if bound.get(pattern.id, name) == name:
            yield {**bound, pattern.id: name}
    elif isinstance(pattern, ast.Number):
        if node.constant == pattern.value:
            yield bound
    else:
        op, inputs, attrs = _operation(pattern)
        fits = node.op.name == op and len(node.inputs) == len(inputs)
        with_attrs = _match_attributes(attrs, node, bound) if fits else None
        if with_attrs is not None:
            for order in (node.inputs, node.inputs[::-1]) if node.op.commutative else (node.inputs,):
                yield from _match_all(graph, inputs, order, with_attrs)


def _match_all(graph: Graph, patterns: tuple[ast.Expr, ...], names: tuple[str, ...], bound: Bindings) -> Iterator[Bindings]:
    if not patterns:
        yield bound
        return
    for first in _match(graph, patterns[0], names[0], bound):
        yield from _match_all(graph, patterns[1:], names[1:], first)


def _match_attributes(attrs: dict[str, ast.Expr], node: Node, bound: Bindings) -> Bindings | None:
    for key, pattern in attrs.items():
        value = node.attributes[key]
        if isinstance(pattern, ast.Name):
            if bound.get(pattern.id, value) != value:
                return None
            bound = {**bound, pattern.id: value}
        elif isinstance(pattern, ast.Boolean | ast.Number) and pattern.value != value:
            return None
    return bound


def _make(graph: Graph, pattern: ast.Expr, bound: Bindings) -> Var:
    """The nodes of the right side."""
    if isinstance(pattern, ast.Name):
        return graph.var(bound[pattern.id])
    op, inputs, attrs = _operation(pattern)
    values = [i.value if isinstance(i, ast.Number) else _make(graph, i, bound) for i in inputs]
    return graph.call(OPS[op], *values, **{k: _attribute(v, bound) for k, v in attrs.items()})


def _attribute(pattern: ast.Expr, bound: Bindings) -> Any:
    return bound[pattern.id] if isinstance(pattern, ast.Name) else pattern.value  # type: ignore[union-attr]  # a name or a literal
