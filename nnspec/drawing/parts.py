"""Which call or formula of a spec made which nodes: the tree of boxes that a picture can open and close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import field, replace
from itertools import takewhile
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, Source, Span
from nnspec.drawing.body import Body, body_of
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.given import Given
from nnspec.elaborate.model import Model, run_model
from nnspec.elaborate.scan import OneStep
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import Applied, Builtin, Choice, Function, Row, Value, describe
from nnspec.graph import Dim, Graph, Var
from nnspec.record import dataclass
from nnspec.syntax import ast

FORMULAS = (ast.Unary, ast.Binary, ast.Conditional, ast.Call, ast.Subscript, ast.Scan)
LAYERS = ("layer", "model", "shared pipeline")
MOST_SIZES = 4


@dataclass(eq=False)
class Part:
    """One call or formula: the nodes it made itself, and the calls and formulas in it.

    `title` has arguments by value, `conv(96, 1)`; `path` is the public name of a layer; `written` the place in the spec. A `scan` has a
    `body`, whose formulas are in no other part.
    """

    title: str
    kind: str
    written: Span
    path: str = ""
    nodes: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    body: Body | None = None

    @property
    def is_layer(self) -> bool:
        return self.kind in LAYERS

    @property
    def has_layers(self) -> bool:
        return any(p.is_layer or p.has_layers for p in self.parts)

    def within(self) -> Iterator[Part]:
        """All calls and formulas in it."""
        for part in self.parts:
            yield part
            yield from part.within()

    def all_nodes(self) -> Iterator[str]:
        """The nodes of the part and of all within it."""
        yield from self.nodes
        for part in self.parts:
            yield from part.all_nodes()


def parts_of(spec: Compilation) -> tuple[Model, Part]:
    """The model as it trains, and what of the spec made what of its graph."""
    f = spec.definitions.own["model", spec.model.name]
    given = spec.given(spec.dtype) if spec.given else None
    recorder = _Recorder(given.copy() if given else Graph(f.name, spec.dtype), spec.definitions, training=True)
    if given:
        recorder.take(given)
    model, mistakes = run_model(f, recorder, given)
    if mistakes:  # a spec is checked before it is drawn; but its formulas are deeper inside each other here
        raise Fault(mistakes[0])
    (root,) = recorder.open
    recorder.settle()
    return model, Part(f.name, "model", f.definition.span, "", root.nodes, root.parts)


class _Recorder(Elaborator):
    """An elaborator that notes for every node the innermost call or formula during which it was made."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.open, self.settled = [Part("", "model", Span(Source("", ""), 0, 0))], set[str]()

    def take(self, given: Given) -> None:
        """What is there already: a part for each row of its table, of what is left the nodes themselves."""
        parts = [_part_of(row) for row in given.rows]
        self.settled.update(n for part in parts for n in part.nodes)
        self.open[0].parts += parts
        self.open[0].nodes += [n for n in self.graph.nodes if n not in self.settled]
        self.settled.update(self.graph.nodes)

    def evaluate(self, e: ast.Expr, scope: Scope) -> Value:
        if self.reporting and len(self.open) == 1:
            self.graph.forget()  # a loss reads what it says it reads, even if an output is computed alike
        if not isinstance(e, FORMULAS):
            return super().evaluate(e, scope)
        with self.part(Part(e.span.one_line, "formula", e.span)):
            return super().evaluate(e, scope)

    def invoke(
        self, callee: Function | Builtin, arguments: list[tuple[ast.Argument, Value]], scope: Scope, span: Span, label: str | None
    ) -> Value:
        with self.part(Part(_call_text(callee, arguments), callee.kind, span)) as part:
            value = super().invoke(callee, arguments, scope, span, label)
            part.path = self.last_name if part.is_layer else ""
        return value

    def undoing(self, scope: Scope) -> Callable[[], None]:
        self.settle()
        undo, part = super().undoing(scope), self.open[-1]
        parts, nodes = len(part.parts), len(part.nodes)

        def undo_all() -> None:
            undo()
            del part.parts[parts:], part.nodes[nodes:]
            self.settled.intersection_update(self.graph.nodes)

        return undo_all

    def repeat(self, step: OneStep, length: Dim, drawn: Set[str]) -> list[Var]:
        self.settle()
        part, own = self.open[-1], list(self.graph.nodes)[step.before :]
        body = body_of(step, part)
        found = super().repeat(step, length, drawn)
        self.settled.intersection_update(self.graph.nodes)  # the body has left the graph, and its names are free again
        part.nodes += [n for n in own if n in self.graph.nodes]
        part.body = replace(body, yielded={name: v.name for name, v in zip(step.carried, found, strict=True)})
        return found

    @contextmanager
    def part(self, part: Part) -> Iterator[Part]:
        self.settle()
        self.open[-1].parts.append(part)
        self.open.append(part)
        yield part
        self.settle()
        self.open.pop()

    def settle(self) -> None:
        """Give the nodes that are new to the innermost open part."""
        new = list(takewhile(lambda name: name not in self.settled, reversed(self.graph.nodes)))
        self.settled.update(new)
        self.open[-1].nodes += reversed(new)


def _part_of(row: Row) -> Part:
    """A node of another tool, with the arrays that it is the first to read: a layer where it has any, by the path in their names."""
    paths = {name.rpartition(".")[0] for name in row.owned}
    title = row.span.text.partition("(")[0]
    return Part(title, "layer" if paths else "node", row.span, paths.pop() if len(paths) == 1 else "", [*row.owned, *row.nodes])


def _call_text(callee: Function | Builtin, arguments: list[tuple[ast.Argument, Value]]) -> str:
    """The call with the values of those arguments that are no tensors, those left out that are as long as a list of data."""
    shown = [f"{a.name} = {_plain(v)}" if a.name else _plain(v) for a, v in arguments if _is_setting(v)]
    return f"{callee.name}({', '.join(shown)})" if shown else callee.name


def _is_setting(value: Value) -> bool:
    if isinstance(value, tuple):
        return 0 < len(value) <= MOST_SIZES and all(map(_is_setting, value))
    return isinstance(value, bool | int | float | str | Choice | Function | Applied)


def _plain(value: Value) -> str:
    match value:
        case str() | bool() | tuple():
            return describe(value)
        case Function() | Applied():
            return value.name
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)
