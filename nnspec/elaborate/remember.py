"""A call that is like one before it, in the types and plain values of its arguments, is not evaluated: what that one did is done again.

What a call of the library does is remembered for all specs, of other definitions for their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import NamedTuple

from nnspec import limits
from nnspec.diagnostics import Span
from nnspec.elaborate.calls import Seen
from nnspec.elaborate.declarations import Declared, enter
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.primitives import builtins
from nnspec.elaborate.recipe import KNOWN, Given, Owning, Recipe, Step, Unlike, Writer
from nnspec.elaborate.scope import Drawn, Frame
from nnspec.elaborate.statements import Updated, end_with
from nnspec.elaborate.values import Builtin, Function, Owned, Tensor, Value
from nnspec.graph import Graph, Var
from nnspec.graph.graph import Attributes, Context
from nnspec.graph.origin import SizeOf

MOST = 2_000
"""Calls of the library that a process remembers."""
NEVER, ASKS = "never", "asks"
"""What is remembered of calls that hang on more than their arguments, and of those that hang on the phase of the model, too."""
Memory = dict[Hashable, Recipe | str]


@cache
def of_library() -> Memory:
    """What calls of the library did."""
    return {}


class Look:
    """What a call hangs on, if it is no more than that: the types of tensors, plain values and definitions; Unlike for anything else.

    `numbers` are those of the nodes of its tensors; `library` says whether all definitions are ours.
    """

    def __init__(self, bound: Mapping[str, Value]) -> None:
        self.numbers: dict[str, int] = {}
        self.library = True
        self.key = tuple((name, self._at(value)) for name, value in bound.items())

    def _at(self, value: Value) -> Hashable:
        kind = type(value)
        if kind is Tensor:
            return self.numbers.setdefault(value.var.name, len(self.numbers)), value.var.type, value.batched, value.classes
        if kind is float:
            return kind, repr(value)  # 0.0 is not -0.0, and what is no number is like itself
        if kind in KNOWN:
            return kind, value
        if kind is tuple:
            return kind, *map(self._at, value)
        if kind is Function:
            self.library = self.library and value.definition.span.source.library
            return id(value)
        if kind is Builtin and builtins().get(value.name) is value:
            return id(value)
        raise Unlike


class Call(NamedTuple):
    """A call of a definition, as `run_function` takes it."""

    f: Function
    bound: dict[str, Value]
    spans: dict[str, Span]
    frame: Frame
    span: Span


class Notes(NamedTuple):
    """What is done in a call, and its place, by which its nodes are known; `place` is no other place, even if it is equal."""

    place: Span
    log: list[object]
    seen: Seen


class Remembering(Elaborator):
    """An elaborator that does again what calls like one before it did."""

    notes: Notes | None = None

    def expand(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        call = Call(f, bound, spans, frame, span)
        try:
            look = Look(bound)
        except Unlike:
            return self.run_function(*call)
        memory = self._memory(f, look)
        if memory is None or frame.shared or self.graph.context.span is None:
            return self.run_function(*call)
        kind: Hashable = (id(f), look.key, self.graph.dtype, self.graph.context.role, self.reporting, limits.most("list"))
        known = memory.get(kind)
        if known is ASKS:
            known = memory.get((kind, self.training, self.fitting))
        if known is None:
            return self._learn(call, look, memory, kind)
        if isinstance(known, Recipe) and self._has_room(known, frame):
            return self._again(known, call, list(look.numbers))
        return self.run_function(*call)

    def _memory(self, f: Function, look: Look) -> Memory | None:
        """Where calls of a definition are remembered; those of one that is made for a single call nowhere."""
        library = f.definition.span.source.library
        if library and look.library:
            return of_library()
        return self.definitions.remembered if library or self.definitions.own.get((f.kind, f.name)) is f else None

    def _has_room(self, known: Recipe, frame: Frame) -> bool:
        """Whether nothing is wrong with another such call here."""
        shallow = len(self.calls) + known.seen.depth <= limits.most("calls")
        few = self.budget.spent + known.spent + max(known.spent, known.seen.least) * self.budget.copies <= self.budget.most
        return shallow and few and not (known.owned and any(frame.join(name) in self.owned for name in known.owned))

    def _learn(self, call: Call, look: Look, memory: Memory, kind: Hashable) -> Value:
        """The value of a call, which is remembered."""
        call = call._replace(spans={name: _copy(s) for name, s in call.spans.items()})  # places of no other call
        spent, before = self.budget.spent, (dict(call.frame.counts), call.frame.draws)
        with self._noted() as notes:
            value = self.run_function(*call)
        if len(memory) >= MOST:
            memory.clear()
        if notes.seen.asks:
            memory[kind], kind = ASKS, (kind, self.training, self.fitting)
        memory[kind] = NEVER
        if call.f.kind != "fn" or (call.frame.counts, call.frame.draws) == before:  # a function's go on from those around it
            writer = Writer(call.frame, notes.place, call.spans, look.numbers, everywhere=memory is of_library())
            with suppress(Unlike):
                memory[kind] = writer.write(notes.log, value, notes.seen, self.budget.spent - spent)
        return value

    @contextmanager
    def _noted(self) -> Iterator[Notes]:
        """Notes of what is done inside."""
        outer, here = self.notes, self.graph.context.span
        assert here
        place = here if outer and here is outer.place else _copy(here)
        notes = self.notes = Notes(place, [], Seen())
        seen, self.seen, self.graph.log = self.seen, notes.seen, notes.log
        try:
            with self.graph.at(span=place):
                yield notes
        finally:
            self.notes, self.seen, self.graph.log = outer, seen, outer and outer.log
            seen.add(notes.seen)
            notes.seen.depth, notes.seen.least = notes.seen.depth - len(self.calls), notes.seen.least // self.budget.copies
            if outer:
                outer.log.extend(notes.log)

    def _again(self, known: Recipe, call: Call, nodes: list[str]) -> Value:
        """The value of a call of which is known what it does."""
        before = self.graph.context
        self.budget.spent += known.spent
        self.seen.add(known.seen, len(self.calls), self.budget.copies)
        try:
            self._follow(known, call, nodes)
        finally:
            self.graph.context = before
        return _given(known.result, self.graph, nodes)

    def _follow(self, known: Recipe, call: Call, nodes: list[str]) -> None:
        """Take the steps of a recipe, which number the nodes from those of the arguments on."""
        graph, frame, scope = self.graph, call.frame, call.frame.path.replace(".", "/")
        contexts = [Context(graph.context.role, p.span or graph.context.span, _below(scope, p.scope)) for p in known.places]
        for step in known.steps:
            if isinstance(step, Step):
                graph.context = contexts[step.place]
                attrs = self._drawn_anew(step, frame, *step.drawn) if step.drawn else step.attrs
                name = step.name and (step.name if step.op.name == "input" else frame.join(step.name))
                nodes.append(graph.place(step.op, tuple([nodes[i] for i in step.inputs]), attrs, step.kinds, step.type, name))
            elif isinstance(step, Owning):
                o = step.owned
                owned = Owned(frame.join(o.name), o.kind, o.type, o.start, o.span, frame.weights)
                places = None if step.places is None else tuple(_written(p, call.spans, nodes) for p in step.places)
                enter(self, Declared(owned, places, step.library))
            else:
                end_with(self, Updated(frame.join(step.state), nodes[step.node]))

    def _drawn_anew(self, step: Step, frame: Frame, path: str, draw: int) -> Attributes:
        """The attributes of random numbers, which are others in every layer."""
        drawn = Drawn(frame.join(path) if path else frame.path, draw)
        self.note(drawn)
        return tuple([(name, drawn.stream if name == "stream" else value) for name, value in step.attrs])


def _copy(span: Span) -> Span:
    return Span(span.source, span.start, span.end)


def _below(scope: str, inner: str) -> str:
    return f"{scope}/{inner}" if scope and inner else scope or inner


def _written(place: Span | str | tuple[int, int], spans: Mapping[str, Span], nodes: Sequence[str]) -> Span | SizeOf:
    """Where a size comes from, for the arguments of a call."""
    if isinstance(place, str):
        return spans[place]
    return SizeOf(nodes[place[0]], place[1]) if isinstance(place, tuple) else place


def _given(result: Value, graph: Graph, nodes: Sequence[str]) -> Value:
    """A result of a recipe."""
    if isinstance(result, Given):
        return Tensor(Var(graph, nodes[result.node]), result.batched, result.origin, result.classes)
    return tuple(_given(r, graph, nodes) for r in result) if isinstance(result, tuple) else result
