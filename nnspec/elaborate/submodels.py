"""A model used as a layer: its inputs and parameters are arguments, its outputs the value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from nnspec.diagnostics import Span, fault
from nnspec.elaborate.values import Function
from nnspec.syntax import ast
from nnspec.syntax.trees import trees


def as_layer(f: Function) -> Function:
    """The layer that a model is to another model: what its outputs need, without losses, metrics and targets."""
    d = f.definition
    inputs = tuple(ast.Parameter(s.name.span, s.name.id, s.type, None) for s in d.body if isinstance(s, ast.Port) and s.kind == "input")
    named = [item for s in d.body if isinstance(s, ast.Output) for item in s.items]
    if not named:
        raise fault("E110", f"the model `{f.name}` has no output", d.name.span, help="add `output NAME`")
    assigned = tuple(_formulas(d.body))
    results = tuple(name for name, _ in named)
    value = results[0] if len(results) == 1 else ast.List(_around(results), results)
    body = (*_needed(assigned, {n.id for n in results}), ast.Return(value.span, value))
    return replace(f, definition=replace(d, kind="layer", parameters=(*inputs, *d.parameters), body=body))


def _formulas(body: Iterable[ast.Statement]) -> Iterator[ast.Statement]:
    for s in body:
        if isinstance(s, ast.Output):
            yield from (ast.Assign(name.span, (name,), value) for name, value in s.items if value is not None)
        elif not isinstance(s, ast.Port | ast.Report | ast.Expect):
            yield s


def _needed(statements: tuple[ast.Statement, ...], wanted: set[str]) -> Iterator[ast.Statement]:
    """The statements that these names depend on, in order."""
    kept = []
    for s in reversed(statements):
        names = {n.id for n in s.names} if isinstance(s, ast.Assign) else None
        if names is None or names & wanted:
            kept.append(s)
            wanted = wanted | {t.id for t in trees(s) if isinstance(t, ast.Name)}
    return reversed(kept)


def _around(names: tuple[ast.Name, ...]) -> Span:
    return Span(names[0].span.source, min(n.span.start for n in names), max(n.span.end for n in names))
