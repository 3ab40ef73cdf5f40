"""The tree a `.nn` file becomes: frozen dataclasses, each with the span it was written at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from nnspec.diagnostics import Span
from nnspec.record import dataclass


@dataclass(frozen=True, eq=False, repr=False)
class Tree:
    """A piece of the source, at its place."""

    span: Span

    @property
    def pieces(self) -> list[Any]:
        """What it is made of, in the order of the text."""
        return [getattr(self, f.name) for f in fields(self) if f.name != "span"]


# ---- expressions


@dataclass(frozen=True, eq=False, repr=False)
class Number(Tree):
    """`3`, `1e-3`."""

    value: int | float


@dataclass(frozen=True, eq=False, repr=False)
class String(Tree):
    """`"text"`."""

    value: str


@dataclass(frozen=True, eq=False, repr=False)
class Boolean(Tree):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, eq=False, repr=False)
class Name(Tree):
    """`x`."""

    id: str


@dataclass(frozen=True, eq=False, repr=False)
class Unary(Tree):
    """`-x`, `not x`."""

    operator: str
    operand: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Tree):
    """`x + y`, and every other operator between two values."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Conditional(Tree):
    """`if c then a else b`."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Argument(Tree):
    """`value` or `name = value`, in a call, a record or what a scan carries."""

    name: str | None
    value: Expr

    @property
    def name_span(self) -> Span:
        """Where the name stands; the value, if there is none."""
        return Span(self.span.source, self.span.start, self.span.start + len(self.name)) if self.name else self.span


@dataclass(frozen=True, eq=False, repr=False)
class Call(Tree):
    """`f(a, b = 1)`."""

    callee: Expr
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Slice(Tree):
    """`1:3`, between the brackets of an index."""

    start: Expr | None
    stop: Expr | None


@dataclass(frozen=True, eq=False, repr=False)
class Subscript(Tree):
    """`x[i, j]`."""

    target: Expr
    indices: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Attribute(Tree):
    """`enc.W`."""

    target: Expr
    name: str


@dataclass(frozen=True, eq=False, repr=False)
class List(Tree):
    """`[a, b]`: a list, or the branches of a pipeline."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Record(Tree):
    """`{ x = 1, y = 2 }`."""

    fields: tuple[Argument, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Tree):
    """`repeat(n) { p }`."""

    count: Expr
    body: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Block(Tree):
    """`{ p }`, a stage written inline."""

    body: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Stage(Tree):
    """One step of a pipeline, with the name given by `as`."""

    body: Expr
    label: Name | None


@dataclass(frozen=True, eq=False, repr=False)
class Pipe(Tree):
    """`x -> f -> g`."""

    head: Expr
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Scan(Tree):
    """`scan x_t in x with h = h0 { ... }`."""

    item: Name
    sequence: Expr
    carried: tuple[Argument, ...]
    body: tuple[Statement, ...]


Expr = (
    Number | String | Boolean | Name | Unary | Binary | Conditional | Call | Slice | Subscript | Attribute
    | List | Record | Repeat | Block | Pipe | Scan
)  # fmt: skip


# ---- types


@dataclass(frozen=True, eq=False, repr=False)
class Star(Tree):
    """`*s`: any run of dimensions."""

    name: str


