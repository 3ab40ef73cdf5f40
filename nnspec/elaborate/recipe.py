"""What a call of a definition did to the graph, kept so that it can be done again for other arguments of the same types.

Nodes are numbered, those of the arguments first; names go on from that of the layer, or of one of those that a pipeline makes; a place
is that of the call, or of an argument, or in the pipeline, or stands in the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from nnspec.diagnostics import Span
from nnspec.elaborate.calls import PLAIN, Seen
from nnspec.elaborate.declarations import Declared
from nnspec.elaborate.scope import Drawn, Frame
from nnspec.elaborate.statements import Updated
from nnspec.elaborate.values import Applied, Choice, Owned, Row, Tensor, Value
from nnspec.graph import Size, Type
from nnspec.graph.node import Attributes, Context, Made
from nnspec.graph.op import Op
from nnspec.graph.origin import SizeOf
from nnspec.record import dataclass

KNOWN = (*PLAIN, str, Choice, Size, type(None))
"""Values that are alike if they are equal and of one class."""


class Unlike(Exception):
    """What a call does hangs on more than the types and plain values of its arguments."""


class Within(NamedTuple):
    """A place in a pipeline, from where its text begins."""

    start: int
    end: int


@dataclass(frozen=True, eq=False)
class NumberedSize:
    """The size of a node along an axis, counted from the end."""

    node: int
    axis: int


class Below(NamedTuple):
    """A name, from that of a layer on: of the call or the model (0), or of one that the pipeline makes."""

    layer: int
    name: str


@dataclass(frozen=True, eq=False)
class Placed:
    """Where nodes stand: their scope, and their place, if that is not the call's."""

    scope: Below
    span: Span | Within | None


@dataclass(frozen=True, eq=False)
class Step:
    """A node; `name` is that of a parameter or state, or of an input.

    Random numbers are `drawn` in a frame whose path goes on so from the layer's, for the so-manieth time.
    """

    op: Op
    inputs: tuple[int, ...]
    attrs: Attributes
    kinds: tuple[object, ...]
    type: Type
    name: Below | str | None
    place: int
    drawn: tuple[Below, int] | None = None


@dataclass(frozen=True, eq=False)
class Owning:
    """A parameter or state; of the places of its sizes those that are arguments by name."""

    name: Below
    owned: Owned
    places: tuple[Span | Within | str | NumberedSize, ...] | None
    library: bool


@dataclass(frozen=True, eq=False)
class Ending:
    """A state, and the node that it ends a step with."""

    state: Below
    node: int


@dataclass(frozen=True, eq=False)
class Given:
    """The tensor of a node, as a result."""

    node: int
    batched: bool
    origin: Span | Within | None
    classes: int | None


