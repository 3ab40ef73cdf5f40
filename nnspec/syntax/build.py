"""Builds the tree while the parser reduces, one method a grammar rule; nothing recurses over the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from nnspec.diagnostics import Source, Span
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.lalr import Token

MOST_DIGITS = 300
"""Of a whole number; a longer one is more than any float, and so infinite."""

Items = list[Any]


@dataclass(frozen=True)
class _Body(ast.Tree):
    """`{ statements }`, braces and all."""

    statements: tuple[ast.Statement, ...]


class Builder:
    """Children come in source order, absent optional parts as None; `offset` is where the text that is parsed begins in the source."""

    def __init__(self, source: Source, offset: int) -> None:
        self.source, self.offset = source, offset

    def by_rule(self, names: Sequence[str]) -> list[Callable[[Items], Any]]:
        """The methods for these rules; `return`, `if` and `import` are words of Python too."""
        return [getattr(self, f"{name}_" if iskeyword(name) else name) for name in names]

    def span(self, items: Items) -> Span:
        """From the first to the last child that has a place."""
        first, last = items[0], items[-1]
        if first is None or isinstance(first, list | tuple):
            first = next(_flat(items, iter))
        if last is None or isinstance(last, list | tuple):
            last = next(_flat(items, reversed))
        return Span(self.source, self._start(first), self._end(last))

    def _start(self, item: Any) -> int:
        return self.offset + item.start_pos if isinstance(item, Token) else item.span.start

    def _end(self, item: Any) -> int:
        return self.offset + item.end_pos if isinstance(item, Token) else item.span.end

    def _name(self, token: Token) -> ast.Name:
        return ast.Name(Span(self.source, self.offset + token.start_pos, self.offset + token.end_pos), str(token))

    # ---- expressions

    def number(self, c: Items) -> ast.Number:
        text = c[0].replace("_", "")
        whole = text.isdigit() and len(text) <= MOST_DIGITS
        return ast.Number(self.span(c), int(text) if whole else float(text))

    def string(self, c: Items) -> ast.String:
        return ast.String(self.span(c), c[0][1:-1])

    def boolean(self, c: Items) -> ast.Boolean:
        return ast.Boolean(self.span(c), c[0] == "true")

    def name(self, c: Items) -> ast.Name:
        return self._name(c[0])

    def group(self, c: Items) -> ast.Expr:
        inner: ast.Expr = replace(c[1], span=self.span(c))
        return inner

    def unary(self, c: Items) -> ast.Unary:
        return ast.Unary(self.span(c), str(c[0]), c[1])

    def binary(self, c: Items) -> ast.Binary:
        return ast.Binary(self.span(c), str(c[1]), c[0], c[2])

    def conditional(self, c: Items) -> ast.Conditional:
        return ast.Conditional(self.span(c), c[1], c[3], c[5])

    def argument(self, c: Items) -> ast.Argument:
        return ast.Argument(self.span(c), str(c[0]) if c[0] else None, c[2])

    def named(self, c: Items) -> ast.Argument:
        return ast.Argument(self.span(c), str(c[0]), c[2])

    carried = named

    def arguments(self, c: Items) -> Items:
        return _only(c, ast.Argument)

    def call(self, c: Items) -> ast.Call:
        return ast.Call(self.span(c), c[0], tuple(c[2] or ()))

    def slice(self, c: Items) -> ast.Slice:
        return ast.Slice(self.span(c), c[0], c[2])

    def subscript(self, c: Items) -> ast.Subscript:
        return ast.Subscript(self.span(c), c[0], tuple(_trees(c[1:])))

    def attribute(self, c: Items) -> ast.Attribute:
        return ast.Attribute(self.span(c), c[0], str(c[2]))

    def list(self, c: Items) -> ast.List:
        return ast.List(self.span(c), tuple(_trees(c)))

    def record(self, c: Items) -> ast.Record:
        return ast.Record(self.span(c), tuple(_trees(c)))

    def repeat(self, c: Items) -> ast.Repeat:
        return ast.Repeat(self.span(c), c[2], c[4].body)

    def block(self, c: Items) -> ast.Block:
        return ast.Block(self.span(c), c[1])

    def stage(self, c: Items) -> ast.Stage:
        return ast.Stage(self.span(c), c[0], self._name(c[2]) if c[2] else None)

    def pipe(self, c: Items) -> ast.Pipe:
        return ast.Pipe(self.span(c), c[0], tuple(_only(c, ast.Stage)))

    def scan(self, c: Items) -> ast.Scan:
        return ast.Scan(self.span(c), self._name(c[1]), c[3], tuple(_only(c, ast.Argument)), c[-2])

    # ---- types

    def type(self, c: Items) -> ast.TypeExpr:
        base = str(c[0]) if c[0] else "float"
        bracket = next((i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "LSQB"), len(c))
        classes = next(iter(_trees(c[:bracket])), None)
        return ast.TypeExpr(self.span(c), base, classes, tuple(_trees(c[bracket:])))

    def star(self, c: Items) -> ast.Star:
        return ast.Star(self.span(c), str(c[1]))

    def parameter(self, c: Items) -> ast.Parameter:
        return ast.Parameter(self.span(c), str(c[0]), c[2], c[4])

    def parameters(self, c: Items) -> Items:
        return _only(c, ast.Parameter)

    def signature(self, c: Items) -> ast.Signature:
        return ast.Signature(self.span(c), str(c[0]), tuple(c[2] or ()), c[5])

    # ---- statements

    def body(self, c: Items) -> _Body:
        return _Body(self.span(c), c[1])

    def statements(self, c: Items) -> tuple[ast.Statement, ...]:
        return tuple(c)

    def assign(self, c: Items) -> ast.Assign:
        names = tuple(self._name(t) for t in c[:-1] if t.type == "NAME")
        return ast.Assign(self.span(c), names, c[-1])

    def update(self, c: Items) -> ast.Update:
        return ast.Update(self.span(c), self._name(c[0]), c[2])

    def param_source(self, c: Items) -> Items:
        return c

    def param(self, c: Items) -> ast.ParamDecl:
        sign, start = c[4] or (None, None)
        if isinstance(start, Token):
            start = self.string([start])
        return ast.ParamDecl(self.span(c), "param", self._name(c[1]), c[3], str(sign) if sign else None, start)

    def state(self, c: Items) -> ast.ParamDecl:
        return ast.ParamDecl(self.span(c), "state", self._name(c[1]), c[3], "=" if c[5] else None, c[5])

    def input(self, c: Items) -> ast.Port:
        return ast.Port(self.span(c), str(c[0]), self._name(c[1]), c[3])

    target = input

    def output_item(self, c: Items) -> tuple[ast.Name, Any]:
        return self._name(c[0]), c[2]

    def output(self, c: Items) -> ast.Output:
        return ast.Output(self.span(c), tuple(i for i in c if isinstance(i, tuple)))

    def loss(self, c: Items) -> ast.Report:
        return ast.Report(self.span(c), str(c[0]), self._name(c[1]) if c[1] else None, c[3])

    metric = loss

    def expect(self, c: Items) -> ast.Expect:
        return ast.Expect(self.span(c), c[1])

    def share(self, c: Items) -> ast.Share:
        return ast.Share(self.span(c), self._name(c[1]), c[3])

    def lookahead(self, c: Items) -> ast.Lookahead:
        return ast.Lookahead(self.span(c), c[1])

    def return_(self, c: Items) -> ast.Return:
        return ast.Return(self.span(c), c[1])

    def if_(self, c: Items) -> ast.If:
        otherwise = c[4].statements if isinstance(c[4], _Body) else (c[4],) if c[4] else ()
        return ast.If(self.span(c), c[1], c[2].statements, otherwise)

    def given(self, c: Items) -> ast.Given:
        return ast.Given(self.span(c), tuple(_trees(c)))

    def steps(self, c: Items) -> ast.Steps:
        return ast.Steps(self.span(c), c[1], c[3])

    # ---- definitions

    def import_(self, c: Items) -> ast.Import:
        return ast.Import(self.span(c), c[1][1:-1])

    def let(self, c: Items) -> ast.Let:
        return ast.Let(self.span(c), self._name(c[1]), c[3], self._doc(c))

    def function(self, c: Items) -> ast.Definition:
        returns = next((x for x in c if isinstance(x, ast.TypeExpr)), None)
        return ast.Definition(self.span(c), str(c[0]), self._name(c[1]), _parameters(c), _body(c[-1]), returns, self._doc(c))

    def model(self, c: Items) -> ast.Definition:
        weights = next((self.string([x]) for x in c if isinstance(x, Token) and x.type == "STRING"), None)
        return ast.Definition(self.span(c), str(c[0]), self._name(c[1]), _parameters(c), _body(c[-1]), None, self._doc(c), weights)

    optimizer = schedule = init = model

    def train(self, c: Items) -> ast.Train:
        return ast.Train(self.span(c), self._name(c[1]) if c[1] else None, tuple(_only(c, ast.Setting)), self._doc(c))

    def setting_name(self, c: Items) -> ast.Name:
        return self._name(c[0])

    def setting(self, c: Items) -> ast.Setting:
        if isinstance(c[0], Token):
            return ast.Setting(self.span(c), self._name(c[0]), (), c[2][1:-1])
        return ast.Setting(self.span(c), c[0], tuple(_trees(c[1:])))

    def test(self, c: Items) -> ast.Test:
        return ast.Test(self.span(c), c[1][1:-1], self._name(c[3]), tuple(_trees(c)), self._doc(c))

    def header(self, c: Items) -> Token:
        version: Token = c[1]
        return version

    def start(self, c: Items) -> ast.Spec:
        version = 1 if c[0] is None else int(c[0]) if c[0].isdigit() else 0
        return ast.Spec(Span(self.source, self.offset, len(self.source.text)), version, tuple(_trees(c)))

    def _doc(self, c: Items) -> str:
        """The block of comment lines right above a definition."""
        above = self.source.position(self._start(c[0]))[0] - 1
        lines: list[str] = []
        while above and (line := self.source.line(above).strip()).startswith("#"):
            lines.append(line.lstrip("#").strip())
            above -= 1
        return "\n".join(reversed(lines))


def _trees(items: Items) -> list[Any]:
    return [i for i in items if isinstance(i, ast.Tree)]


def _only(items: Items, kind: type) -> list[Any]:
    return [i for i in items if isinstance(i, kind)]


def _parameters(items: Items) -> tuple[ast.Parameter, ...]:
    return tuple(next((i for i in items if isinstance(i, list)), ()))


def _body(item: Any) -> tuple[ast.Statement, ...]:
    """A block as it stands; a formula as the one `return` it means."""
    return item.statements if isinstance(item, _Body) else (ast.Return(item.span, item),)


def _flat(items: Items, order: Callable[[Items], Iterator[Any]]) -> Iterator[Any]:
    """The children that have a place, those of groups too, from the first or from the last on."""
    for item in order(items):
        if isinstance(item, list | tuple):
            yield from _flat(item, order)  # type: ignore[arg-type]
        elif item is not None:
            yield item
