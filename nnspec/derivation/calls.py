"""Calls of functions in formulas, each with the shape of its value, and the sizes and axes that they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nnspec.derivation.signs import SUM, Signs, Term
from nnspec.graph import Dim, Shape
from nnspec.graph.types import count
from nnspec.record import dataclass


@dataclass(frozen=True)
class Calls:
    """Writes them in some signs."""

    signs: Signs

    def shaped(self, term: Term, shape: Shape) -> Term:
        if term.shape == shape:
            return term
        if shape == tuple(d for d in term.shape if d != 1):
            return self.of("squeeze", shape, term)
        if shape == (count(term.shape),) and len(term.shape) > 1:
            return self.of("flatten", shape, term)
        return self.of("reshape" if count(term.shape) == count(shape) else "expand", shape, term, self.sizes(shape))

    def of(self, function: str, shape: Shape, *arguments: Term) -> Term:
        return replace(self.signs.call(function, arguments), shape=shape)

    def sizes(self, shape: Shape) -> Term:
        return Term(f"[{', '.join(self.size(d).text for d in shape)}]")

    def size(self, size: Dim) -> Term:
        """A size that may be known only at run time."""
        if isinstance(size, int):
            return self.signs.number(size)
        parts = [(factor, [self.signs.name(n) for n in names]) for names, factor in size.terms]
        return self.signs.sum([(1 if factor > 0 else -1, self.signs.product(abs(factor), names, [])) for factor, names in parts])

    def ways(self, over: list[int], shape: Shape, *, keep: bool) -> list[Term]:
        """How a reduction goes: along which axes, if not all, and whether they stay."""
        kept = [Term(f"{self.signs.name('keep').text} = {self.signs.name('true').text}", SUM)] if keep else []
        return [*([self.axis(over)] if len(over) < len(shape) else []), *kept]

    def axis(self, axes: Sequence[int]) -> Term:
        text = str(axes[0]) if len(axes) == 1 else f"[{', '.join(map(str, axes))}]"
        return Term(f"{self.signs.name('axis').text} = {text}", SUM)
