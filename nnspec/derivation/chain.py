"""The chain rule for one parameter: every partial derivative once, as a formula, shared by all ways that lead through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise

from nnspec.derivation.formula import ONE, Formula, is_long
from nnspec.derivation.signs import PRODUCT, Signs, Term
from nnspec.derivation.values import GRADIENT, LOSS, Step, Values
from nnspec.record import dataclass

MOST_WAYS, MOST_FACTORS = 6, 30


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
    def steps(self) -> list[Step]:
        return self.values.on_the_way(self.parameter) if self.parameter else list(self.values.steps)

    @cached_property
    def readers(self) -> dict[str, list[Step]]:
        """The steps on the way that read each value."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in step.reads:
                found.setdefault(name, []).append(step)
        return found

    @property
    def depends_on(self) -> list[str]:
        """The parameters that the derivative is computed from."""
        needed = set[str]()
        for step in self.steps:
            for by in step.reads:
                if by == self.parameter or any(by == s.name for s in self.steps):
                    graph = step.backward
                    output = graph.outputs.get(GRADIENT + by)
                    needed |= graph.needed([output]) if output else set()
        made = {s.name: s for s in self.values.steps}
        waiting = [n for n in needed if n in made]
        while waiting:
            reads = set(made[waiting.pop()].reads) - needed
            needed |= reads
            waiting += [n for n in reads if n in made]
        return [n for n in self.values.model.parameters if n in needed]

    # ---- as equations

    def forward(self) -> Iterator[Equation]:
        """What every value is computed from."""
        for step in self.values.steps:
            yield Equation(self.signs.name(step.name).text, self.formula_of(step))

    def formula_of(self, step: Step) -> str:
        output = step.graph.outputs["value"]
        if is_long(step.graph, output):
            return self.signs.call(step.written, [self.signs.name(n) for n in step.reads]).text
        if step.graph[output].op.name == "reshape" and not Formula(step.graph, {}, self.signs).says_nothing(step.graph[output]):
            return self.signs.call(step.written.partition("(")[0], [self.signs.name(n) for n in step.reads]).text
        names = {n: self.signs.name(n) for n in step.reads}
        return Formula(step.graph, names, self.signs).of(output).text

    def ways(self) -> int:
        """How many ways lead from the parameter to the loss."""
        number = {LOSS: 1}
        for step in reversed(self.steps):
            for name in step.reads:
                number[name] = number.get(name, 0) + number.get(step.name, 0)
        return number.get(self.parameter, 0)

    def rule(self) -> Equation:
        """The derivative as products of partials, one for each way; of many or long ways the last step only."""
        left = self.signs.partial(LOSS, self.parameter)
        ways = list(self._ways(self.parameter)) if self.ways() <= MOST_WAYS else []
        if not ways or sum(map(len, ways)) > MOST_FACTORS:
            ways = [[self.parameter, s.name, LOSS] if s.name != LOSS else [self.parameter, LOSS] for s in self.readers[self.parameter]]
        return Equation(left.text, " + ".join(map(self._product, ways)))

    def _ways(self, name: str) -> Iterator[list[str]]:
        if name == LOSS:
            yield [name]
        for step in self.readers.get(name, ()):
            yield from ([name, *way] for way in self._ways(step.name))

    def _product(self, way: list[str]) -> str:
        return self.signs.chained([self.signs.partial(of, by) for by, of in reversed(list(pairwise(way)))])

    def backward(self) -> Iterator[Equation]:
        """Each partial of the loss once, from the loss to the parameter."""
        for name in (*(s.name for s in reversed(self.steps) if s.name != LOSS), self.parameter):
            yield Equation(self.signs.partial(LOSS, name).text, self.derivative(name))

    def derivative(self, name: str) -> str:
        """The derivative of the loss by one value, from those by the values that are computed from it."""
        shares = [self.share(step, name) for step in self.readers[name] if GRADIENT + name in step.backward.outputs]
        return self.signs.sum([(1, s) for s in shares]).text

    def share(self, step: Step, by: str) -> Term:
        """What comes to a value from one that is computed from it."""
        graph = step.backward
        output = graph.outputs[GRADIENT + by]
        incoming = ONE if step.name == LOSS else self.signs.partial(LOSS, step.name)
        if is_long(graph, output):
            return Term(self._product([by, step.name, LOSS] if step.name != LOSS else [by, LOSS]), PRODUCT)
        names: Mapping[str, Term] = {n: self.signs.name(n) for n in step.reads} | {graph.outputs["value"]: self.signs.name(step.name)}
        return Formula(graph, {**names, "gradient": incoming}, self.signs, not graph[output].type.has_batch).term(output)
