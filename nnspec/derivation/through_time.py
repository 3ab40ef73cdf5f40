"""The equations of a loop: its steps forward, and backpropagation through time (Werbos 1990), each partial of step t once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from nnspec.derivation.recurrence import FIRST, LATER, Recurrence
from nnspec.derivation.signs import PRODUCT, Term
from nnspec.derivation.step import GRADIENT, LOSS, Step
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.derivation.chain import Chain


@dataclass(frozen=True)
class ThroughTime:
    """One loop in a derivation."""

    chain: Chain
    loop: Recurrence

    # ---- forward

    def forward(self) -> Iterator[tuple[str, str]]:
        """Names and formulas: the element, the starts, what is computed at step t, and the sequence of it."""
        signs, loop = self.chain.signs, self.loop
        yield loop.item, signs.element(signs.name(loop.walked)).text
        for carried in loop.carried:
            yield carried.start.name, self.chain.formula_of(carried.start, spread=True)
        for step in loop.steps:
            yield step.name, self.chain.formula_of(step)
        yield loop.name, signs.sequence(signs.name(loop.gives), str(loop.length)).text

    # ---- backward

    @cached_property
    def on_the_way(self) -> set[str]:
        """The values of a step that depend on the parameter, or on what does."""
        return self.loop.on_the_way({*self.chain.on_the_way, self.chain.parameter}) if self.chain.parameter else set(self.loop.own)

    def backward(self) -> Iterator[tuple[str, str]]:
        """Names, and the derivatives of the loss by them at step t; by a carried value, also what comes back from step t + 1."""
        for name in (*(s.name for s in reversed(self.loop.steps)), self.loop.item):
            if name in self.on_the_way:
                yield name, self.chain.signs.sum([(1, t) for t in self.shares(name)]).text

    def shares(self, name: str) -> list[Term]:
        """What comes to a value of step t."""
        signs, loop = self.chain.signs, self.loop
        shares = [signs.element(signs.partial(LOSS, loop.name))] if name == loop.gives else []
        shares += self.at(name)
        for carried in loop.carried:
            if carried.now == name:
                shares += self.at(carried.before, LATER)
        return shares

    def at(self, by: str, signs: Mapping[str, str] = MappingProxyType({})) -> list[Term]:
        """What comes to a value from those that are computed from it in a step, perhaps another one than t."""
        return [self.chain.share(step, by, self.loop.at(signs)) for step in self.reading(by)]

    def reading(self, name: str) -> list[Step]:
        return [s for s in self.loop.steps if s.name in self.on_the_way and GRADIENT + name in s.backward.outputs]

    def rule(self, parameter: str) -> Term:
        """The derivative by what all steps read, as products of partials."""
        ways = [self.chain.product([parameter, step.name, LOSS]) for step in self.reading(parameter)]
        signs = self.chain.signs
        return signs.over_time(signs.sum([(1, Term(way, PRODUCT)) for way in ways]), str(self.loop.length))

    def collected(self, by: str) -> list[Term]:
        """What comes to a value outside of the loop."""
        signs, loop = self.chain.signs, self.loop
        found = [signs.over_time(signs.sum([(1, t) for t in shares]), str(loop.length))] if (shares := self.at(by)) else []
        if by == loop.walked:
            found.append(signs.sequence(signs.partial(LOSS, loop.item), str(loop.length)))
        for carried in loop.carried:
            if GRADIENT + by in carried.start.backward.outputs and carried.before in self.on_the_way:
                found.append(self.chain.share(carried.start, by))
        return found

    def starts(self) -> Iterator[tuple[str, str]]:
        """The derivatives by what is carried into the first step, where that depends on the parameter."""
        for carried in self.loop.carried:
            if not {*self.chain.on_the_way, self.chain.parameter}.isdisjoint(carried.start.reads):
                yield carried.start.name, self.chain.signs.sum([(1, t) for t in self.at(carried.before, FIRST)]).text
