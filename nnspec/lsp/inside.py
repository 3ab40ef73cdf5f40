"""What names are inside of definitions and loops, which have values only where a model uses them."""

from __future__ import annotations

from collections.abc import Callable, Set
from contextlib import suppress
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Span
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.model import run_model
from nnspec.elaborate.scan import OneStep
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import Function, Poison, Unsized, Value, describe
from nnspec.graph import Dim, Graph, Var
from nnspec.record import dataclass


@dataclass(frozen=True)
class Inside:
    """The values that one use of a definition or loop gives to its names, in words."""

    span: Span
    names: dict[str, str]


def insides(spec: Compilation) -> list[Inside]:
    """Those of all uses in the models of a file that can stand alone."""
    alone = (m.name.id for m in spec.models if all(p.default is not None for p in m.parameters))
    return [found for name in alone for found in _of_model(spec, name)]


def _of_model(spec: Compilation, name: str) -> list[Inside]:
    """As the model is in use, as far as it is right."""
    watcher = _Watcher(Graph(name, spec.dtype), spec.definitions, training=False)
    with suppress(Fault):
        run_model(spec.definitions.own["model", name], watcher)
    return watcher.found


class _Watcher(Elaborator):
    """An elaborator that notes what is in each scope once nothing more comes into it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.found: list[Inside] = []

    def run_body(self, f: Function, scope: Scope) -> Value:
        try:
            return super().run_body(f, scope)
        finally:
            self._note(f.definition.span, scope)

    def repeat(self, step: OneStep, length: Dim, drawn: Set[str]) -> list[Var]:
        self._note(step.tree.span, step.scope)
        return super().repeat(step, length, drawn)

    def undoing(self, scope: Scope) -> Callable[[], None]:
        undo, known = super().undoing(scope), len(self.found)

        def undo_all() -> None:
            undo()
            del self.found[known:]

        return undo_all

    def _note(self, span: Span, scope: Scope) -> None:
        if not span.source.library:
            known = {n: v for n, v in scope.names.items() if not isinstance(v, Poison | Unsized)}
            self.found.append(Inside(span, {n: describe(v) for n, v in known.items()}))
