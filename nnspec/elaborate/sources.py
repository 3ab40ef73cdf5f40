"""Where examples come from: the `data` line of a train block, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnspec.diagnostics import Span, did_you_mean, fault
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.values import Scope, not_yet
from nnspec.syntax import ast

SOURCES = ("digits", "iris", "wine", "breast_cancer", "diabetes", "mnist", "fashion_mnist", "csv", "npz", "inline")
SOURCES_NOT_YET = ("moons", "circles", "spirals", "xor", "parquet", "images", "text", "series")
FILE_SOURCES = ("csv", "npz")


@dataclass(frozen=True)
class DataSource:
    """Where examples come from.

    `name` is one of SOURCES. `path` is the file of csv and npz. `fields` say, for an input or target, the columns or array it takes
    (a name or a tuple of names), or, for `inline`, its values as nested tuples. `spans` place each field.
    """

    name: str
    span: Span
    path: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)


class SourceReader:
    """Reads the sources of one train block."""

    def __init__(self, e: Elaborator, scope: Scope) -> None:
        self.e, self.scope = e, scope

    def read(self, e: ast.Expr) -> DataSource:
        if isinstance(e, ast.Record):
            values = {f.name or "": self.e.evaluate(f.value, self.scope) for f in e.fields}
            return DataSource("inline", e.span, None, values, {f.name or "": f.value.span for f in e.fields})
        name = ast.dotted(e.callee if isinstance(e, ast.Call) else e) or ""
        place = e.callee.span if isinstance(e, ast.Call) else e.span
        if name in SOURCES_NOT_YET:
            raise not_yet(f"the data source `{name}`", place)
        if name not in SOURCES or name == "inline":
            raise fault("E301", f"there is no data source `{name or e.span.text}`", place, help=did_you_mean(name, SOURCES))
        arguments = e.arguments if isinstance(e, ast.Call) else ()
        return self._named_source(name, e, arguments)

    def _named_source(self, name: str, e: ast.Expr, arguments: tuple[ast.Argument, ...]) -> DataSource:
        path = None
        fields, spans = {}, {}
        for a in arguments:
            if a.name is None and name in FILE_SOURCES and path is None and isinstance(a.value, ast.String):
                path = a.value.value
            elif a.name is None:
                raise fault("E104", f"`{name}` does not take this argument", a.span)
            else:
                fields[a.name], spans[a.name] = self.columns(a.value), a.value.span
        if name in FILE_SOURCES and path is None:
            raise fault("E103", f"`{name}` is missing its file", e.span, help=f'write {name}("file.{name}")')
        return DataSource(name, e.span, path, fields, spans)

    def columns(self, e: ast.Expr) -> str | tuple[str, ...]:
        """Names of columns, as words or texts, one or a list."""
        match e:
            case ast.Name():
                return e.id
            case ast.String():
                return e.value
            case ast.List():
                return tuple(str(self.columns(i)) for i in e.items)
        raise not_yet("a formula over the fields of a data source", e.span)
