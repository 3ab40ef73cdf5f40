"""The tree a `.nn` file becomes: frozen dataclasses, each with the span it was written at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nnspec.diagnostics import Span


@dataclass(frozen=True)
class Tree:
    span: Span


# ---- expressions


@dataclass(frozen=True)
class Number(Tree):
    value: int | float


@dataclass(frozen=True)
class String(Tree):
    value: str


@dataclass(frozen=True)
class Boolean(Tree):
    value: bool


@dataclass(frozen=True)
class Name(Tree):
    id: str


@dataclass(frozen=True)
class Unary(Tree):
    operator: str
    operand: Expr


@dataclass(frozen=True)
class Binary(Tree):
    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Conditional(Tree):
    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True)
class Argument(Tree):
    """`value` or `name = value`, in a call, a record or what a scan carries."""

    name: str | None
    value: Expr

    @property
    def name_span(self) -> Span:
        """Where the name stands; the value, if there is none."""
        return Span(self.span.source, self.span.start, self.span.start + len(self.name)) if self.name else self.span


@dataclass(frozen=True)
class Call(Tree):
    callee: Expr
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Slice(Tree):
    start: Expr | None
    stop: Expr | None


@dataclass(frozen=True)
class Subscript(Tree):
    target: Expr
    indices: tuple[Expr, ...]


@dataclass(frozen=True)
class Attribute(Tree):
    target: Expr
    name: str


@dataclass(frozen=True)
class List(Tree):
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Record(Tree):
    fields: tuple[Argument, ...]


@dataclass(frozen=True)
class Repeat(Tree):
    count: Expr
    body: Expr


@dataclass(frozen=True)
class Block(Tree):
    """`{ p }`, a stage written inline."""

    body: Expr


@dataclass(frozen=True)
class Stage(Tree):
    """One step of a pipeline, with the name given by `as`."""

    body: Expr
    label: Name | None


@dataclass(frozen=True)
class Pipe(Tree):
    head: Expr
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Scan(Tree):
    item: Name
    sequence: Expr
    carried: tuple[Argument, ...]
    body: tuple[Statement, ...]


Expr = (
    Number | String | Boolean | Name | Unary | Binary | Conditional | Call | Slice | Subscript | Attribute
    | List | Record | Repeat | Block | Pipe | Scan
)  # fmt: skip


# ---- types


@dataclass(frozen=True)
class Star(Tree):
    """`*s`: any run of dimensions."""

    name: str


@dataclass(frozen=True)
class TypeExpr(Tree):
    """`[1, 28]`, `int[T]`, `class(10)`: `base` is float, int, bool or class."""

    base: str
    classes: Expr | None
    dims: tuple[Expr | Star, ...]


@dataclass(frozen=True)
class Parameter(Tree):
    name: str
    type: TypeExpr | None
    default: Expr | None


@dataclass(frozen=True)
class Signature(Tree):
    """`matmul(x: [*s, m, k], y: [*s, k, n]) -> [*s, m, n]`."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: TypeExpr


# ---- statements


@dataclass(frozen=True)
class Assign(Tree):
    names: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True)
class Update(Tree):
    """`m <- value`."""

    name: Name
    value: Expr


@dataclass(frozen=True)
class ParamDecl(Tree):
    """`param` or `state`: `source` is how it starts (`~` init, `=` value, `from` file)."""

    kind: str
    name: Name
    type: TypeExpr | None
    source: str | None
    start: Expr | None


@dataclass(frozen=True)
class Port(Tree):
    """`input x: T` or `target y: T`."""

    kind: str
    name: Name
    type: TypeExpr


@dataclass(frozen=True)
class Output(Tree):
    items: tuple[tuple[Name, Expr | None], ...]


@dataclass(frozen=True)
class Report(Tree):
    """`loss` or `metric`, with an optional name."""

    kind: str
    name: Name | None
    value: Expr


@dataclass(frozen=True)
class Expect(Tree):
    condition: Expr


@dataclass(frozen=True)
class Share(Tree):
    name: Name
    value: Expr


@dataclass(frozen=True)
class Lookahead(Tree):
    value: Expr


@dataclass(frozen=True)
class Return(Tree):
    value: Expr


@dataclass(frozen=True)
class If(Tree):
    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Given(Tree):
    values: tuple[Argument, ...]


@dataclass(frozen=True)
class Steps(Tree):
    count: Expr
    optimizer: Expr


Statement = (
    Assign | Update | ParamDecl | Port | Output | Report | Expect | Share | Lookahead | Return | If | Given | Steps
)  # fmt: skip


# ---- definitions


@dataclass(frozen=True)
class Import(Tree):
    path: str


@dataclass(frozen=True)
class Let(Tree):
    name: Name
    value: Expr
    doc: str = ""


@dataclass(frozen=True)
class Definition(Tree):
    """A `fn`, `layer`, `model`, `optimizer`, `schedule` or `init`; an `= formula` body is one `Return`.

    `weights` is the file that a model starts from.
    """

    kind: str
    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    returns: TypeExpr | None = None
    doc: str = ""
    weights: String | None = None


@dataclass(frozen=True)
class Setting(Tree):
    """One line of a train block; `origin` is the string of `start from "run"`."""

    name: Name
    values: tuple[Expr, ...]
    origin: str | None = None


@dataclass(frozen=True)
class Train(Tree):
    name: Name | None
    settings: tuple[Setting, ...]
    doc: str = ""


@dataclass(frozen=True)
class Test(Tree):
    title: str
    model: Name
    statements: tuple[Statement, ...]
    doc: str = ""


TopLevel = Import | Let | Definition | Train | Test


@dataclass(frozen=True)
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
