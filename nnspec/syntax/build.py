"""Builds the tree while the parser reduces, one method a grammar rule; nothing recurses over the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from nnspec.diagnostics import Source, Span
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.lalr import Token
from nnspec.syntax.tables import CALLBACKS

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

    def __call__(self, callback: int, children: Items, start: int, end: int) -> Any:
        """What the method for the rule of that callback makes of its children."""
        return _METHODS[callback](self, children, Span(self.source, self.offset + start, self.offset + end))

    def _place(self, token: Token) -> Span:
        return Span(self.source, self.offset + token.start_pos, self.offset + token.end_pos)

    def _name(self, token: Token) -> ast.Name:
        return ast.Name(self._place(token), str(token))

    def _string(self, token: Token) -> ast.String:
        return ast.String(self._place(token), token[1:-1])

    # ---- expressions

    def number(self, c: Items, at: Span) -> ast.Number:
        text = c[0].replace("_", "")
        whole = text.isdigit() and len(text) <= MOST_DIGITS
        return ast.Number(at, int(text) if whole else float(text))

    def string(self, c: Items, at: Span) -> ast.String:
        return self._string(c[0])

    def boolean(self, c: Items, at: Span) -> ast.Boolean:
        return ast.Boolean(at, c[0] == "true")

    def name(self, c: Items, at: Span) -> ast.Name:
        return ast.Name(at, str(c[0]))

    def group(self, c: Items, at: Span) -> ast.Expr:
        inner: ast.Expr = replace(c[1], span=at)
        return inner

    def unary(self, c: Items, at: Span) -> ast.Unary:
        return ast.Unary(at, str(c[0]), c[1])

    def binary(self, c: Items, at: Span) -> ast.Binary:
        return ast.Binary(at, str(c[1]), c[0], c[2])

    def conditional(self, c: Items, at: Span) -> ast.Conditional:
        return ast.Conditional(at, c[1], c[3], c[5])

    def argument(self, c: Items, at: Span) -> ast.Argument:
        return ast.Argument(at, str(c[0]) if c[0] else None, c[2])

    def named(self, c: Items, at: Span) -> ast.Argument:
        return ast.Argument(at, str(c[0]), c[2])

    carried = named

    def arguments(self, c: Items, at: Span) -> Items:
        return _only(c, ast.Argument)

    def call(self, c: Items, at: Span) -> ast.Call:
        return ast.Call(at, c[0], tuple(c[2] or ()))

    def slice(self, c: Items, at: Span) -> ast.Slice:
        return ast.Slice(at, c[0], c[2])

    def subscript(self, c: Items, at: Span) -> ast.Subscript:
        return ast.Subscript(at, c[0], tuple(_trees(c[1:])))

    def attribute(self, c: Items, at: Span) -> ast.Attribute:
        return ast.Attribute(at, c[0], str(c[2]))

    def list(self, c: Items, at: Span) -> ast.List:
        return ast.List(at, tuple(_trees(c)))

    def record(self, c: Items, at: Span) -> ast.Record:
        return ast.Record(at, tuple(_trees(c)))

    def repeat(self, c: Items, at: Span) -> ast.Repeat:
        return ast.Repeat(at, c[2], c[4].body)

    def block(self, c: Items, at: Span) -> ast.Block:
        return ast.Block(at, c[1])

    def stage(self, c: Items, at: Span) -> ast.Stage:
        return ast.Stage(at, c[0], self._name(c[2]) if c[2] else None)

    def pipe(self, c: Items, at: Span) -> ast.Pipe:
        return ast.Pipe(at, c[0], tuple(_only(c, ast.Stage)))

    def scan(self, c: Items, at: Span) -> ast.Scan:
        return ast.Scan(at, self._name(c[1]), c[3], tuple(_only(c, ast.Argument)), c[-2])

    # ---- types

    def type(self, c: Items, at: Span) -> ast.TypeExpr:
        base = str(c[0]) if c[0] else "float"
        bracket = next((i for i, x in enumerate(c) if isinstance(x, Token) and x.type == "LSQB"), len(c))
        classes = next(iter(_trees(c[:bracket])), None)
        return ast.TypeExpr(at, base, classes, tuple(_trees(c[bracket:])))

    def star(self, c: Items, at: Span) -> ast.Star:
        return ast.Star(at, str(c[1]))

    def parameter(self, c: Items, at: Span) -> ast.Parameter:
        return ast.Parameter(at, str(c[0]), c[2], c[4])

    def parameters(self, c: Items, at: Span) -> Items:
        return _only(c, ast.Parameter)

    def signature(self, c: Items, at: Span) -> ast.Signature:
        return ast.Signature(at, str(c[0]), tuple(c[2] or ()), c[5])

    # ---- statements

    def body(self, c: Items, at: Span) -> _Body:
        return _Body(at, c[1])

    def statements(self, c: Items, at: Span) -> tuple[ast.Statement, ...]:
        return tuple(c)

    def assign(self, c: Items, at: Span) -> ast.Assign:
        names = tuple(self._name(t) for t in c[:-1] if t.type == "NAME")
        return ast.Assign(at, names, c[-1])

    def update(self, c: Items, at: Span) -> ast.Update:
        return ast.Update(at, self._name(c[0]), c[2])

    def param_source(self, c: Items, at: Span) -> Items:
        return c

    def param(self, c: Items, at: Span) -> ast.ParamDecl:
        sign, start = c[4] or (None, None)
        if isinstance(start, Token):
            start = self._string(start)
        return ast.ParamDecl(at, "param", self._name(c[1]), c[3], str(sign) if sign else None, start)

    def state(self, c: Items, at: Span) -> ast.ParamDecl:
        return ast.ParamDecl(at, "state", self._name(c[1]), c[3], "=" if c[5] else None, c[5])

    def input(self, c: Items, at: Span) -> ast.Port:
        return ast.Port(at, str(c[0]), self._name(c[1]), c[3])

    target = input

    def output_item(self, c: Items, at: Span) -> tuple[ast.Name, Any]:
        return self._name(c[0]), c[2]

    def output(self, c: Items, at: Span) -> ast.Output:
        return ast.Output(at, tuple(i for i in c if isinstance(i, tuple)))

    def loss(self, c: Items, at: Span) -> ast.Report:
        return ast.Report(at, str(c[0]), self._name(c[1]) if c[1] else None, c[3])

    metric = loss

    def expect(self, c: Items, at: Span) -> ast.Expect:
        return ast.Expect(at, c[1])

    def share(self, c: Items, at: Span) -> ast.Share:
        return ast.Share(at, self._name(c[1]), c[3])

    def lookahead(self, c: Items, at: Span) -> ast.Lookahead:
        return ast.Lookahead(at, c[1])

    def return_(self, c: Items, at: Span) -> ast.Return:
        return ast.Return(at, c[1])

    def if_(self, c: Items, at: Span) -> ast.If:
        otherwise = c[4].statements if isinstance(c[4], _Body) else (c[4],) if c[4] else ()
        return ast.If(at, c[1], c[2].statements, otherwise)

    def given(self, c: Items, at: Span) -> ast.Given:
        return ast.Given(at, tuple(_trees(c)))

    def steps(self, c: Items, at: Span) -> ast.Steps:
        return ast.Steps(at, c[1], c[3])

    # ---- definitions

    def import_(self, c: Items, at: Span) -> ast.Import:
        return ast.Import(at, c[1][1:-1])

    def let(self, c: Items, at: Span) -> ast.Let:
        return ast.Let(at, self._name(c[1]), c[3], self._doc(at))

    def function(self, c: Items, at: Span) -> ast.Definition:
        returns = next((x for x in c if isinstance(x, ast.TypeExpr)), None)
        return ast.Definition(at, str(c[0]), self._name(c[1]), _parameters(c), _body(c[-1]), returns, self._doc(at))

    def model(self, c: Items, at: Span) -> ast.Definition:
        weights = next((self._string(x) for x in c if isinstance(x, Token) and x.type == "STRING"), None)
        return ast.Definition(at, str(c[0]), self._name(c[1]), _parameters(c), _body(c[-1]), None, self._doc(at), weights)

    optimizer = schedule = init = model

    def train(self, c: Items, at: Span) -> ast.Train:
        return ast.Train(at, self._name(c[1]) if c[1] else None, tuple(_only(c, ast.Setting)), self._doc(at))

    setting_name = name

    def setting(self, c: Items, at: Span) -> ast.Setting:
        if isinstance(c[0], Token):
            return ast.Setting(at, self._name(c[0]), (), c[2][1:-1])
        return ast.Setting(at, c[0], tuple(_trees(c[1:])))

    def test(self, c: Items, at: Span) -> ast.Test:
        return ast.Test(at, c[1][1:-1], self._name(c[3]), tuple(_trees(c)), self._doc(at))

    def header(self, c: Items, at: Span) -> Token:
        version: Token = c[1]
        return version

    def start(self, c: Items, at: Span) -> ast.Spec:
        version = 1 if c[0] is None else int(c[0]) if c[0].isdigit() else 0
        return ast.Spec(Span(self.source, self.offset, len(self.source.text)), version, tuple(_trees(c)))

    def _doc(self, definition: Span) -> str:
        """The block of comment lines right above a definition."""
        above = definition.line - 1
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


_METHODS: list[Callable[..., Any]] = [getattr(Builder, f"{name}_" if iskeyword(name) else name) for name in CALLBACKS]
"""By the numbers of their callbacks; `return`, `if` and `import` are words of Python too."""
