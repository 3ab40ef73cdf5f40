"""Formulas over the fields of a data source: `image = pixels / 255`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nnspec.diagnostics import Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import Builtin, Function, Tensor, Value
from nnspec.graph import Graph, Type
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

FIELD = "field"
OVER_THE_BATCH, OVER_AN_EXAMPLE = {"batch_mean", "batch_var"}, {"sum", "mean", "max", "min"}
IN_THE_MODEL = "what a whole column says is learnt in the model, `x -> standardize`, or written as a number, `(a - 20) / 80`"


@dataclass(frozen=True)
class Formula:
    """A formula whose names are fields, or else what they are in the spec; a text in it is a name, too."""

    expression: ast.Expr
    definitions: Definitions = field(repr=False)
    scope: Scope = field(repr=False)

    def __str__(self) -> str:
        return self.expression.span.text

    def names(self) -> list[str]:
        return names_in(self.expression, texts=True)

    def means(self, name: str) -> bool:
        """Whether the spec or the library defines the name."""
        return name in self.scope.all_names() or self.definitions.meaning(name) is not None


class _OverFields(Elaborator):
    """Takes a text for the field that it names, and refuses what asks for other examples than the one it is about."""

    def evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        return super().evaluate(ast.Name(e.span, e.value) if isinstance(e, ast.String) else e, scope)

    def invoke(
        self, callee: Function | Builtin, arguments: list[tuple[ast.Argument, Value]], scope: Scope, span: Span, label: str | None
    ) -> Value:
        if isinstance(callee, Builtin) and not span.source.library:
            if callee.name in OVER_THE_BATCH:
                raise fault("E108", f"`{callee.name}` asks for other examples, and a formula here is of one", span, help=IN_THE_MODEL)
            if callee.name in OVER_AN_EXAMPLE and len(arguments) == 1 and _is_one_number(arguments[0][1]):
                of = arguments[0][0].value.span.text
                message = f"`{callee.name}` of `{of}` is taken of each example, not of the column, and so is `{of}` itself"
                raise fault("E106", message, span, help=IN_THE_MODEL)
        return super().invoke(callee, arguments, scope, span, label)


def _is_one_number(value: Value) -> bool:
    return isinstance(value, Tensor) and value.batched and not value.shape


def names_in(e: ast.Expr, *, texts: bool = False) -> list[str]:
    """The names that a formula reads, without those that it calls or gives; the `texts` in it, if these are names."""
    found: dict[str, None] = {}
    left: list[object] = [e]
    while left:
        match left.pop():
            case ast.Name(id=name):
                found[name] = None
            case ast.String(value=name) if texts:
                found[name] = None
            case ast.Call(callee=ast.Name(), arguments=inner) | ast.Stage(body=inner) | (tuple() as inner):
                left += reversed(inner) if isinstance(inner, tuple) else [inner]
            case ast.Tree() as tree:
                left += reversed(tree.pieces)
    return list(found)


def compared_with(e: ast.Expr, text: str) -> str | None:
    """The name that a formula compares with a text, if it does."""
    for tree in trees(e):
        match tree:
            case ast.Binary(left=ast.Name(id=name), right=ast.String(value=value), operator="==" | "!=") if value == text:
                return name
            case ast.Binary(left=ast.String(value=value), right=ast.Name(id=name), operator="==" | "!=") if value == text:
                return name
    return None


def field_graph(formula: Formula, types: Mapping[str, Type], dtype: str = "float64") -> Graph:
    """From fields to the one that the formula makes of them, called FIELD; a Fault where it is no formula of single examples."""
    graph, span = Graph(FIELD, dtype), formula.expression.span
    e = _OverFields(graph, formula.definitions, training=False)
    known = {name: Tensor(graph.source(OPS["input"], name, type), True) for name, type in types.items()}
    value = batch.lift(graph, e.evaluate(formula.expression, Scope(formula.scope, names={**e.always, **known})), graph.dtype, span)
    if e.owned:
        raise fault("E108", "a formula over fields has no parameters: it is done once, before training", span)
    if any(node.op is OPS["random"] for node in graph):
        raise fault("E108", "a formula over fields draws nothing: it is done once, before training", span,
                    help="`augment` changes examples anew each time they are shown")  # fmt: skip
    if not value.batched:
        raise fault("E106", "this is the same for every example", span)
    graph.outputs[FIELD] = value.var.name
    return graph.only(graph.outputs)