@dataclass(frozen=True, eq=False, repr=False)
class TypeExpr(Tree):
    """`[1, 28]`, `int[T]`, `class(10)`: `base` is float, int, bool or class."""

    base: str
    classes: Expr | None
    dims: tuple[Expr | Star, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Parameter(Tree):
    """`x: [n] = 0`, in a definition."""

    name: str
    type: TypeExpr | None
    default: Expr | None


@dataclass(frozen=True, eq=False, repr=False)
class Signature(Tree):
    """`matmul(x: [*s, m, k], y: [*s, k, n]) -> [*s, m, n]`."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: TypeExpr


# ---- statements


@dataclass(frozen=True, eq=False, repr=False)
class Assign(Tree):
    """`y = value`, `a, b = value`."""

    names: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Update(Tree):
    """`m <- value`."""

    name: Name
    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class ParamDecl(Tree):
    """`param` or `state`: `source` is how it starts (`~` init, `=` value, `from` file)."""

    kind: str
    name: Name
    type: TypeExpr | None
    source: str | None
    start: Expr | None


@dataclass(frozen=True, eq=False, repr=False)
class Port(Tree):
    """`input x: T` or `target y: T`."""

    kind: str
    name: Name
    type: TypeExpr


@dataclass(frozen=True, eq=False, repr=False)
class Output(Tree):
    """`output y, z = value`."""

    items: tuple[tuple[Name, Expr | None], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Report(Tree):
    """`loss` or `metric`, with an optional name."""

    kind: str
    name: Name | None
    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Expect(Tree):
    """`expect condition`."""

    condition: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Share(Tree):
    """`share enc = pipeline`."""

    name: Name
    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Lookahead(Tree):
    """`lookahead w + v`."""

    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class Return(Tree):
    """`return value`; the formula of a definition too."""

    value: Expr


@dataclass(frozen=True, eq=False, repr=False)
class If(Tree):
    """`if condition { ... } else { ... }`."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Given(Tree):
    """`given x = 1, y = 2`."""

    values: tuple[Argument, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Steps(Tree):
    """`steps 1 with sgd(lr = 0.5)`."""

    count: Expr
    optimizer: Expr


Statement = (
    Assign | Update | ParamDecl | Port | Output | Report | Expect | Share | Lookahead | Return | If | Given | Steps
)  # fmt: skip


# ---- definitions


@dataclass(frozen=True, eq=False, repr=False)
class Import(Tree):
    """`import "blocks.nn"`."""

    path: str


@dataclass(frozen=True, eq=False, repr=False)
class Let(Tree):
    """`let width = 64`."""

    name: Name
    value: Expr
    doc: str = ""


KINDS = ("fn", "layer", "model", "init", "optimizer", "schedule")
"""Of definitions, in the order in which a name stands for one in a formula."""


@dataclass(frozen=True, eq=False, repr=False)
class Definition(Tree):
    """One of the `KINDS`; an `= formula` body is one `Return`.

    `weights` is the file that a model starts from.
    """

    kind: str
    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    returns: TypeExpr | None = None
    doc: str = ""
    weights: String | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Setting(Tree):
    """One line of a train block; `origin` is the string of `start from "run"`."""

    name: Name
    values: tuple[Expr, ...]
    origin: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Train(Tree):
    """`train { ... }`, perhaps with a name."""

    name: Name | None
    settings: tuple[Setting, ...]
    doc: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Test(Tree):
    """`test "title" of Model { ... }`."""

    title: str
    model: Name
    statements: tuple[Statement, ...]
    doc: str = ""


TopLevel = Import | Let | Definition | Train | Test


@dataclass(frozen=True, eq=False, repr=False)
class Spec(Tree):
    """A whole file; `lost` are the names that statements with a mistake of syntax may have defined."""

    version: int
    definitions: tuple[TopLevel, ...]
    lost: frozenset[str] = frozenset()

    def all(self, kind: str) -> Iterator[Definition]:
        return (d for d in self.definitions if isinstance(d, Definition) and d.kind == kind)


def dotted(e: Expr) -> str | None:
    """`nn.ReLU` as text for a name or a chain of attributes, else None."""
    if isinstance(e, Name):
        return e.id
    if isinstance(e, Attribute):
        base = dotted(e.target)
        return f"{base}.{e.name}" if base else None
    return None


def called(e: Expr) -> tuple[Expr, tuple[Argument, ...]]:
    """What is called, and with what; where nothing is, the expression itself."""
    return (e.callee, e.arguments) if isinstance(e, Call) else (e, ())
