"""A call that is like one before it, in the types and plain values of its arguments, is not evaluated: what that one did is done again.

So is a pipeline of a model whose words are those of one before it, and mean the same. What only the library has a part in is remembered for
all specs, what other definitions do for their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

from nnspec import limits
from nnspec.diagnostics import Span
from nnspec.elaborate.alike import Look, Pipeline, pipeline_of
from nnspec.elaborate.calls import Seen
from nnspec.elaborate.declarations import Declared, enter
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.recipe import Below, Ending, Given, NumberedSize, Owning, PipelineWriter, Recipe, Step, Unlike, Within, Writer
from nnspec.elaborate.scope import Drawn, Frame, Scope
from nnspec.elaborate.statements import Updated, end_with
from nnspec.elaborate.values import Builtin, Function, Owned, Row, Tensor, Value
from nnspec.graph import Var
from nnspec.graph.node import Attributes, Context
from nnspec.graph.origin import SizeOf
from nnspec.lazy import Module
from nnspec.record import dataclass
from nnspec.syntax import ast

if TYPE_CHECKING:
    from nnspec.elaborate import lasting
    from nnspec.elaborate.lasting import Versions
else:  # for editors
    lasting = Module("nnspec.elaborate.lasting")

MOST = 4_000
"""Calls and pipelines that a process remembers of those in which only the library has a part."""
NEVER, ASKS, ONCE = "never", "asks", "once"
"""What is remembered of what hangs on more than it reads, of calls that hang on the phase of the model too, and of what was seen for the
first time: most never comes again."""
Memory = dict[Hashable, Recipe | str]


@cache
def of_library() -> Memory:
    """What calls and pipelines did."""
    return {}


class Call(NamedTuple):
    """A call of a definition, as `run_function` takes it."""

    f: Function
    bound: dict[str, Value]
    spans: dict[str, Span]
    frame: Frame
    span: Span


@dataclass(frozen=True, eq=False)
class Notes:
    """What is done in a call, and its place, by which its nodes are known; `place` is no other place, even if it is equal."""

    place: Span
    log: list[object]
    seen: Seen


class Done(NamedTuple):
    """What was done in a call, of which its recipe is written once it is asked for."""

    writer: Writer
    log: list[object]
    value: Value
    seen: Seen
    spent: int

    @property
    def known(self) -> Recipe | str:
        """The recipe, where there is one."""
        try:
            return self.writer.write(self.log, self.value, self.seen, self.spent)
        except Unlike:
            return NEVER


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a recipe is followed: the paths of its layers, the places of the arguments of a call by name, the text of a pipeline."""

    frame: Frame
    paths: Sequence[str]
    spans: Mapping[str, Span]
    text: Span | None = None

    def name(self, name: Below | str) -> str:
        """A name in one of the layers, or one that is always the same."""
        if isinstance(name, str):
            return name
        path = self.paths[name.layer]
        return f"{path}.{name.name}" if path and name.name else path or name.name

    def place(self, place: Span | Within) -> Span:
        if not isinstance(place, Within):
            return place
        assert self.text
        return Span(self.text.source, self.text.start + place.start, self.text.start + place.end)


