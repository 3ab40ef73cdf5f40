"""When two calls or pipelines are alike: what they hang on is of the same types, equal, or the same definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache

from nnspec.diagnostics import Span
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.recipe import KNOWN, Unlike
from nnspec.elaborate.scope import ABSENT, Scope
from nnspec.elaborate.values import Builtin, Function, Tensor, Value
from nnspec.graph.shapes import REMEMBERED
from nnspec.record import dataclass
from nnspec.syntax import ast

_WORD = re.compile(r"[^\W\d]\w*")


class Look:
    """What a call hangs on, if it is no more than that: the types of tensors, plain values and definitions; Unlike for anything else.

    `numbers` are those of the nodes of its tensors; `library` says whether all definitions are ours.
    """

    def __init__(self, bound: Mapping[str, Value]) -> None:
        self.numbers: dict[str, int] = {}
        self.library = True
        self.key = tuple([(name, self.at(value)) for name, value in bound.items()])

    def at(self, value: Value) -> Hashable:
        kind = type(value)
        if kind is Tensor:
            return self.numbers.setdefault(value.var.name, len(self.numbers)), value.var.type, value.batched, value.classes
        if kind is float:
            return kind, repr(value)  # 0.0 is not -0.0, and what is no number is like itself
        if kind in KNOWN or value is ABSENT:
            return kind, value
        if kind is tuple:
            return kind, *map(self.at, value)
        if kind is Function:
            return self.function(value)
        if kind is Builtin and builtins().get(value.name) is value:
            return id(value)
        raise Unlike

    def function(self, f: Function) -> Hashable:
        """What tells a definition from others."""
        self.library = self.library and f.of_library
        return id(f)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline of a model as it is like others: its text after the name that it starts from, and what all words in it mean."""

    text: Span
    look: Look
    key: Hashable

    @property
    def words(self) -> tuple[str, ...]:
        return words_in(self.text.text)


def pipeline_of(e: ast.Pipe, scope: Scope, defined: Callable[[str], Value | None]) -> Pipeline:
    """A pipeline of calls from a tensor on that names no stage; Unlike for any other.

    A word is looked up as a value and as what is `defined`, which a value does not hide from a call.
    """
    head = scope.get(e.head.id) if isinstance(e.head, ast.Name) else None
    if not isinstance(head, Tensor) or not all(map(_is_plain, e.stages)):
        raise Unlike
    look, text = Look({"": head}), Span(e.span.source, e.head.span.end, e.span.end)
    written = text.text
    meanings = [(look.at(scope.get(word)), look.at(defined(word))) for word in words_in(written)]
    return Pipeline(text, look, (written, look.key, *meanings))


def _is_plain(stage: ast.Stage) -> bool:
    return stage.label is None and isinstance(stage.body, ast.Call | ast.Name)


@lru_cache(maxsize=REMEMBERED)
def words_in(text: str) -> tuple[str, ...]:
    """All that may be names in a text of the language, each once."""
    return tuple(dict.fromkeys(_WORD.findall(text)))
