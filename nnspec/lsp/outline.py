"""What a file is made of, for the outline of an editor, and which of its lines fold."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Span
from nnspec.record import dataclass
from nnspec.syntax import ast


@dataclass(frozen=True)
class Entry:
    """A definition, block or named value: `place` is its name in the text, `span` all of it."""

    name: str
    kind: str
    span: Span
    place: Span
    detail: str = ""
    children: tuple[Entry, ...] = ()


def outline(spec: ast.Spec) -> list[Entry]:
    """The definitions and blocks of a file, each with what it declares and names."""
    return [_entry(d) for d in spec.definitions]


def folds(spec: ast.Spec) -> Iterator[tuple[int, int]]:
    """First and last line of what fills several, counted from 1: definitions, blocks, and the braces inside them."""
    for tree in (*spec.definitions, *(s for d in spec.definitions for s in _blocks(d))):
        first, last = tree.span.line, tree.span.source.position(tree.span.end - 1)[0]
        if first < last:
            yield first, last


def _entry(d: ast.TopLevel) -> Entry:
    match d:
        case ast.Import():
            return Entry(d.path, "import", d.span, d.span)
        case ast.Let():
            return Entry(d.name.id, "let", d.span, d.name.span, d.value.span.one_line)
        case ast.Train():
            name = d.name.id if d.name else "train"
            return Entry(name, "train", d.span, d.name.span if d.name else d.span, children=tuple(map(_setting, d.settings)))
        case ast.Test():
            return Entry(d.title, "test", d.span, d.span, f"of {d.model.id}")
    parameters = ", ".join(p.name for p in d.parameters)
    return Entry(d.name.id, d.kind, d.span, d.name.span, f"({parameters})" if parameters else "", tuple(_named(d.body)))


def _setting(s: ast.Setting) -> Entry:
    return Entry(s.name.id, "setting", s.span, s.name.span, Span(s.span.source, s.name.span.end, s.span.end).one_line)


def _named(statements: tuple[ast.Statement, ...]) -> Iterator[Entry]:
    """The values, parameters and ports that statements name, in their order."""
    for s in statements:
        match s:
            case ast.Port() | ast.ParamDecl():
                yield Entry(s.name.id, s.kind, s.span, s.name.span, s.type.span.one_line if s.type else "")
            case ast.Assign():
                yield from (Entry(n.id, "value", s.span, n.span, s.value.span.one_line) for n in s.names)
            case ast.Share():
                yield Entry(s.name.id, "share", s.span, s.name.span, s.value.span.one_line)
            case ast.Output():
                yield from (Entry(n.id, "output", s.span, n.span, v.span.one_line if v else "") for n, v in s.items)
            case ast.Report():
                yield Entry(s.name.id if s.name else s.kind, s.kind, s.span, s.name.span if s.name else s.span, s.value.span.one_line)
            case ast.If():
                yield from _named((*s.then, *s.otherwise))


def _blocks(d: ast.TopLevel) -> Iterator[ast.Statement]:
    """The statements of a definition, those within others too."""
    todo = list(d.body) if isinstance(d, ast.Definition) else []
    while todo:
        s = todo.pop()
        yield s
        if isinstance(s, ast.If):
            todo += [*s.then, *s.otherwise]
