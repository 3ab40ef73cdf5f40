"""How formulas are written: in the signs of the language, or in LaTeX."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, ClassVar

from nnspec.diagnostics import printable
from nnspec.graph import Dim, Shape
from nnspec.record import dataclass

SUM, PRODUCT, JUXTAPOSED, SIGNED, ATOM = range(5)
"""How tightly a formula holds together: matrices side by side, as LaTeX has them, more than factors with a sign between."""
MOST_SHOWN = 8
_SMALL = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
_LARGE = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
BELOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₜ₊₋₌", "0123456789t+-=")
ACCENTS = {"\u0302": r"\hat{%s}", "\u0303": r"\tilde{%s}", "\u0304": r"\bar{%s}", "²": "%s^2"}
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", f"{_SMALL} {_LARGE}".split(), strict=True))


@dataclass(frozen=True)
class Term:
    """A formula as text, and how tightly it holds together; a sum knows its terms with their signs.

    `adds_to_one` is said of a vector whose elements do, `is_size` of a number that is a size, `piece` of something between zeros.
    `shape` is the one that the text has as the language reads it.
    """

    text: str
    level: int = ATOM
    terms: tuple[tuple[int, Term], ...] = ()
    adds_to_one: bool = False
    is_size: bool = False
    piece: Piece | None = None
    shape: Shape = ()


@dataclass(frozen=True)
class Piece:
    """The elements from `start` up to `stop` along an axis of one example, of `size` in all."""

    term: Term
    axis: int
    start: Dim
    stop: Dim
    size: Dim


class Signs(ABC):
    """One way of writing."""

    minus = "-"
    ellipsis = "…"

    @abstractmethod
    def name(self, name: str) -> Term: ...

    @abstractmethod
    def partial(self, of: str, by: str) -> Term: ...

    @abstractmethod
    def call(self, function: str, arguments: Sequence[Term]) -> Term: ...

    @abstractmethod
    def times(self, factors: Sequence[Term], coefficient: str) -> str: ...

    @abstractmethod
    def chained(self, partials: Sequence[Term]) -> str: ...

    @abstractmethod
    def over(self, above: str, below: Sequence[Term]) -> Term: ...

    @abstractmethod
    def matmul(self, left: Term, right: Term) -> Term: ...

    @abstractmethod
    def transposed(self, x: Term) -> Term: ...

    @abstractmethod
    def power(self, x: Term, y: Term) -> Term: ...

    @abstractmethod
    def choice(self, condition: Term, then: Term, otherwise: Term) -> Term: ...

    @abstractmethod
    def sequence(self, x: Term, length: str) -> Term:
        """What a value of step t is at every step."""

    @abstractmethod
    def over_time(self, x: Term, length: str) -> Term:
        """The sum of a value over all steps."""

    def element(self, x: Term) -> Term:
        """The element of a sequence at step t."""
        return self.indexed(x, "t")

    def number(self, value: float) -> Term:
        text = f"{value:.10g}" if isfinite(value) else str(value)
        mantissa, exponent = f"{value:.9e}".split("e") if isfinite(value) else (text, 0)
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        return Term(short if len(short) < len(text) else text, ATOM if value >= 0 else SIGNED)

    def constant(self, value: Any) -> Term:
        """A number or a list; of a long list the first and the last."""
        if not isinstance(value, tuple):
            return self.number(value)
        texts = [self.constant(v).text for v in (value if len(value) <= MOST_SHOWN else (*value[:2], value[-1]))]
        return Term(f"[{', '.join(texts if len(value) <= MOST_SHOWN else [*texts[:2], self.ellipsis, texts[2]])}]")

    def indexed(self, x: Term, place: str) -> Term:
        return Term(f"{self.held(x, ATOM)}[{place}]")

    def infix(self, sign: str, left: Term, right: Term, level: int = SUM) -> Term:
        return Term(f"{self.held(left, level + 1)} {sign} {self.held(right, level + 1)}", level)

    def held(self, term: Term, level: int) -> str:
        """The text of a term, in parentheses if it would fall apart beside what holds this tightly."""
        return term.text if term.level >= level else f"({term.text})"

    def sum(self, terms: Sequence[tuple[int, Term]]) -> Term:
        """Terms with their signs, a positive one first if there is one; pieces that lie side by side are one after another."""
        if not terms:
            return self.number(0)
        if tiles := _tiles(terms):
            axis = [Term(f"{self.name('axis').text} = {tiles[0].axis}", SUM)] if tiles[0].axis else []
            return self.call("concat", [*(t.term for t in tiles), *axis])
        flat = [(s * i, t) for s, term in terms for i, t in (term.terms or ((1, term),))]
        flat = [(s, t) for s, t in flat if t.text != "0"] or flat[:1]
        ordered = sorted(flat, key=lambda t: t[0] < 0) if flat[0][0] < 0 else flat
        if len(ordered) == 1 and ordered[0][0] > 0:
            return ordered[0][1]
        (sign, first), *rest = ordered
        text = (self.minus if sign < 0 else "") + self.held(first, PRODUCT if sign > 0 else SIGNED)
        text += "".join(f" {'+' if s > 0 else '-'} {self.held(t, PRODUCT)}" for s, t in rest)
        return Term(text, SUM if rest else SIGNED, tuple(ordered))

    def product(self, coefficient: float, factors: Sequence[Term], below: Sequence[Term]) -> Term:
        """A coefficient, factors, and what they are divided by; a minus sign turns a difference around."""
        if not (factors or below):
            return self.number(coefficient)
        coefficient = coefficient or 0.0  # and not -0
        factors = list(factors)
        turned = next((i for i, f in enumerate(factors) if any(s < 0 for s, _ in f.terms)), None)
        if coefficient < 0 and turned is not None:
            coefficient, factors[turned] = -coefficient, self.sum([(-s, t) for s, t in factors[turned].terms])
        if coefficient < 0:
            return self.sum([(-1, self.product(-coefficient, factors, below))])
        if not below and coefficient == 1 and len(factors) == 1:
            return factors[0]
        number = self.number(coefficient).text if coefficient != 1 or not factors else ""
        above = self.times(factors, number)
        return self.over(above, below) if below else Term(above, PRODUCT)


def _tiles(terms: Sequence[tuple[int, Term]]) -> list[Piece]:
    """The pieces that terms are, in order, if together they are one whole axis and there is more than one."""
    by_start = {t.piece.start: t.piece for s, t in terms if s > 0 and t.piece}
    pieces: list[Piece] = []
    at: Dim = 0
    while at in by_start and (not pieces or by_start[at].axis == pieces[0].axis):
        pieces.append(by_start[at])
        at = pieces[-1].stop
    return pieces if len(pieces) == len(terms) > 1 and at == pieces[0].size else []


class Plain(Signs):
    """The signs of the language, and ᵀ."""

    def name(self, name: str) -> Term:
        return Term(printable(name))

    def partial(self, of: str, by: str) -> Term:
        return Term(f"∂{printable(of)}/∂{printable(by)}")

    def call(self, function: str, arguments: Sequence[Term]) -> Term:
        return Term(f"{function}({', '.join(a.text for a in arguments)})")

    def times(self, factors: Sequence[Term], coefficient: str) -> str:
        return " * ".join([*filter(None, [coefficient]), *(self.held(f, SIGNED) for f in factors)])

    def chained(self, partials: Sequence[Term]) -> str:
        return " · ".join(p.text for p in partials)

    def over(self, above: str, below: Sequence[Term]) -> Term:
        return Term(" / ".join([above, *(self.held(b, SIGNED) for b in below)]), PRODUCT)

    def matmul(self, left: Term, right: Term) -> Term:
        return Term(f"{self.held(left, PRODUCT)} @ {self.held(right, SIGNED)}", PRODUCT)

    def transposed(self, x: Term) -> Term:
        simple = x.level == ATOM and not x.text.startswith("∂") and "(" not in x.text
        return Term(f"{x.text}ᵀ" if simple else f"({x.text})ᵀ")

    def power(self, x: Term, y: Term) -> Term:
        return Term(f"{self.held(x, ATOM)}^{self.held(y, ATOM)}", SIGNED)

    def sequence(self, x: Term, length: str) -> Term:
        return Term(f"({x.text} for t = 1 … {length})")

    def over_time(self, x: Term, length: str) -> Term:
        return Term(f"Σₜ {self.held(x, PRODUCT)}", PRODUCT)

    def choice(self, condition: Term, then: Term, otherwise: Term) -> Term:
        return Term(f"if {condition.text} then {then.text} else {otherwise.text}", SUM)


class Latex(Signs):
    """LaTeX with amsmath."""

    ellipsis = r"\dots"
    relations: ClassVar = {"<=": r"\le", ">=": r"\ge", "==": "=", "!=": r"\ne", "%": r"\bmod", "and": r"\land", "or": r"\lor"}

    def name(self, name: str) -> Term:
        """Letters as letters, words upright, numbers and the step at the end below, and dotted paths below their last part."""
        *path, last = printable(name).split(".")
        found = re.fullmatch(r"(.*?)[_]?([0-9₀-₉]*)(ₜ(?:[₊₋₌]₁)?)?", last)
        assert found
        lowered = [r"\mathrm{" + self.escaped(".".join(path)) + "}"] if path else []
        index = ",".join([*(part.translate(BELOW) for part in found.groups()[1:] if part), *lowered])
        return Term(self.word(found[1]) + (f"_{{{index}}}" if index else ""))

    def word(self, word: str) -> str:
        if word in GREEK or word in GREEK.values():
            return f"\\{GREEK.get(word, word)}"
        bare = unicodedata.normalize("NFD", word)
        if len(bare) == 2 and bare[1] in ACCENTS:
            return ACCENTS[bare[1]] % self.word(bare[0])
        return word if len(word) == 1 and word.isascii() and word.isalpha() else r"\mathrm{" + self.escaped(word) + "}"

    @staticmethod
    def escaped(text: str) -> str:
        return re.sub(r"([_%#&$])", r"\\\1", text).replace("^", r"\hat{}")

    def partial(self, of: str, by: str) -> Term:
        return Term(rf"\frac{{\partial {self.name(of).text}}}{{\partial {self.name(by).text}}}")

    def number(self, value: float) -> Term:
        plain = super().number(value)
        mantissa, _, exponent = plain.text.partition("e")
        return replace(plain, text=rf"{mantissa} \cdot 10^{{{int(exponent)}}}") if exponent else plain

    def infix(self, sign: str, left: Term, right: Term, level: int = SUM) -> Term:
        return super().infix(self.relations.get(sign, sign), left, right, level)

    def call(self, function: str, arguments: Sequence[Term]) -> Term:
        if function == "sqrt":
            return Term(rf"\sqrt{{{arguments[0].text}}}")
        sign = r"\sigma" if function == "sigmoid" else rf"\operatorname{{{self.escaped(function)}}}"
        return Term(rf"{sign}\left({', '.join(a.text for a in arguments)}\right)")

    def times(self, factors: Sequence[Term], coefficient: str) -> str:
        held = r" \odot ".join(self.held(f, SIGNED) for f in factors)
        return rf"{coefficient} \, {held}" if coefficient and held else coefficient or held

    def chained(self, partials: Sequence[Term]) -> str:
        return r" \cdot ".join(p.text for p in partials)

    def over(self, above: str, below: Sequence[Term]) -> Term:
        return Term(rf"\frac{{{above}}}{{{self.times(below, '')}}}")

    def matmul(self, left: Term, right: Term) -> Term:
        return Term(rf"{self.held(left, JUXTAPOSED)} \, {self.held(right, SIGNED)}", JUXTAPOSED)

    def transposed(self, x: Term) -> Term:
        simple = x.level == ATOM and "\\frac" not in x.text and "^" not in x.text
        return Term((x.text if simple else rf"\left({x.text}\right)") + r"^{\top}")

    def power(self, x: Term, y: Term) -> Term:
        base = x.text if x.level == ATOM and "^" not in x.text else rf"\left({x.text}\right)"
        return Term(f"{base}^{{{y.text}}}", SIGNED)

    def sequence(self, x: Term, length: str) -> Term:
        return Term(rf"\left({x.text}\right)_{{t=1}}^{{{length}}}")

    def over_time(self, x: Term, length: str) -> Term:
        return Term(rf"\sum_{{t=1}}^{{{length}}} {self.held(x, PRODUCT)}", PRODUCT)

    def choice(self, condition: Term, then: Term, otherwise: Term) -> Term:
        rows = rf"{then.text} & \text{{if }} {condition.text} \\ {otherwise.text} & \text{{otherwise}}"
        return Term(rf"\begin{{cases}} {rows} \end{{cases}}")

    def held(self, term: Term, level: int) -> str:
        return term.text if term.level >= level else rf"\left({term.text}\right)"
