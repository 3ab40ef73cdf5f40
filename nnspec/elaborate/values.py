"""What an expression can stand for while a spec is elaborated."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Span, fault
from nnspec.graph import Dim, Shape, Size, Type, Var
from nnspec.graph.types import show
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_signature

if TYPE_CHECKING:
    from nnspec.elaborate.scope import Scope

Value = Any
"""A number, bool, string, Size or tuple of those (known at compile time), or one of the classes below."""


@dataclass(frozen=True)
class Tensor:
    """A value of the graph as the language sees it: one example, the batch left out. `origin` is where it was made."""

    var: Var
    batched: bool
    origin: Span | None = None
    classes: int | None = None

    @property
    def shape(self) -> Shape:
        return self.var.type.shape[self.batched :]

    @property
    def dtype(self) -> str:
        return self.var.type.dtype

    def at(self, origin: Span) -> Tensor:
        return Tensor(self.var, self.batched, origin, self.classes)

    def moved(self, var: Var, origin: Span | None = None) -> Tensor:
        """The same numbers in other places, or some of them: those of classes stay that."""
        return Tensor(var, self.batched, origin or self.origin, self.classes)


class Called:
    """What takes arguments by name."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[ast.Parameter, ...]:
        """Those of its signature."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @cached_property
    def required(self) -> frozenset[str]:
        """The parameters without a default."""
        return frozenset(p.name for p in self.parameters if p.default is None)


@dataclass(frozen=True)
class Function(Called):
    """A definition of the language, with the scope it was written in."""

    definition: ast.Definition
    scope: Scope = field(repr=False)

    @property
    def parameters(self) -> tuple[ast.Parameter, ...]:
        return self.definition.parameters

    @property
    def name(self) -> str:
        return self.definition.name.id

    @property
    def kind(self) -> str:
        return self.definition.kind

    @property
    def of_library(self) -> bool:
        return self.definition.span.source.library

    @cached_property
    def fits(self) -> bool:
        """Whether it asks if the whole training data is before it."""
        return re.search(r"\bfitting\b", self.definition.span.text) is not None

    @cached_property
    def weighs(self) -> bool:
        """Whether it asks how many numbers go into a parameter and out of it."""
        return re.search(r"\bfan_(in|out)\b", self.definition.span.text) is not None

    @cached_property
    def asks(self) -> bool:
        """Whether it speaks of what is otherwise in another phase of the model."""
        return re.search(r"\b(training|fitting|batch)\b", self.definition.span.text) is not None


@dataclass(frozen=True)
class Builtin(Called):
    """What no formula can say: `run(elaborator, arguments, their places, place, scope)`; its signature is read when it is first asked for.

    One that begins with a star takes any number of values for its first parameter, or one list of them.
    """

    signature: str
    run: Callable[..., Value] = field(repr=False)
    kind: str = "fn"

    @cached_property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @property
    def variadic(self) -> bool:
        return "(*" in self.signature

    @cached_property
    def parameters(self) -> tuple[ast.Parameter, ...]:
        return parse_signature(f"{self.signature.replace('*', '')} -> []").parameters


@dataclass(frozen=True)
class Applied:
    """An init, optimizer or schedule with its arguments and where each was written, to be evaluated where its turn comes."""

    function: Function
    arguments: Mapping[str, Value]
    span: Span
    spans: Mapping[str, Span] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def kind(self) -> str:
        return self.function.kind


@dataclass(frozen=True)
class Unsized:
    """A parameter with a size left to its first use, `_`: `sized(shape)` declares it."""

    name: str
    dims: tuple[Dim | None, ...]
    span: Span
    sized: Callable[[Shape], Tensor] = field(repr=False)

    def with_dims(self, dims: tuple[Dim | None, ...]) -> Tensor:
        """Declared with the sizes of a use, aligned at the end, in the place of those left open."""
        missing = len(self.dims) - len(dims)
        full = [d if d is not None else dims[i - missing] if i >= missing else None for i, d in enumerate(self.dims)]
        if any(d is None for d in full):
            raise fault("E107", f"a size `_` of `{self.name}` does not follow from its first use: write it", self.span)
        return self.sized(tuple(d for d in full if d is not None))


@dataclass(frozen=True)
class Saved:
    """The weights of a file, as an init or for all that a model owns whose names, below `path`, the file has."""

    file: str
    span: Span
    path: str = ""

    def name_of(self, public: str) -> str:
        """What a parameter or state of the model is called in the file."""
        return public.removeprefix(f"{self.path}.")


@dataclass(frozen=True)
class Choice:
    """A bare word such as `same`."""

    name: str

    def __str__(self) -> str:
        return self.name


CHOICES = ("same", "valid")
UNSAID = "_"
"""In the signature of a primitive, the default of what no value stands for: all axes."""


class Poison:
    """The value of what could not be elaborated; whatever uses it stays silent."""


class Poisoned(Exception):
    """Raised on using a poisoned value: its mistake is reported already."""


POISON = Poison()


@dataclass(frozen=True)
class Owned:
    """A parameter or state: its public name, type, and how it starts: an init, a value as nested tuples, or None where it came with one;
    `weights` go before.
    """

    name: str
    kind: str
    type: Type
    start: Applied | object
    span: Span
    weights: Saved | None = None


@dataclass(frozen=True)
class Row:
    """One line of the layer table: a stage or formula of the model, its value, the nodes it added and what it owns."""

    name: str
    span: Span
    value: Tensor
    nodes: tuple[str, ...]
    owned: tuple[str, ...]


VECTORS, SCALARS = ("w", "g"), ("lr", "t")
"""What optimizers speak of, besides their arguments and states: of a parameter, and of the step."""
SCHEDULE_NAMES = ("lr", "epoch", "step", "epochs", "steps", "rate", "stale")
INIT_NAMES = ("shape", "fan_in", "fan_out")
KNOWN: Mapping[str, tuple[str, ...]] = {
    "layer": (), "fn": (), "init": INIT_NAMES, "optimizer": (*VECTORS, *SCALARS), "schedule": SCHEDULE_NAMES,
}  # fmt: skip
"""The kinds of definitions, and what the bodies of each may ask for."""


def is_callable(value: Value) -> bool:
    return isinstance(value, Function | Builtin | Poison)


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_dim(value: Value) -> bool:
    return isinstance(value, Size) or (isinstance(value, int) and not isinstance(value, bool))


def describe(value: Value) -> str:
    """A value in the words of an error message."""
    match value:
        case Tensor() if value.classes:
            return f"class({value.classes}){show(value.shape) if value.shape else ''}"
        case Tensor():
            return f"{'' if value.dtype.startswith('float') else value.dtype}{show(value.shape)}"
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(describe, value))}]"
        case Unsized():
            return f"the parameter `{value.name}`, a size of which is not known yet"
        case Function() | Builtin():
            return f"the {value.kind} `{value.name}`"
        case Applied():
            return f"the {value.function.kind} `{value.name}`"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return f"`{value}`" if isinstance(value, Choice) else str(value)
