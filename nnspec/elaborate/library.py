"""The definitions a spec can use: its own, then the standard library's, by kind."""

from __future__ import annotations

import re
from dataclasses import field
from functools import cache, cached_property
from typing import Any

from nnspec import resources
from nnspec.diagnostics import Diagnostic, Source
from nnspec.elaborate.budget import Budget
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import Function, Value
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.parser import parse

CALLED_IN_FORMULAS = ("fn", "layer", "model")


@dataclass
class Definitions:
    """Functions by kind and name, the user's before the library's; and what may be made of them in all."""

    own: dict[Key, Function] = field(default_factory=dict)

    remembered: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What calls of its own definitions have made."""

    done: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What calls have done that came once so far."""

    kept: dict[Any, Any] | None = field(default=None, repr=False)
    """Those of earlier versions of the spec, where somebody keeps them."""

    derived_by: frozenset[str] = frozenset()
    """Names that formulas of the spec differentiate by."""

    misspelt: int = 0
    """Names so far that stand for nothing."""

    @cached_property
    def budget(self) -> Budget:
        return Budget(self.meaning)

    def find(self, kind: str, name: str, library: bool = False) -> Function | None:
        """The definition of that kind and name; the library itself does not see the user's, nor the user its `_` names."""
        own = None if library else self.own.get((kind, name))
        return own or (None if name.startswith("_") and not library else of_library(kind, name))

    def meaning(self, name: str, library: bool = False) -> Value | None:
        """What a name means in a formula: a function or layer, else an init, optimizer or schedule, else a primitive."""
        if not library:
            for kind in ast.KINDS:
                if (kind, name) in self.own:
                    return next(f for kind in ast.KINDS if (f := self.find(kind, name)))
        return meaning_in_library(name, library)

    def names(self, *kinds: str) -> set[str]:
        library = (key for key in _places() if not key[1].startswith("_"))
        defined = {name for kind, name in (*self.own, *library) if kind in (kinds or ast.KINDS)}
        return defined if kinds else defined | set(builtins())

    def nameable(self, in_model: bool) -> set[str]:
        """What a formula can name that no scope holds: in a `let` also optimizers and schedules."""
        return self.names(*(k for k in ast.KINDS if k not in ("model", *(("optimizer", "schedule") if in_model else ())))) | set(builtins())


Key = tuple[str, str]
"""Kind and name."""

_DEFINITION = re.compile(rf"\n(?:#[^\n]*\n)*({'|'.join(ast.KINDS)}) (\w+)")
"""Behind the end of a line, of which there are few: where a line begins, each letter would be looked at."""
_SCOPE = Scope()


@cache
def _places() -> dict[Key, tuple[Source, int, int]]:
    """Where each definition of the standard library stands, with the comment above it; nothing is parsed for it."""
    found: dict[Key, tuple[Source, int, int]] = {}
    for path in sorted(resources.std().glob("*.nn")):
        source = Source(f"std/{path.name}", path.read_text("utf-8"), library=True)
        starts = list(_DEFINITION.finditer(f"\n{source.text}"))
        ends = [m.start() for m in starts[1:]] + [len(source.text)]
        found |= {(m[1], m[2]): (source, m.start(), end) for m, end in zip(starts, ends, strict=True)}
    return found


@cache
def of_library(kind: str, name: str) -> Function | None:
    """A definition of the standard library, read when it is first asked for."""
    if (kind, name) not in _places():
        return None
    spec, diagnostics = parse(*_places()[kind, name])
    assert not diagnostics, diagnostics
    (definition,) = spec.all(kind)
    return Function(definition, _SCOPE)


@cache
def meaning_in_library(name: str, within: bool) -> Value | None:
    """What a name means where the user has not defined it; names that begin with `_` mean something `within` the library only."""
    found = None if name.startswith("_") and not within else next((f for kind in ast.KINDS if (f := of_library(kind, name))), None)
    return found or builtins().get(name)


def public() -> dict[Key, Function]:
    """What of the standard library specs can use: all but the names that begin with `_`, which it uses itself."""
    return {key: f for key in _places() if not key[1].startswith("_") and (f := of_library(*key))}


def add_definitions(table: dict[Key, Function], spec: ast.Spec, scope: Scope) -> list[Diagnostic]:
    """Enter the definitions of a file; a second one of the same kind and name is an error."""
    twice = []
    for definition in spec.definitions:
        if isinstance(definition, ast.Definition):
            key = (definition.kind, definition.name.id)
            first = table.setdefault(key, Function(definition, scope))
            if first.definition is not definition:
                note = (first.definition.name.span, "first defined here")
                message = f"the {definition.kind} `{definition.name.id}` is defined twice"
                twice.append(Diagnostic("E105", message, definition.name.span, notes=(note,)))
            twice += _same_parameters(definition)
    return twice


def _same_parameters(definition: ast.Definition) -> list[Diagnostic]:
    names = [p.name for p in definition.parameters]
    again = [p for i, p in enumerate(definition.parameters) if p.name in names[:i]]
    return [Diagnostic("E105", f"`{definition.name.id}` has two arguments `{p.name}`", p.span) for p in again]
