"""A loop as a lecture writes it: the formulas of step t, of the element and the carried values at t - 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from nnspec.derivation.step import Step, local, step_of
from nnspec.drawing.body import Body
from nnspec.graph import Dim, Graph, Type
from nnspec.record import dataclass

NOW, BEFORE, AFTER = "ₜ", "ₜ₋₁", "ₜ₊₁"
LATER = {BEFORE: NOW, NOW: AFTER}
FIRST = {BEFORE: "₀", NOW: "ₜ₌₁"}


@dataclass(frozen=True)
class Carried:
    """A value that goes from step to step: what it is called now and at the step before, and what it starts as."""

    now: str
    before: str
    start: Step


@dataclass(frozen=True)
class Recurrence:
    """The sequence `name` of what the carried value `gives` is after every step; `item` is the element of `walked` that a step reads."""

    name: str
    written: str
    type: Type
    walked: str
    walked_type: Type
    item: str
    length: Dim
    steps: tuple[Step, ...]
    carried: tuple[Carried, ...]
    gives: str

    @cached_property
    def own(self) -> frozenset[str]:
        """What has another value at every step."""
        return frozenset((self.item, *(s.name for s in self.steps), *(c.before for c in self.carried)))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The values outside of the loop that it is computed from."""
        inner = (n for s in (*self.steps, *(c.start for c in self.carried)) for n in s.reads)
        return tuple(dict.fromkeys((self.walked, *(n for n in inner if n not in self.own))))

    @property
    def made_of(self) -> dict[str, tuple[str, ...]]:
        """The names that its value, and each of its own, is computed from."""
        made = {s.name: s.reads for s in (*self.steps, *(c.start for c in self.carried))}
        return made | {self.name: (self.gives,), self.item: (self.walked,)} | {c.before: (c.now, c.start.name) for c in self.carried}

    def type_of(self, name: str) -> Type:
        """The type of a value that it reads."""
        steps = (*self.steps, *(c.start for c in self.carried))
        return self.walked_type if name == self.walked else next(s.type_of(name) for s in steps if name in s.reads)

    def on_the_way(self, names: set[str]) -> set[str]:
        """Those of its own values that depend on some values outside or within."""
        known, number = set(names) | ({self.item} if self.walked in names else set()), -1
        known |= {c.before for c in self.carried if not known.isdisjoint(c.start.reads)}
        while number != len(known):
            number = len(known)
            known |= {s.name for s in self.steps if not known.isdisjoint(s.reads)}
            known |= {c.before for c in self.carried if c.now in known}
        return known & self.own

    def at(self, signs: Mapping[str, str]) -> Callable[[str], str]:
        """Names at another moment: of its own values, with other signs of time."""

        def moved(name: str) -> str:
            sign = next((s for s in signs if name.endswith(s)), "") if name in self.own else ""
            return name.removesuffix(sign) + signs.get(sign, "")

        return moved


@dataclass
class Unrolling:
    """The work of naming one body's values; `names` are those of nodes, `prefix` tells the values of a layer from those of another."""

    body: Body
    names: dict[str, str]
    prefix: str

    def key(self, called: str, sign: str = NOW) -> str:
        return f"{self.prefix}{called.removesuffix('_t')}{sign}"

    def steps(self) -> Iterator[Step]:
        """Everything that the spec gives a name in the body, and all that is carried."""
        body = self.body
        self.names[body.element] = self.key(body.item)
        self.names |= {node: self.key(called, BEFORE) for called, node in body.before.items()}
        for node in [n.name for n in body.graph if n.name in body.called and not n.op.is_source]:
            step = step_of(self.key(body.called[node]), self.key(body.called[node]), local(body.graph, node, self.names))
            self.names[node] = step.name
            yield step
        for called, node in body.graph.outputs.items():
            if self.names[node] != self.key(called):  # it stays what it was, or is another one of these values
                yield step_of(self.key(called), called, local(body.graph, node, self.names))

    def carried(self, outer: Graph, names: Mapping[str, str]) -> Iterator[Carried]:
        for called, node in self.body.starts.items():
            start = step_of(self.key(called, "₀"), called, local(outer, node, names))
            yield Carried(self.key(called), self.key(called, BEFORE), start)
