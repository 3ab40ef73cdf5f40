"""Where names are looked up: the scope of a definition, and the frame of a call, which names its layers, parameters and draws."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import field
from typing import Any
from zlib import crc32

from nnspec.diagnostics import Span
from nnspec.elaborate.values import POISON, Saved, Value
from nnspec.record import dataclass
from nnspec.syntax import ast

ABSENT = object()
"""In the place of the value that a name does not have."""


@dataclass
class Frame:
    """One call of a layer (or the model itself): the path of its name, and what it has named so far.

    Inside a `share` parameters that are there already are used again. Its uses draw apart from each other, as do layers of one name, of
    which `taken` says how many there are: `use` says for each that is around which one it is.
    `weights` are those that the model starts from.
    """

    path: str = ""
    owns: bool = False
    shared: bool = False
    use: tuple[int, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    draws: int = 0
    weights: Saved | None = None

    @property
    def named(self) -> Hashable:
        """All that it has named and drawn so far."""
        return tuple(self.counts.items()), tuple(self.taken.items()), self.draws

    def enter(self, path: str, **changes: Any) -> Frame:
        """The frame of what is called inside, where numbering starts anew."""
        before = self.taken.get(path, 1) - 1
        use = (*self.use, before) if before else self.use
        inner = {"owns": self.owns, "shared": self.shared, "use": use, "weights": self.weights, **changes}
        return Frame(path, **inner)

    def of_definition(self, d: ast.Definition, path: str = "") -> Frame:
        """The frame of a call of it: a model may say what its parameters and states start from."""
        return self.enter(path, owns=True, weights=Saved(d.weights.value, d.weights.span, path) if d.weights else self.weights)

    def child(self, kind: str, label: str | None = None) -> str:
        """The path of a new layer in this one: `conv`, `conv_2`, ..., or its label."""
        if label in (None, kind):
            self.counts[kind] = self.counts.get(kind, 0) + 1
        path = self.join(label or (kind if self.counts[kind] == 1 else f"{kind}_{self.counts[kind]}"))
        self.taken[path] = self.taken.get(path, 0) + 1
        return path

    def join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


@dataclass(frozen=True)
class Drawn:
    """Random numbers, drawn in the frame of that path for the so-manieth time, in that use of it if there are several."""

    path: str
    draw: int
    use: tuple[int, ...] = ()

    @property
    def stream(self) -> int:
        """The number that tells them from others."""
        again = "".join(f"@{n}" for n in self.use) if any(self.use) else ""
        return crc32(f"{self.path}#{self.draw}{again}".encode())


@dataclass
class Scope:
    """Names and their values, each with the place the user wrote it; `parent` is where a name is looked up next."""

    parent: Scope | None = None
    frame: Frame = field(default_factory=Frame)
    names: dict[str, Value] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    """What else its names are called elsewhere."""

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.parent

    def find(self, name: str, wanted: Callable[[Value], bool] = lambda value: True) -> Value:
        """The nearest value of that name that is wanted; KeyError when there is none."""
        scope: Scope | None = self
        while scope:
            if name in scope.names and wanted(scope.names[name]):
                return scope.names[name]
            scope = scope.parent
        raise KeyError(name)

    def get(self, name: str) -> Value:
        """The nearest value of that name, or ABSENT."""
        scope: Scope | None = self
        while scope:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return ABSENT

    def called_elsewhere(self, name: str) -> str | None:
        """The name here of what is called so elsewhere."""
        return next((own for scope in self.chain() if (own := scope.others.get(name)) in scope.names), None)

    def span_near(self, name: str) -> Span | None:
        """Where the nearest argument or variable of that name was written."""
        return next((scope.spans.get(name) for scope in self.chain() if name in scope.names), None)

    def is_poisoned(self, name: str) -> bool:
        """Whether the mistake of that name is reported already."""
        return next((scope.names[name] is POISON for scope in self.chain() if name in scope.names), False)

    def all_names(self) -> set[str]:
        return {n for scope in self.chain() for n in scope.names}

    def span_of(self, name: str) -> Span | None:
        """Where the argument or variable of that name was written."""
        return self.spans.get(name)
