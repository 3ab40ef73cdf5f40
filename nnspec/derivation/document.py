"""A derivation as text for a terminal, and as a LaTeX document."""

from __future__ import annotations

from collections.abc import Iterable

from nnspec.derivation.chain import Chain, Equation
from nnspec.derivation.signs import Latex
from nnspec.diagnostics import columns, printable
from nnspec.gradcheck import Checked
from nnspec.graph.types import show

PREAMBLE = (
    r"\documentclass{article}",
    r"\usepackage[landscape, margin = 15mm]{geometry}",
    r"\usepackage{amsmath, amssymb}",
    r"\allowdisplaybreaks",
)

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
        f"It depends on {depends}. Checked: {verdict(checked)}.",
    ]  # fmt: skip
    joined = "\n".join(body)
    fonts = [] if joined.isascii() else [r"\usepackage{fontspec}"]
    head = "\n".join([*PREAMBLE, *fonts])
    return f"{head}\n\\begin{{document}}\n{joined}\n\\end{{document}}\n"


def _align(equations: Iterable[Equation]) -> str:
    rows = " \\\\\n".join(f"  {e.left} &= {e.right}" for e in equations)
    return f"\\begin{{align*}}\n{rows}\n\\end{{align*}}"
