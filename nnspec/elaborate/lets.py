"""The `let` values of a file, and the settings that override them."""

from __future__ import annotations

from collections.abc import Mapping

from nnspec.diagnostics import Diagnostic, Fault, did_you_mean, fault
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.values import POISON, Scope
from nnspec.graph import Graph
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_expression

Settings = Mapping[str, str | int | float | bool]


def evaluate_lets(spec: ast.Spec, definitions: Definitions, scope: Scope, settings: Settings) -> list[Diagnostic]:
    """Enter every `let` into the scope, in order, with the overriding settings in their place; and what is wrong with them."""
    e = Elaborator(Graph("let"), definitions, training=False)
    lets = [d for d in spec.definitions if isinstance(d, ast.Let)]
    known = [let.name.id for let in lets]
    for name in settings:
        if name not in known:
            help_ = did_you_mean(name, known) or (f"it has {', '.join(known)}" if known else "it has no `let` at all")
            e.diagnostics.append(Diagnostic("E101", f"the spec has no `let {name}` to set", None, help=help_))
    for let in lets:
        name = let.name.id
        with e.recovering():
            if name in scope.names:
                raise fault("E105", f"`let {name}` is written twice", let.name.span, notes=((scope.spans[name], "first here"),))
            scope.names[name], scope.spans[name] = POISON, let.name.span
            value = _setting(settings[name]) if name in settings else e.evaluate(let.value, scope)
            scope.names[name] = value
    return e.diagnostics


def _setting(value: str | int | float | bool) -> object:
    """A setting from the command line, read as the language reads it: a number, a truth, or else a word."""
    if not isinstance(value, str):
        return value
    try:
        parsed = parse_expression(value)
    except Exception:
        return value
    return parsed.value if isinstance(parsed, ast.Number | ast.Boolean | ast.String) else value


__all__ = ["Fault", "evaluate_lets"]
