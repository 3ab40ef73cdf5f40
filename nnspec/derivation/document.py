"""A derivation as text for a terminal, and as a LaTeX document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nnspec.derivation.chain import Chain, Equation
from nnspec.derivation.signs import Latex
from nnspec.diagnostics import columns, printable
from nnspec.gradcheck import Checked
from nnspec.graph.types import show

PREAMBLE = (r"\usepackage{amsmath, amssymb}", r"\allowdisplaybreaks")
MARGIN, LETTER, A4 = 15, 2.4, 297
"""Millimetres around a page, of a letter in a formula, and of a page across."""

WIDEST = 100
"""Letters of a formula on a line of such a page, beside its left side."""
_FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
_GROUP = re.compile(r"(?<!\\frac)(?<!\})\{([^{}]*)\}")
_UNSEEN = re.compile(r"\\(?:left|right|operatorname|mathrm|begin|end)\b|\\[,!]|[\^_ ]")
_SIGN = re.compile(r"\\[A-Za-z]+(?<!\\frac)")
_NESTED = re.compile(r"\\(?:left|begin)\b|\\(?:right|end)\b|[{}]| (?:[+-]|\\cdot|\\odot) (?!10\^)")

AFTER_THE_LAST = "After the last step there is none, and what would come back from it is 0."


def verdict(checked: Checked) -> str:
    """What the numeric check has found."""
    return f"{checked.directions} directions against finite differences in float64, error {checked.error:.1e}: {checked.verdict}"


def text(chain: Chain, checked: Checked) -> str:
    """Forward, the chain rule, every partial once, and what they come to."""
    shape = show(chain.values.sources[chain.parameter].shape)
    number = chain.ways()
    ways = "" if number == 1 else f", by {number:,} ways"
    name = printable(chain.values.model.name)
    parts = [
        f"{name}: the loss L of one example by {printable(chain.parameter)}, {shape}{ways}{_minimized(chain)}",
        _aligned(chain.forward()),
        _aligned([chain.rule()]),
        _aligned(chain.backward()) + (f"\n\n{AFTER_THE_LAST}" if chain.loops else ""),
        f"depends on: {', '.join(map(printable, chain.depends_on))}\ncheck: {verdict(checked)}",
    ]
    return "\n\n".join(parts)


def _minimized(chain: Chain) -> str:
    """Which losses are minimised, if not all."""
    values = chain.values
    some = len(values.losses) < len(values.model.losses)
    return f"; L is {' + '.join(map(printable, values.losses))}, by which it is trained" if some else ""


def _aligned(equations: Iterable[Equation]) -> str:
    rows = list(equations)
    width = max(columns(e.left) for e in rows)
    return "\n".join(f"{e.left}{' ' * (width - columns(e.left))} = {e.right}" for e in rows)


def latex(chain: Chain, checked: Checked) -> str:
    """A document that compiles by itself; names beyond ASCII and Greek want lualatex or xelatex."""
    escaped, name = Latex.escaped, printable(chain.values.model.name)
    blocks = [_align(part) for part in (chain.forward(), [chain.rule()], chain.backward())]
    depends = ", ".join(f"${Latex().name(n).text}$" for n in chain.depends_on)
    body = [
        f"\\section*{{{escaped(name)}: $\\partial L / \\partial {Latex().name(chain.parameter).text}$}}",
        f"Forward, for one example{escaped(_minimized(chain))}:", blocks[0],
        "The chain rule:", blocks[1], "Every partial derivative once:", blocks[2],
        f"\\raggedright It depends on {depends}. Checked: {verdict(checked)}.",
    ]  # fmt: skip
    joined = "\n".join(body)
    fonts = [] if joined.isascii() else [r"\usepackage{fontspec}"]
    head = "\n".join([r"\documentclass{article}", _page(blocks), *PREAMBLE, *fonts])
    return f"{head}\n\\begin{{document}}\n{joined}\n\\end{{document}}\n"


def _page(blocks: Iterable[str]) -> str:
    """The page that holds the widest formula, if it is no A4 across."""
    across = 2 * MARGIN + LETTER * max(map(_width_of, blocks))
    paper = "landscape" if across <= A4 else f"paperwidth = {across:.0f}mm, paperheight = 210mm"
    return f"\\usepackage[{paper}, margin = {MARGIN}mm]{{geometry}}"


def _width_of(block: str) -> int:
    """The letters of its widest left side and right side."""
    sides = zip(*(row.split("&", 1) for row in block.splitlines() if "&" in row), strict=True)
    return sum(max(map(_width, side)) for side in sides)


def _align(equations: Iterable[Equation]) -> str:
    rows = " \\\\\n".join(f"  {e.left} &= {_in_lines(e.right)}" for e in equations)
    return f"\\begin{{align*}}\n{rows}\n\\end{{align*}}"


def _in_lines(formula: str) -> str:
    """A formula that is wider than the page goes on in the next line with an operator outside of all brackets."""
    return " \\\\\n  &\\quad {}".join(_lines(formula, "+-", "\\cdot", "\\odot"))


def _lines(formula: str, operators: str, *others: str) -> Iterator[str]:
    """As many terms a line as there is room for; a term that has no room is cut at its factors."""
    line = ""
    for term in _terms(formula, operators):
        if line and _width(line + term) > WIDEST:
            yield line
            line = ""
        if others and _width(term) > WIDEST:
            *whole, line = _lines(line + term, *others)
            yield from whole
        else:
            line += term
    yield line


def _terms(formula: str, operators: str) -> Iterator[str]:
    """The formula before each of some operators that stand outside of all brackets, each at the beginning of what follows."""
    depth = begun = 0
    for sign in _NESTED.finditer(formula):
        if sign[0][0] != " ":
            depth += 1 if sign[0] in ("{", "\\left", "\\begin") else -1
        elif depth == 0 and sign[0].strip() in operators:
            yield formula[begun : sign.start()]
            begun = sign.start()
    yield formula[begun:]


def _width(formula: str) -> int:
    """How many letters wide a formula is, roughly: of a fraction the wider side counts."""
    seen, before = _SIGN.sub("x", _UNSEEN.sub("", formula)), ""
    while seen != before:
        before, seen = seen, _GROUP.sub(r"\1", _FRACTION.sub(lambda f: max(f[1], f[2], key=len), seen))
    return len(seen)
