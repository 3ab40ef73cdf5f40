"""Signs of mathematics, from a blackboard or a text in LaTeX, and how the language writes what they mean. One row each."""

from __future__ import annotations

import re

from nnspec.syntax.slip import Slip

_MARKS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0307": "dot", "\u0308": "ddot", "\u20d7": "vec"}
"""What is said of a letter with a mark above it; most letters have no sign of their own with it, as `ŷ` has."""
_BARS = r"(?:\|\||‖)"
_SQUARED = r"(?:_\{?[2F]\}?)?[ \t]*(?:\^[ \t]*2(?![\w.])|\^\{2\}|²)"
_NORMS = {_SQUARED: "sum({}^2)", r"(?:_\{?[2F]\}?)?(?!_)": "sqrt(sum({}^2))"}
"""What stands behind the second bars of a norm, and the formula that it is."""


def _sign(pattern: str, means: str, fix: str | None = None) -> Slip:
    return Slip("E004", re.compile(pattern), r"`\g<0>` is a sign of mathematics", means, fix)


def _bracket(pattern: str, fix: str, safe: bool) -> Slip:
    """A bracket whose both ends look alike: it begins where a value is due."""
    return Slip("E004", re.compile(pattern), r"`\g<0>` is a sign of mathematics", fix=fix, safe=safe, begins=True)


def _norms() -> tuple[Slip, ...]:
    """Of a name, which needs no brackets, and of any formula."""
    inner = {r"([^\W\d][\w.]*)": r"\1", r"([^|‖\n]*[^|‖\s])": r"(\1)"}
    return tuple(
        _bracket(rf"{_BARS}[ \t]*{value}[ \t]*{_BARS}{behind}", formula.format(base), safe=True)
        for behind, formula in _NORMS.items()
        for value, base in inner.items()
    )


SIGNS = (
    *_norms(),
    _bracket(rf"{_BARS}[ \t]*([^|‖\n]*[^|‖\s])[ \t]*{_BARS}_\{{?1\}}?", r"sum(abs(\1))", safe=True),
    _bracket(r"\|(?!\|)[ \t]*([^|\n]*[^|\s])[ \t]*\|(?!\|)", r"abs(\1)", safe=False),
    _sign(
        r"(?<=[\w)\]])(?:\|\|?|‖)([^|‖\n]*[^|‖\s])(?:\|\|?|‖)(?![ \t]*[\w(|])",
        "with a sign before it, a length squared is `* sum(x ^ 2)`, and an absolute value `* abs(x)`",
    ),
    _sign(r"√\s*(?:\(([^()\n]*)\)|([^\W\d][\w.]*|\d[\d.]*))", "", r"sqrt(\1\2)"),
    _sign(r"√", "a root is written `sqrt(x)`"),
    _sign(r"∑", "a sum is written `sum(x)`"),
    _sign(r"‖", "a length is written `sqrt(sum(x ^ 2))`"),
    _sign(r"∞", "a bound that is no bound is a large number, such as `1e30`"),
    _sign(r"(?<=[\w)\]])['⊤]", "a matrix is turned by `transpose(x)`"),
    _sign(r"[∇∂]", "a gradient is written `grad(y, x)`"),
    _sign(r"∈", "a type follows `:`, as in `x: [4]`; a `scan` walks `e in x`"),
    _sign(r"∧", "both conditions hold: `a and b`", "and"),
    _sign(r"∨", "one of the conditions holds: `a or b`", "or"),
    _sign(r"¬", "the opposite of a condition: `not a`", "not "),
    _sign(r"∘", "a product of elements is written `*`, and a function of another's value `x -> f -> g`"),
    _sign(r"≈", "that two values are equal to the digits written is `a ~= b`"),
    _sign(r"⌊|⌋", "a number is rounded down by `floor(x)`"),
    _sign(r"⌈|⌉", "a number is rounded up by `ceil(x)`"),
    _sign(r"±|∓", "each of the two is a value of its own: `a + b` and `a - b`"),
    _sign(r"(?<=[\w)\]])!(?!=)", "there is none like it here"),
    Slip("E004", re.compile(r"\b([^\W\d]\w*?)_?\{\\(?:text|mathrm|rm)\{(\w+)\}\}"), r"`\g<0>` is a subscript of LaTeX", fix=r"\1_\2"),
    Slip("E004", re.compile(r"\b([^\W\d]\w*?)_\{(\w+)\}"), r"`\g<0>` is a subscript of LaTeX", fix=r"\1_\2"),
    Slip(
        "E004", re.compile(r"\b([^\W\d]\w*?)_\{([^{}\n]*)\}"), r"`\g<0>` is a subscript of LaTeX",
        r"a name is one word, and an element of `\1` is written `\1[...]`",
    ),
    Slip("E004", re.compile(r"\^\{([\w.]+)\}"), r"`\g<0>` is a power of LaTeX", fix=r"^\1"),
    Slip("E004", re.compile(r"\^\{([^{}\n]*)\}"), r"`\g<0>` is a power of LaTeX", fix=r"^(\1)"),
    Slip("E004", re.compile(r"\\(?:cdot|times|odot|ast)\b"), r"`\g<0>` is a command of LaTeX", "a product is written `*`", "*"),
    Slip("E004", re.compile(r"\\frac\{([^{}\n]*)\}\{([^{}\n]*)\}"), r"`\g<0>` is a command of LaTeX", fix=r"((\1) / (\2))"),
    Slip("E004", re.compile(r"\\sqrt\{([^{}\n]*)\}"), r"`\g<0>` is a command of LaTeX", fix=r"sqrt(\1)"),
    Slip(
        "E004", re.compile(r"\\([a-zA-Z]+)"), r"`\g<0>` is a command of LaTeX",
        r"a name stands without `\\`: `\1`, or the letter itself", r"\1", safe=False,
    ),
    *(
        Slip("E007", re.compile(rf"([^\W\d]\w*){mark}"), r"`\g<0>` cannot be a name: there is no letter with this mark", fix=rf"\1_{word}",
             safe=False)
        for mark, word in _MARKS.items()
    ),
)  # fmt: skip
"""Those whose match covers the place."""

BEHIND = (Slip("E004", re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?=\s*\Z)"), r"`\g<0>` is a sign of mathematics", "a power is written `x ^ 2`"),)
"""Those that show only a little further on."""
