"""Where examples come from: the `data` line of a train block, read and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Any, ClassVar

from nnspec.diagnostics import Fix, Span, did_you_mean, fault, instead, meant
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.fields import Formula, names_in
from nnspec.elaborate.folding import folded
from nnspec.elaborate.foreign import is_safe, nearest
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import describe, is_number
from nnspec.elaborate.vocabulary import OF_SOURCES
from nnspec.record import dataclass
from nnspec.syntax import ast

Column = str | Formula
MOST = 10_000_000


@dataclass(frozen=True)
class Option:
    """An argument of a source that is no field: a whole or any number of at least `least`, or one `among` a few; `default` where it may be
    left out.
    """

    default: int | float | None = None
    whole: bool = True
    least: int = 1
    required: bool = False
    among: tuple[int, ...] = ()

    def fits(self, value: Any) -> bool:
        if self.among:
            return is_number(value) and value in self.among
        return is_number(value) and self.least <= value <= MOST and (not self.whole or float(value).is_integer())

    @property
    def expected(self) -> str:
        if self.among:
            return " or ".join(map(str, self.among))
        return f"a {'whole ' if self.whole else ''}number from {self.least} to {MOST:,}"


@dataclass(frozen=True)
class Named:
    """An argument that names a column."""

    default: ClassVar[None] = None
    required: ClassVar[bool] = True


@dataclass(frozen=True)
class Pair:
    """An argument of two whole numbers, `[vertical, horizontal]`."""

    default: ClassVar[None] = None
    required: ClassVar[bool] = False

    def fits(self, value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == 2 and all(Option().fits(v) for v in value)


@dataclass(frozen=True)
class Word:
    """An argument that is one of some words, and is always said by name."""

    words: tuple[str, ...]
    default: ClassVar[None] = None
    required: ClassVar[bool] = False


@dataclass(frozen=True)
class Kind:
    """How a source is called: an example of its path, if it has one, and its options in order."""

    path: str = ""
    options: Mapping[str, Option | Named | Pair | Word] = field(default_factory=dict)


_POINTS = {"n": Option(1000, least=10), "noise": Option(0.1, whole=False, least=0)}
_TABLE = {"missing": Word(("drop", "mean"))}
SOURCES: dict[str, Kind] = {
    "digits": Kind(),
    "iris": Kind(),
    "wine": Kind(),
    "breast_cancer": Kind(),
    "diabetes": Kind(),
    "mnist": Kind(),
    "fashion_mnist": Kind(),
    "xor": Kind(),
    "moons": Kind(options=_POINTS),
    "circles": Kind(options=_POINTS),
    "spirals": Kind(options={**_POINTS, "turns": Option(1.5, whole=False, least=0)}),
    "csv": Kind("data.csv", _TABLE),
    "npy": Kind("data.npy", _TABLE),
    "npz": Kind("data.npz", _TABLE),
    "parquet": Kind("data.parquet", _TABLE),
    "images": Kind("folder/", {"size": Pair(), "channels": Option(among=(1, 3))}),
    "text": Kind("data.txt", {"window": Option(required=True), "stride": Option()}),
    "series": Kind("data.csv", {"column": Named(), "window": Option(required=True), "horizon": Option(1)}),
}
"""Every source but the values written in braces, which are called `inline`."""


@dataclass(frozen=True)
class DataSource:
    """Where examples come from.

    `name` is one of SOURCES, or `inline`. `path` is the file of those that read one. `fields` say, for an input or target, the column
    or formula it is made of (or a tuple of them), or, for `inline`, its values as nested tuples. `options` are the other arguments,
    with the values that were left out. `spans` place each field.
    """

    name: str
    span: Span
    path: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def reads_as(self, other: DataSource | None) -> bool:
        """Whether both are the same file or data set."""
        return other is not None and (self.name, self.path) == (other.name, other.path)


class SourceReader:
    """Reads the sources of one train block."""

    def __init__(self, e: Elaborator, scope: Scope) -> None:
        self.e, self.scope = e, scope

    def read(self, e: ast.Expr) -> DataSource:
        if isinstance(e, ast.Record):
            values = {f.name or "": folded(self.e.evaluate(f.value, self.scope)) for f in e.fields}
            return DataSource("inline", e.span, None, values, {f.name or "": f.value.span for f in e.fields})
        callee, arguments = ast.called(e)
        name, place = ast.dotted(callee) or "", callee.span
        if name not in SOURCES:
            raise fault("E301", f"there is no data source `{name or e.span.text}`", place, **(_file(e) or meant(name, SOURCES, place)))
        return _Call(self, name, e.span).read(arguments)

    def text(self, e: ast.Expr) -> str:
        """A text as it is written, or that of a `let`; an empty one for anything else."""
        if isinstance(e, ast.Name) and e.id in self.scope.all_names():
            value = self.e.evaluate(e, self.scope)
            return value if isinstance(value, str) else ""
        return e.value if isinstance(e, ast.String) else ""

    def column(self, e: ast.Expr) -> str:
        if isinstance(e, ast.Name | ast.String):
            return e.id if isinstance(e, ast.Name) else e.value
        raise fault("E106", "a column is named by a word or a text", e.span)

    def columns(self, e: ast.Expr) -> Column | tuple[Column, ...]:
        """What an input or target is made of: a column or formula, or a list of them side by side."""
        if not isinstance(e, ast.List):
            return self.made(e)
        return tuple(self.made(i) for i in e.items)

    def made(self, e: ast.Expr) -> Column:
        if isinstance(e, ast.Name | ast.String):
            return self.column(e)
        if not names_in(e, texts=True):
            raise fault("E106", "an input or target is made of columns, and this names none", e.span)
        return Formula(e, self.e.definitions, self.scope)

    def option(self, option: Option | Named | Pair | Word, name: str, e: ast.Expr) -> int | float | str | tuple[int, int]:
        if isinstance(option, Named):
            return self.column(e)
        if isinstance(option, Word):
            return self.word(option, name, e)
        value = self.e.evaluate(e, self.scope)
        if isinstance(option, Pair):
            if not option.fits(value):
                raise fault("E106", f"`{name}` is two whole numbers, [height, width], not {describe(value)}", e.span)
            return int(value[0]), int(value[1])
        if not option.fits(value):
            raise fault("E106", f"`{name}` is {option.expected}, not {describe(value)}", e.span)
        return int(value) if option.whole else float(value)

    def word(self, option: Word, name: str, e: ast.Expr) -> str:
        said = e.id if isinstance(e, ast.Name) else e.value if isinstance(e, ast.String) else ""
        if isinstance(e, ast.Name) and said in option.words:
            return said
        guess = nearest(said, option.words)
        help_ = instead(guess, e.span, f"write `{name} = {option.words[0]}`", safe=bool(guess and is_safe(said, guess)))
        raise fault("E106", f"`{name}` is {' or '.join(f'`{word}`' for word in option.words)}", e.span, **help_)


def check_field(source: DataSource, name: str, ports: Collection[str]) -> None:
    """What a source makes a field for has to be an input or target of the model."""
    if name not in ports:
        known = f"they are {', '.join(f'`{p}`' for p in ports)}"
        help_ = OF_SOURCES.get(name) or did_you_mean(name, [*ports, *source.options]) or known
        raise fault("E307", f"the model has no input or target `{name}`", source.spans.get(name, source.span), help=help_)


def _file(e: ast.Expr) -> dict[str, Any]:
    """Help and fix for a file that stands where its source is due."""
    path = e.span.text.strip('"')
    kind = path.rpartition(".")[2]
    if isinstance(e, ast.Call) or kind not in SOURCES or not SOURCES[kind].path:
        return {"help": 'a file is read by its source: `csv("FILE")`'} if isinstance(e, ast.String) else {}
    return {"help": f'write `{kind}("{path}")`', "fix": Fix(e.span, f'{kind}("{path}")')}


class _Call:
    """The arguments of one source: its path, its options by order or name, and a field for each other name."""

    def __init__(self, reader: SourceReader, name: str, span: Span) -> None:
        self.reader, self.name, self.span, self.kind = reader, name, span, SOURCES[name]
        self.path: str | None = None
        self.fields: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.spans: dict[str, Span] = {}

    def read(self, arguments: tuple[ast.Argument, ...]) -> DataSource:
        for a in arguments:
            self.argument(a)
        if self.kind.path and self.path is None:
            what = "folder" if self.kind.path.endswith("/") else "file"
            raise fault("E103", f"`{self.name}` is missing its {what}", self.span, help=f'write {self.name}("{self.kind.path}")')
        missing = [name for name, option in self.kind.options.items() if option.required and name not in self.options]
        if missing:
            words = ", ".join(self.kind.options)
            raise fault("E103", f"`{self.name}` is missing `{missing[0]}`", self.span, help=f"after its file it takes {words}")
        options = {name: self.options.get(name, option.default) for name, option in self.kind.options.items()}
        return DataSource(self.name, self.span, self.path, self.fields, self.spans, options)

    def argument(self, a: ast.Argument) -> None:
        if a.name is None and self.kind.path and self.path is None and (path := self.reader.text(a.value)):
            self.path = path
            return
        name = a.name or next((o for o, kind in self.kind.options.items() if o not in self.spans and not isinstance(kind, Word)), None)
        if name is None or self.is_path(a):
            raise fault("E104", f"`{self.name}` does not take this argument", a.span, **self.in_quotes(a))
        if name in self.spans:
            raise fault("E104", f"`{self.name}` gets `{name}` twice", a.span, notes=((self.spans[name], "first here"),))
        self.spans[name] = a.value.span
        if name in self.kind.options:
            self.options[name] = self.reader.option(self.kind.options[name], name, a.value)
        elif name in OF_SOURCES and a.name_span and not names_in(a.value, texts=True):
            raise fault("E102", f"`{self.name}` has no argument `{name}`", a.name_span, help=OF_SOURCES[name])
        elif self.kind.options.keys() - _TABLE and not isinstance(a.value, ast.String) and not names_in(a.value):
            known = f"its arguments are {', '.join(self.kind.options)}"
            more = meant(name, self.kind.options, a.name_span, known)
            raise fault("E102", f"`{self.name}` has no argument `{name}`", a.name_span, **more)
        else:
            self.fields[name] = self.reader.columns(a.value)

    def is_path(self, a: ast.Argument) -> bool:
        """Whether it can be nothing but the path, without its quotes."""
        return a.name is None and bool(self.kind.path) and self.path is None and isinstance(a.value, ast.Attribute)

    def in_quotes(self, a: ast.Argument) -> dict[str, Any]:
        """Help and fix for what stands where the path is due."""
        if not self.kind.path or self.path is not None:
            return {}
        return {"help": f'a file is named in quotes: `{self.name}("{a.span.text}")`', "fix": Fix(a.span, f'"{a.span.text}"')}
