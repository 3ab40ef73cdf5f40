"""Every name of a file, with what it stands for: where it is defined, by which an editor goes there, renames and explains it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from nnspec.diagnostics import Span
from nnspec.record import dataclass
from nnspec.syntax import ast

OF_DATA = ("data", "validation", "test")


@dataclass(frozen=True, eq=False)
class Symbol:
    """What a name stands for, and where that was written; two of one name are two symbols."""

    kind: str
    name: str
    span: Span


@dataclass(frozen=True)
class Occurrence:
    """A name in the text; a symbol of None is of the library, or of nothing."""

    span: Span
    name: str
    symbol: Symbol | None


@dataclass(frozen=True)
class _Called:
    """What stands where a function is due."""

    callee: ast.Expr


@dataclass
class _Block:
    """Names that are known from here inwards."""

    names: dict[str, Symbol]
    outside: _Block | None = None

    def find(self, name: str) -> Symbol | None:
        return self.names.get(name) or (self.outside.find(name) if self.outside else None)


@dataclass
class Names:
    """The occurrences of all names of a file, in the order of the text."""

    spec: ast.Spec
    imported: frozenset[str] = frozenset()
    found: list[Occurrence] = field(default_factory=list)
    definitions: dict[str, Symbol] = field(default_factory=dict)
    blocks: dict[str, _Block] = field(default_factory=dict)
    inner: list[tuple[Span, _Block]] = field(default_factory=list)

    def at(self, offset: int) -> Occurrence | None:
        """The name that stands at a place, or ends there."""
        return min((o for o in self.found if o.span.start <= offset <= o.span.end), key=lambda o: o.span.end - o.span.start, default=None)

    def of(self, symbol: Symbol) -> list[Span]:
        return list(dict.fromkeys(o.span for o in self.found if o.symbol is symbol))

    def free(self, name: str) -> list[Span]:
        """Where a name stands that this file does not define."""
        return [o.span for o in self.found if o.symbol is None and o.name == name]

    def groups(self) -> list[int]:
        """For each name of the file the first place in this list where the same is meant."""
        first: dict[Symbol, int] = {}
        return [first.setdefault(o.symbol, i) for i, o in enumerate(o for o in self.found if o.symbol) if o.symbol]

    def visible(self, offset: int) -> dict[str, Symbol]:
        """The names of the file that can be used at a place, besides its definitions."""
        around = [d for d in self.spec.definitions if isinstance(d, ast.Definition) and d.span.start <= offset]
        blocks = [self.blocks[around[-1].name.id]] if around else []
        blocks += [block for span, block in self.inner if span.start <= offset <= span.end]
        return self.definitions | {name: symbol for block in blocks for name, symbol in block.names.items()}


def names_of(spec: ast.Spec, imported: frozenset[str] = frozenset()) -> Names:
    """All names of a file; what is imported has no symbol here."""
    names = Names(spec, imported)
    file = _Block(names.definitions)
    for d in spec.definitions:
        if isinstance(d, ast.Let | ast.Definition):
            symbol = Symbol(d.kind if isinstance(d, ast.Definition) else "let", d.name.id, d.name.span)
            names.definitions[d.name.id] = symbol
            names.found.append(Occurrence(d.name.span, d.name.id, symbol))
        if isinstance(d, ast.Train) and d.name:
            names.found.append(Occurrence(d.name.span, d.name.id, Symbol("train", d.name.id, d.name.span)))
    models = [d.name.id for d in spec.all("model")]
    for d in spec.definitions:
        if isinstance(d, ast.Definition):
            names.blocks[d.name.id] = _definition(names, d, file)
    for d in spec.definitions:
        match d:
            case ast.Let():
                _walk(names, d.value, file)
            case ast.Train() if models:
                for s in d.settings:
                    _setting(names, s, names.blocks[models[-1]], file)
            case ast.Test():
                _walk(names, d.model, file)
                block = names.blocks.get(d.model.id, file)
                for g in (s for s in d.statements if isinstance(s, ast.Given)):
                    _fields(names, g.values, block)
                _walk(names, d.statements, block)
    names.found.sort(key=lambda o: o.span.start)
    return names


def _definition(names: Names, d: ast.Definition, file: _Block) -> _Block:
    block = names.blocks.setdefault(d.name.id, _Block({}))  # a call may have named its arguments before
    block.outside = file
    for p in d.parameters:
        _bind(names, block, "argument", p.name, _first(p.span, p.name))
        _sizes(names, p.type, block)
        _walk(names, p.default, block)
    for port in (s for s in d.body if isinstance(s, ast.Port)):
        _bind(names, block, port.kind, port.name.id, port.name.span)
        _sizes(names, port.type, block)
    _sizes(names, d.returns, block)
    _statements(names, d.body, block)
    return block


def _statements(names: Names, statements: tuple[ast.Statement, ...], block: _Block) -> None:
    """Binds the names that statements give, in their order, and finds those they use."""
    for s in statements:
        match s:
            case ast.Port():
                pass
            case ast.Assign():
                _walk(names, s.value, block)
                for name in s.names:
                    _bind(names, block, "value", name.id, name.span)
            case ast.ParamDecl():
                _walk(names, (s.type, s.start), block)
                _bind(names, block, s.kind, s.name.id, s.name.span)
            case ast.Share():
                _walk(names, s.value, block)
                _bind(names, block, "share", s.name.id, s.name.span)
            case ast.Output():
                for name, value in s.items:
                    _walk(names, value, block)
                    (_bind(names, block, "output", name.id, name.span) if value else _use(names, block, name.id, name.span))
            case ast.Report():
                _walk(names, s.value, block)
                if s.name:
                    _bind(names, block, s.kind, s.name.id, s.name.span)
            case ast.If():
                _walk(names, s.condition, block)
                _statements(names, s.then, block)
                _statements(names, s.otherwise, block)
            case _:
                _walk(names, s, block)


def _bind(names: Names, block: _Block, kind: str, name: str, span: Span) -> None:
    """A name that is given again is the same symbol."""
    symbol = block.names.setdefault(name, Symbol(kind, name, span))
    names.found.append(Occurrence(span, name, symbol))


def _use(names: Names, block: _Block, name: str, span: Span) -> None:
    names.found.append(Occurrence(span, name, block.find(name)))


def _function(names: Names, name: str, block: _Block) -> Symbol | None:
    """What is called by a name: a stage is a value, which hides no function."""
    symbol = block.find(name)
    return names.definitions.get(name) if symbol and symbol.kind == "stage" else symbol


def _sizes(names: Names, type_: ast.TypeExpr | None, block: _Block) -> None:
    """A size of a declared type that nothing defines is a name of its own."""
    for dim in type_.dims if type_ else ():
        if isinstance(dim, ast.Star):
            _bind(names, block, "sizes", dim.name, Span(dim.span.source, dim.span.end - len(dim.name), dim.span.end))
        elif isinstance(dim, ast.Name) and not block.find(dim.id) and dim.id not in names.imported:
            _bind(names, block, "size", dim.id, dim.span)
        else:
            _walk(names, dim, block)
    if type_ and type_.classes:
        _walk(names, type_.classes, block)


def _setting(names: Names, s: ast.Setting, block: _Block, file: _Block) -> None:
    """Fields of data bear the names of inputs and targets; formulas over them speak of the fields of the source."""
    if s.name.id not in OF_DATA:
        _walk(names, s.values, block)
        return
    _walk(names, s.values, file)
    for value in s.values:
        given = value.fields if isinstance(value, ast.Record) else value.arguments if isinstance(value, ast.Call) else ()
        _fields(names, given, block)


def _fields(names: Names, arguments: tuple[ast.Argument, ...], block: _Block) -> None:
    for a in arguments:
        if a.name and a.name in block.names:
            _use(names, block, a.name, _first(a.span, a.name))


def _walk(names: Names, tree: Any, block: _Block) -> None:
    """The names that a formula uses, and those that its stages give."""
    todo: list[Any] = [tree]
    while todo:
        tree = todo.pop()
        match tree:
            case tuple():
                todo += reversed(tree)
            case ast.Name():
                _use(names, block, tree.id, tree.span)
            case ast.Star():
                _use(names, block, tree.name, Span(tree.span.source, tree.span.end - len(tree.name), tree.span.end))
            case ast.Stage():
                if tree.label:
                    _bind(names, block, "stage", tree.label.id, tree.label.span)
                todo.append(_Called(tree.body))
            case ast.Call():
                _arguments(names, tree, block)
                todo += [*reversed(tree.arguments), _Called(tree.callee)]
            case _Called(callee=ast.Name() as name):
                names.found.append(Occurrence(name.span, name.id, _function(names, name.id, block)))
            case _Called():
                todo.append(tree.callee)
            case ast.Scan():
                _scan(names, tree, block)
            case ast.Tree():
                todo += reversed(tree.pieces)


def _scan(names: Names, scan: ast.Scan, block: _Block) -> None:
    """What is carried, and the element of the step, are names of the braces."""
    _walk(names, (scan.sequence, tuple(c.value for c in scan.carried)), block)
    inner = _Block({}, block)
    names.inner.append((scan.span, inner))
    _bind(names, inner, "element", scan.item.id, scan.item.span)
    for carried in scan.carried:
        assert carried.name
        _bind(names, inner, "carried", carried.name, _first(carried.span, carried.name))
    _statements(names, scan.body, inner)


def _arguments(names: Names, call: ast.Call, block: _Block) -> None:
    """`units = 3` in a call of a definition of this file is a name of that definition."""
    callee = _function(names, call.callee.id, block) if isinstance(call.callee, ast.Name) else None
    definition = next(_definitions_of(names.spec, callee), None)
    for a in call.arguments:
        if a.name and definition:
            parameter = next((p for p in definition.parameters if p.name == a.name), None)
            if parameter:
                place = _first(parameter.span, parameter.name)
                names.found.append(Occurrence(_first(a.span, a.name), a.name, _parameter_symbol(names, definition, parameter.name, place)))


def _definitions_of(spec: ast.Spec, symbol: Symbol | None) -> Iterator[ast.Definition]:
    return (d for d in spec.definitions if isinstance(d, ast.Definition) and symbol is not None and d.name.span == symbol.span)


def _parameter_symbol(names: Names, definition: ast.Definition, name: str, place: Span) -> Symbol:
    """The symbol of a definition's argument, which may be read before the definition is."""
    block = names.blocks.setdefault(definition.name.id, _Block({}))
    return block.names.setdefault(name, Symbol("argument", name, place))


def _first(span: Span, name: str) -> Span:
    """The name at the beginning of a piece of text."""
    return Span(span.source, span.start, span.start + len(name))
