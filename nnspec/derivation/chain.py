"""The chain rule for one parameter: every partial derivative once, as a formula, shared by all ways that lead through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise

from nnspec.derivation.formula import ONE, Formula, is_long
from nnspec.derivation.recurrence import Recurrence
from nnspec.derivation.signs import PRODUCT, Signs, Term
from nnspec.derivation.step import GRADIENT, LOSS, Step
from nnspec.derivation.through_time import ThroughTime
from nnspec.derivation.values import Values
from nnspec.record import dataclass

MOST_WAYS, MOST_FACTORS = 6, 30
ZERO = "0"


@dataclass(frozen=True)
class Equation:
    """`left = right`, both as written in some signs."""

    left: str
    right: str


@dataclass(frozen=True)
class Chain:
    """The derivative of the loss of one example by one parameter; without one, by all."""

    values: Values
    parameter: str
    signs: Signs

    @cached_property
    def steps(self) -> list[Step | Recurrence]:
        return self.values.on_the_way(self.parameter) if self.parameter else list(self.values.steps)

    @cached_property
    def on_the_way(self) -> frozenset[str]:
        return frozenset(s.name for s in self.steps)

    @cached_property
    def readers(self) -> dict[str, list[Step | Recurrence]]:
        """The steps on the way that read each value."""
        found: dict[str, list[Step | Recurrence]] = {}
        for step in self.steps:
            for name in step.reads:
                found.setdefault(name, []).append(step)
        return found

    @cached_property
    def through(self) -> dict[str, ThroughTime]:
        """Every loop, by the name of its sequence."""
        return {s.name: ThroughTime(self, s) for s in self.values.steps if isinstance(s, Recurrence)}

    @property
    def loops(self) -> list[ThroughTime]:
        """The loops on the way."""
        return [self.through[s.name] for s in self.steps if s.name in self.through]

    @property
    def depends_on(self) -> list[str]:
        """The parameters that the derivative is computed from."""
        steps = [s for s in self.steps if isinstance(s, Step)] + [s for t in self.loops for s in t.loop.steps]
        inner = {n for t in self.loops for n in t.on_the_way}
        needed = set[str]()
        for step in steps:
            wanted = [n for n in step.reads if n == self.parameter or n in self.on_the_way | inner]
            outputs = [step.backward.outputs.get(GRADIENT + n) for n in wanted]
            needed |= step.backward.needed(filter(None, outputs))
        made = self.values.made_of
        waiting = [n for n in needed if n in made]
        while waiting:
            reads = set(made[waiting.pop()]) - needed
            needed |= reads
            waiting += [n for n in reads if n in made]
        return [n for n in self.values.model.parameters if n in needed]

    # ---- as equations

    def forward(self) -> Iterator[Equation]:
        """What every value is computed from."""
        return (equation for _, equation in self.formulas())

    def formulas(self) -> Iterator[tuple[str, Equation]]:
        """The names of the values, and what each is computed from."""
        for step in self.values.steps:
            rows = self.through[step.name].forward() if isinstance(step, Recurrence) else [(step.name, self.formula_of(step))]
            yield from ((name, Equation(self.signs.name(name).text, formula)) for name, formula in rows)

    def formula_of(self, step: Step, *, spread: bool = False) -> str:
        """What a value is computed from; where it is `spread`, one number is for all its elements."""
        output = step.graph.outputs["value"]
        if step.drawn:
            distribution, *parameters = step.drawn
            return self.signs.call(distribution, [self.signs.number(p) for p in parameters]).text
        if step.graph[output].op.is_source:
            return self.signs.name(output).text
        if is_long(step.graph, output):
            return self.signs.call(step.written, [self.signs.name(n) for n in step.reads]).text
        formula = Formula(step.graph, {n: self.signs.name(n) for n in step.reads}, self.signs)
        return (formula.of(output) if spread else formula.exact(output)).text

    def ways(self) -> int:
        """How many ways lead from the parameter to the loss."""
        number = {LOSS: 1}
        for step in reversed(self.steps):
            for name in step.reads:
                number[name] = number.get(name, 0) + number.get(step.name, 0)
        return number.get(self.parameter, 0)

    def rule(self) -> Equation:
        """The derivative as products of partials, one for each way; of many or long ways, and through a loop, the last step only."""
        left = self.signs.partial(LOSS, self.parameter)
        loops = any(isinstance(s, Recurrence) for s in self.readers[self.parameter])
        ways = list(self._ways(self.parameter)) if self.ways() <= MOST_WAYS and not loops else []
        short = ways and sum(map(len, ways)) <= MOST_FACTORS
        return Equation(left.text, " + ".join(map(self.product, ways) if short else map(self._last, self.readers[self.parameter])))

    def _last(self, step: Step | Recurrence) -> str:
        if isinstance(step, Recurrence):
            return self.through[step.name].rule(self.parameter).text
        return self.product([self.parameter, step.name, LOSS] if step.name != LOSS else [self.parameter, LOSS])

    def _ways(self, name: str) -> Iterator[list[str]]:
        if name == LOSS:
            yield [name]
        for step in self.readers.get(name, ()):
            yield from ([name, *way] for way in self._ways(step.name))

    def product(self, way: list[str]) -> str:
        return self.signs.chained([self.signs.partial(of, by) for by, of in reversed(list(pairwise(way)))])

    def backward(self) -> Iterator[Equation]:
        """Each partial of the loss once, from the loss to the parameter."""
        return (Equation(self.signs.partial(LOSS, name).text, formula) for name, formula in self.derivatives())

    def derivatives(self) -> Iterator[tuple[str, str]]:
        """The names of the values on the way back and the derivative of the loss by each, those inside of a loop after its sequence."""
        for step in reversed(self.steps):
            if step.name != LOSS and not (isinstance(step, Step) and step.drawn):
                yield step.name, self.derivative(step.name)
            if isinstance(step, Recurrence):
                through = self.through[step.name]
                yield from (*through.backward(), *through.starts())
        if self.parameter:
            yield self.parameter, self.derivative(self.parameter)

    def derivative(self, name: str) -> str:
        """The derivative of the loss by one value, from those by the values that are computed from it."""
        shares: list[Term] = []
        for step in self.readers[name]:
            if isinstance(step, Recurrence):
                shares += self.through[step.name].collected(name)
            elif GRADIENT + name in step.backward.outputs:
                shares.append(self.share(step, name))
        return self.signs.sum([(1, s) for s in shares if s.text != ZERO] or [(1, s) for s in shares[:1]]).text

    def share(self, step: Step, by: str, moment: Callable[[str], str] = str) -> Term:
        """What comes to a value from one that is computed from it; inside of a loop, at a moment that changes the names."""
        graph, name = step.backward, moment(step.name)
        output = graph.outputs[GRADIENT + by]
        incoming = ONE if name == LOSS else self.signs.partial(LOSS, name)
        if is_long(graph, output):
            return Term(self.product([moment(by), name, LOSS] if name != LOSS else [by, LOSS]), PRODUCT)
        names: Mapping[str, Term] = {n: self.signs.name(moment(n)) for n in step.reads} | {graph.outputs["value"]: self.signs.name(name)}
        formula = Formula(graph, {**names, "gradient": incoming}, self.signs)
        return formula.share(output) if self.is_of_one_example(step, by) else formula.term(output)

    def is_of_one_example(self, step: Step, by: str) -> bool:
        """Whether the derivative by what is made of parameters alone is that of the loss of one example, and not of all."""
        pooled = self.values.pooled
        shared = not step.type_of(by).has_batch and by not in pooled
        return shared and LOSS not in pooled and (step.type.has_batch or step.name in pooled)