class Remembering(Elaborator):
    """An elaborator that does again what calls and pipelines like one before it did."""

    notes: Notes | None = None

    def formula(self, e: ast.Expr, scope: Scope) -> Value:
        if not isinstance(e, ast.Pipe) or scope is not self.watched or self.notes:
            return self.evaluate(e, scope)
        try:
            written = pipeline_of(e, scope, self._meaning)
        except Unlike:
            return self.evaluate(e, scope)
        memory = of_library() if written.look.library else self.definitions.remembered
        kind: Hashable = (written.key, self.training, self.fitting, self._around)
        known = memory.get(kind)
        if known is ONCE:
            return self._learn_pipeline(e, scope, written, memory, kind)
        if isinstance(known, Recipe) and (paths := self._paths(known, scope.frame)):
            return self._again(known, Ground(scope.frame, paths, {}, written.text), list(written.look.numbers))
        if known is None:
            _enter(memory, kind, ONCE)
        return self.evaluate(e, scope)

    @cached_property
    def _meaning(self) -> Callable[[str], Value | None]:
        """What a word means that is the name of a definition."""
        return cache(self.definitions.meaning)

    def _learn_pipeline(self, e: ast.Pipe, scope: Scope, written: Pipeline, memory: Memory, kind: Hashable) -> Value:
        """The value of a pipeline, which is remembered if it changes no more of the frame than which layers there are."""
        frame, spent = scope.frame, self.budget.spent
        before = Frame(frame.path, counts=dict(frame.counts), draws=frame.draws)
        memory[kind] = NEVER
        with self._noted() as notes:
            value = self.evaluate(e, scope)
        kinds = tuple(name for name, n in frame.counts.items() for _ in range(n - before.counts.get(name, 0)))
        layers = [before.child(name) for name in kinds]
        whole = sum(isinstance(done, Row) for done in notes.log) == len(e.stages)
        if whole and before.draws == frame.draws and not any(map(self._is_function, {*layers} & {*written.words})):
            writer = PipelineWriter(frame, written.text, layers, written.look.numbers, everywhere=memory is of_library())
            with suppress(Unlike):
                memory[kind] = writer.write(notes.log, value, notes.seen, self.budget.spent - spent, kinds)
        return value

    def _is_function(self, word: str) -> bool:
        """Whether a row of that name may be of a function, and not of the layer that is called so."""
        value = self._meaning(word)
        return isinstance(value, Function | Builtin) and value.kind not in ("layer", "model")

    def expand(self, f: Function, bound: dict[str, Value], spans: dict[str, Span], frame: Frame, span: Span) -> Value:
        call = Call(f, bound, spans, frame, span)
        try:
            look = Look(bound)
        except Unlike:
            return self.run_function(*call)
        memory = self._memory(f, look)
        if memory is None or frame.shared or frame.use or self.graph.context.span is None:
            return self.run_function(*call)
        kind: Hashable = (id(f), look.key, self._around)
        asked = (kind, self.training, self.fitting) if memory.get(kind) is ASKS else kind
        known = memory.get(asked)
        if known is ONCE and (done := self.definitions.done.pop(asked, None)):
            known = memory[asked] = done.known
        versions = None if memory is of_library() else self._versions
        if known is None and versions and (known := versions.recipe(f, bound, self._whole)):
            self._enter(memory, kind, known.seen, known)
        if known is None or known is ONCE:
            return self._learn(call, look, memory, kind, versions, again=known is ONCE)
        if isinstance(known, Recipe) and (paths := self._paths(known, frame)):
            return self._again(known, Ground(frame, paths, spans), list(look.numbers))
        return self.run_function(*call)

    @cached_property
    def _versions(self) -> Versions | None:
        """What other versions of the spec did in calls of its own definitions."""
        return None if self.definitions.kept is None else lasting.Versions(self.definitions, self.definitions.kept)

    @property
    def _around(self) -> Hashable:
        """What calls and pipelines hang on beside what they read."""
        return self.graph.dtype, self.graph.context.role, self.reporting, limits.most("list")

    @property
    def _whole(self) -> Hashable:
        """The same, and the phase of the model."""
        return self._around, self.training, self.fitting

    def _memory(self, f: Function, look: Look) -> Memory | None:
        """Where calls of a definition are remembered; those of one that is made for a single call nowhere."""
        library = f.of_library
        if library and look.library:
            return of_library()
        return self.definitions.remembered if library or self.definitions.own.get((f.kind, f.name)) is f else None

    def _paths(self, known: Recipe, frame: Frame) -> Sequence[str] | None:
        """Those of the layers of a recipe, if nothing is wrong with doing it again here."""
        shallow = len(self.calls) + known.seen.depth <= limits.most("calls")
        few = self.budget.spent + known.spent + max(known.spent, known.seen.least) * self.budget.copies <= self.budget.most
        if not (shallow and few):
            return None
        before = (dict(frame.counts), dict(frame.taken)) if known.layers else (frame.counts, frame.taken)
        layers = [*map(frame.child, known.layers)]
        ground = Ground(frame, [frame.path, *layers], {})
        if any(frame.taken[path] > 1 for path in layers) or any(ground.name(name) in self.owned for name in known.owned):
            frame.counts, frame.taken = before
            return None
        return ground.paths

    def _learn(self, call: Call, look: Look, memory: Memory, kind: Hashable, versions: Versions | None, again: bool) -> Value:
        """The value of a call, which is remembered: as what was done, of which the recipe is written when it comes `again`."""
        call = call._replace(spans={name: _copy(s) for name, s in call.spans.items()})  # places of no other call
        spent, before, mistakes = self.budget.spent, call.frame.named, len(self.diagnostics)
        with self._noted() as notes:
            value = self.run_function(*call)
        if call.f.kind == "fn" and call.frame.named != before:  # a function's go on from those around it
            self._enter(memory, kind, notes.seen, NEVER)
            return value
        writer = Writer(call.frame, notes.place, call.spans, look.numbers, everywhere=memory is of_library())
        done = Done(writer, notes.log, value, notes.seen, self.budget.spent - spent)
        if not again and self.definitions.kept is None:
            self.definitions.done[self._enter(memory, kind, notes.seen, ONCE)] = done
            return value
        known = done.known
        self._enter(memory, kind, notes.seen, known)
        if versions and isinstance(known, Recipe) and len(self.diagnostics) == mistakes:
            versions.keep(call.f, call.bound, self._whole, known)
        return value

    def _enter(self, memory: Memory, kind: Hashable, seen: Seen, known: Recipe | str) -> Hashable:
        """Remember what is done in a call, for this phase of the model if it hangs on that; and where."""
        if seen.asks:
            _enter(memory, kind, ASKS)
            kind = (kind, self.training, self.fitting)
        _enter(memory, kind, known)
        return kind

    @contextmanager
    def _noted(self) -> Iterator[Notes]:
        """Notes of what is done inside."""
        outer, here = self.notes, self.graph.context.span
        assert here
        place = here if outer and here is outer.place else _copy(here)
        with self.seeing() as seen, self.graph.at(span=place):
            notes = self.notes = Notes(place, [], seen)
            self.graph.log = notes.log
            try:
                yield notes
            finally:
                self.notes, self.graph.log = outer, outer.log if outer else None
                if outer:
                    outer.log.extend(notes.log)

    def _again(self, known: Recipe, ground: Ground, nodes: list[str]) -> Value:
        """The value of a call or pipeline of which is known what it does."""
        before = self.graph.context
        self.budget.spent += known.spent
        self.seen.add(known.seen, len(self.calls), self.budget.copies)
        try:
            self._follow(known, ground, nodes)
        finally:
            self.graph.context = before
        return self._given(known.result, ground, nodes)

    def _follow(self, known: Recipe, ground: Ground, nodes: list[str]) -> None:
        """Take the steps of a recipe, which number the nodes from those of the arguments on."""
        graph, contexts, place = self.graph, self._contexts(known, ground), self.graph.place
        marks = self.marks()
        for step in known.steps:
            if isinstance(step, Step):
                graph.context = contexts[step.place]
                attrs = self._drawn_anew(step, ground, *step.drawn) if step.drawn else step.attrs
                name = step.name and ground.name(step.name)
                nodes.append(place(step.op, tuple([nodes[i] for i in step.inputs]), attrs, step.kinds, step.type, name))
            elif isinstance(step, Owning):
                o = step.owned
                owned = Owned(ground.name(step.name), o.kind, o.type, o.start, o.span, ground.frame.weights)
                places = None if step.places is None else tuple([_written(p, ground, nodes) for p in step.places])
                enter(self, Declared(owned, places, step.library))
            elif isinstance(step, Ending):
                end_with(self, Updated(ground.name(step.state), nodes[step.node]))
            else:
                value = self._given(step.value, ground, nodes)
                self.record(ground.name(step.name), ground.place(step.span), value, marks, self.watched)
                marks = self.marks()

    def _contexts(self, known: Recipe, ground: Ground) -> list[Context]:
        """What the nodes of a recipe take from where they stand."""
        role, here, _ = self.graph.context
        scopes = [path.replace(".", "/") for path in ground.paths]
        return [Context(role, ground.place(p.span) if p.span else here, _below(scopes[p.scope.layer], p.scope.name)) for p in known.places]

    def _drawn_anew(self, step: Step, ground: Ground, path: Below, draw: int) -> Attributes:
        """The attributes of random numbers, which are others in every layer."""
        drawn = Drawn(ground.name(path), draw)
        self.note(drawn)
        return tuple([(name, drawn.stream if name == "stream" else value) for name, value in step.attrs])

    def _given(self, result: Value, ground: Ground, nodes: Sequence[str]) -> Value:
        """A result of a recipe."""
        if isinstance(result, Given):
            origin = result.origin and ground.place(result.origin)
            return Tensor(Var(self.graph, nodes[result.node]), result.batched, origin, result.classes)
        return tuple([self._given(r, ground, nodes) for r in result]) if isinstance(result, tuple) else result


def _enter(memory: Memory, kind: Hashable, known: Recipe | str) -> None:
    if len(memory) >= MOST:
        memory.clear()
    memory[kind] = known


def _copy(span: Span) -> Span:
    return Span(span.source, span.start, span.end)


def _below(scope: str, inner: str) -> str:
    return f"{scope}/{inner}" if scope and inner else scope or inner


def _written(place: Span | Within | str | NumberedSize, ground: Ground, nodes: Sequence[str]) -> Span | SizeOf:
    """Where a size comes from, for the arguments of a call."""
    if isinstance(place, str):
        return ground.spans[place]
    return SizeOf(nodes[place.node], place.axis) if isinstance(place, NumberedSize) else ground.place(place)
