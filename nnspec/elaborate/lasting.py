"""What calls of a spec's own definitions did, kept for its next versions: it holds as long as all that they can hang on reads the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from nnspec.diagnostics import Span
from nnspec.elaborate.alike import Look, words_in
from nnspec.elaborate.library import Definitions, Key
from nnspec.elaborate.recipe import KNOWN, Given, Owning, Recipe, Step, Unlike
from nnspec.elaborate.values import Applied, Function, Value
from nnspec.syntax import ast

MOST = 1_000
"""Calls that are kept of a spec."""


class Content(NamedTuple):
    """All that a definition or a call can hang on, equal in versions where it is the same; and where that stands in this one."""

    key: Hashable
    places: Mapping[Key, Span]


class Kept(NamedTuple):
    """A recipe with the places of a version of the spec, and where the definitions stood there that these lie in."""

    recipe: Recipe
    places: Mapping[Key, Span]

    def at(self, places: Mapping[Key, Span]) -> Recipe:
        """The recipe in a version whose definitions stand there; Unlike where it has a place outside of them."""

        def move(span: Span) -> Span:
            if span.source.library:
                return span
            inside = next((key for key, place in self.places.items() if place.covers(span)), None)
            if inside is None:
                raise Unlike
            before = self.places[inside].start
            return places[inside].part(span.start - before, span.end - before)

        return _moved(self.recipe, move)


class Versions:
    """What is kept of all versions of a spec, for one of them."""

    def __init__(self, definitions: Definitions, kept: dict[Hashable, Kept]) -> None:
        self.definitions, self.kept = definitions, kept
        self._contents: dict[int, Content] = {}

    def recipe(self, f: Function, bound: Mapping[str, Value], around: Hashable) -> Recipe | None:
        """What was done in such a call of a definition that reads the same."""
        with suppress(Unlike):
            call = self._call(f, bound, around)
            if kept := self.kept.get(call.key):
                return kept.at(call.places)
        return None

    def keep(self, f: Function, bound: Mapping[str, Value], around: Hashable, recipe: Recipe) -> None:
        with suppress(Unlike):
            call = self._call(f, bound, around)
            if len(self.kept) >= MOST:
                self.kept.clear()
            self.kept[call.key] = Kept(recipe, call.places)

    def _call(self, f: Function, bound: Mapping[str, Value], around: Hashable) -> Content:
        """All that a call hangs on; Unlike where that can not be the same in another version."""
        look = ByContent({"": f, **bound}, self._content)
        return Content((look.key, around), look.places)

    def _content(self, f: Function) -> Content:
        if id(f) not in self._contents:
            self._contents[id(f)] = content_of(self.definitions, f)
        return self._contents[id(f)]


def content_of(definitions: Definitions, f: Function) -> Content:
    """What stands in a definition, and in all that it names of the spec, directly or not; Unlike where that is no plain value."""
    places: dict[Key, Span] = {}
    values, left = Look({}), [f]
    key: dict[Hashable, Hashable] = {}
    while left:
        d = left.pop()
        if definitions.own.get(name := (d.kind, d.name)) is not d:
            raise Unlike
        places[name], key[name] = d.definition.span, d.definition.span.text
        for word in words_in(d.definition.span.text):
            left += [g for kind in ast.KINDS if (g := definitions.own.get((kind, word))) and (kind, word) not in places]
            if word in d.scope.names:
                key[word], places["let", word] = values.at(d.scope.names[word]), d.scope.spans[word]
    if not values.library:
        raise Unlike
    return Content((f.kind, f.name, tuple(key.items()), definitions.derived_by), places)


class ByContent(Look):
    """What a call hangs on, equal in all versions of a spec in which it does the same."""

    def __init__(self, bound: Mapping[str, Value], content: Callable[[Function], Content]) -> None:
        self.content = content
        self.places: dict[Key, Span] = {}
        super().__init__(bound)

    def function(self, f: Function) -> Hashable:
        if f.of_library:
            return id(f)
        content = self.content(f)
        self.places |= content.places
        return content.key


def _moved(recipe: Recipe, move: Callable[[Span], Span]) -> Recipe:
    places = tuple([replace(p, span=move(p.span)) if isinstance(p.span, Span) else p for p in recipe.places])
    steps = tuple([step if isinstance(step, Step) else _owning(step, move) if isinstance(step, Owning) else step for step in recipe.steps])
    return replace(recipe, places=places, steps=steps, result=_result(recipe.result, move))


def _owning(step: Owning, move: Callable[[Span], Span]) -> Owning:
    owned = replace(step.owned, start=_start(step.owned.start, move), span=move(step.owned.span))
    return replace(step, owned=owned, places=step.places and tuple([move(p) if isinstance(p, Span) else p for p in step.places]))


def _start(start: object, move: Callable[[Span], Span]) -> object:
    """How a parameter starts: an init of the library with plain arguments is the same in all versions."""
    if not isinstance(start, Applied):
        return start
    if not start.function.of_library or any(type(v) not in KNOWN for v in start.arguments.values()):
        raise Unlike
    return replace(start, span=move(start.span), spans={name: move(span) for name, span in start.spans.items()})


def _result(result: Value, move: Callable[[Span], Span]) -> Value:
    if isinstance(result, Given):
        return replace(result, origin=move(result.origin) if isinstance(result.origin, Span) else None)
    return tuple([_result(r, move) for r in result]) if isinstance(result, tuple) else result