@dataclass(frozen=True, eq=False)
class Showing:
    """A row of the layer table, of all that was added since the one before it."""

    name: Below | str
    span: Span | Within
    value: Value


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that a call does; what is `seen` in it, calls so much deeper than its own, and what it has `spent` of the budget."""

    places: tuple[Placed, ...]
    steps: tuple[Step | Owning | Ending | Showing, ...]
    result: Value
    seen: Seen
    spent: int
    layers: tuple[str, ...] = ()
    """What the layers are called that it makes beside one another."""

    @cached_property
    def owned(self) -> tuple[Below, ...]:
        """The names of its parameters and states."""
        return tuple(s.name for s in self.steps if isinstance(s, Owning))


class Writer:
    """Writes the recipe of a call from the log of its graph.

    `numbers` are those of its arguments, `at` and `spans` the places of this call and of no other. In a recipe that is
    good `everywhere`, whatever else has a place stands in the library.
    """

    def __init__(self, frame: Frame, at: Span, spans: Mapping[str, Span], numbers: Mapping[str, int], everywhere: bool) -> None:
        self.frame, self.at, self.everywhere = frame, at, everywhere
        self.inputs, self.numbers, self.count = numbers.keys(), dict(numbers), len(numbers)
        self.arguments = {id(at): "", **{id(span): name for name, span in spans.items()}}
        self.places: dict[tuple[Below, Span | Within | None], int] = {}
        self.drawn: tuple[Below, int] | None = None

    def write(self, log: Iterable[object], value: Value, seen: Seen, spent: int, layers: tuple[str, ...] = ()) -> Recipe:
        """The recipe of a call that did what stands in a log; Unlike where there can be none."""
        steps = tuple(step for done in log if (step := self._step(done)))
        return Recipe(tuple(Placed(*p) for p in self.places), steps, self._result(value), seen, spent, layers)

    def _step(self, done: object) -> Step | Owning | Ending | Showing | None:
        match done:
            case Drawn(use=()):
                self.drawn = self._below(done.path), done.draw  # said of the next random numbers
                return None
            case Made():
                return self._made(done)
            case Declared():
                return self._owning(done)
            case Updated():
                return Ending(self._below(done.state), self._number(done.node))
        raise Unlike

    def _made(self, made: Made) -> Step:
        inputs = tuple(map(self._number, made.inputs))
        name = self._below(made.wish) if made.wish and made.op.name != "input" else made.wish
        if made.name in self.inputs:  # for other arguments it may be another node
            raise Unlike
        self.numbers[made.name] = self.count
        self.count += 1
        drawn = self.drawn if made.op.name == "random" else None
        return Step(made.op, inputs, made.attrs, made.kinds, made.type, name, self._place(made.context), drawn)

    def _place(self, context: Context) -> int:
        span = None if context.span is self.at else self._fixed(context.span)
        key = self._below(context.scope, "/"), span
        return self.places.setdefault(key, len(self.places))

    def _owning(self, done: Declared) -> Owning:
        owned = done.owned
        if owned.weights is not self.frame.weights or (isinstance(owned.start, Applied) and not self._stays(owned.start)):
            raise Unlike
        self._fixed(owned.span)
        places = None if done.places is None else tuple(map(self._written, done.places))
        return Owning(self._below(owned.name), replace(owned, weights=None), places, done.library)

    def _stays(self, start: Applied) -> bool:
        return not self.everywhere or (start.span.source.library and start.function.of_library)

    def _written(self, place: Span | SizeOf) -> Span | Within | str | NumberedSize:
        if isinstance(place, SizeOf):
            return NumberedSize(self._number(place.node), place.axis)
        return self.arguments.get(id(place)) or self._fixed(place)

    def _fixed(self, span: Span | None) -> Span | Within:
        """A place that is the same in all such calls."""
        if span is None or (self.everywhere and not span.source.library):
            raise Unlike
        return span

    def _number(self, node: str) -> int:
        if node not in self.numbers:
            raise Unlike
        return self.numbers[node]

    def _below(self, name: str, sign: str = ".") -> Below:
        """What is left of a name after that of the layer."""
        path = self.frame.path.replace(".", sign)
        if not _is_below(name, path, sign):
            raise Unlike
        return Below(0, name[len(path) :].removeprefix(sign) if path else name)

    def _result(self, value: Value) -> Value:
        match value:
            case Tensor():
                return Given(self._number(value.var.name), value.batched, value.origin, value.classes)
            case tuple():
                return tuple(map(self._part, value))
        if type(value) not in KNOWN:
            raise Unlike
        return value

    def _part(self, value: Value) -> Value:
        """Of several tensors each keeps the place where it was made, which for an argument is another in every call."""
        if isinstance(value, Tensor) and (value.var.name in self.inputs or id(self._fixed(value.origin)) in self.arguments):
            raise Unlike
        return self._result(value)


class PipelineWriter(Writer):
    """Writes the recipe of a pipeline of a model from the log of its graph: places in its text are counted from where that begins.

    It names the `layers` that it makes; each row of the layer table is what was added since the one before.
    """

    def __init__(self, frame: Frame, text: Span, layers: Sequence[str], numbers: Mapping[str, int], everywhere: bool) -> None:
        super().__init__(frame, text, {}, numbers, everywhere)
        self.text, self.layers = text, layers

    def _step(self, done: object) -> Step | Owning | Ending | Showing | None:
        if not isinstance(done, Row):
            return super()._step(done)
        name = self._below(done.name) if done.name in self.layers else done.name
        return Showing(name, self._fixed(done.span), self._result(done.value))

    def _fixed(self, span: Span | None) -> Span | Within:
        if span and self.text.covers(span):
            return Within(span.start - self.text.start, span.end - self.text.start)
        return super()._fixed(span)

    def _below(self, name: str, sign: str = ".") -> Below:
        for number, layer in enumerate(self.layers, 1):
            if _is_below(name, path := layer.replace(".", sign), sign):
                return Below(number, name[len(path) :].removeprefix(sign))
        return super()._below(name, sign)

    def _result(self, value: Value) -> Value:
        found = super()._result(value)
        return replace(found, origin=self._fixed(value.origin)) if isinstance(found, Given) else found


def _is_below(name: str, path: str, sign: str) -> bool:
    return name.startswith(path) and name[len(path) : len(path) + 1] in ("", sign)
