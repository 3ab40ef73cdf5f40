"""What the user means by the words of other frameworks, which `vocabulary` lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from unicodedata import name as unicode_name
from unicodedata import normalize, numeric

from nnspec.diagnostics import is_slip, suggest
from nnspec.elaborate import vocabulary
from nnspec.lazy import regex

TRANSPOSED = regex(r"(.+?)(?:\.T|ᵀ)")
FRACTION = regex("[¼-¾⅐-⅞]")
OF_OPTIMIZER = regex(r"(?<=.)_?optimizer\Z", re.I)
OPPOSITE = regex("(?:un|de|non)_?(.+)")
POWER = regex("(.+?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def by_word(table: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """A table of the vocabulary the other way round: what each word stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for here, words in table.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), here)
    return found


def _joined(table: Mapping[str, str]) -> dict[str, str]:
    """A table of names, which one framework writes in one word and another with `_`."""
    return {here: words.replace("_", "") for here, words in table.items()}


SAME, ALIKE = by_word(_joined(vocabulary.SAME)), by_word(_joined(vocabulary.ALIKE))
NAMES = SAME | ALIKE
ARGUMENTS, SETTINGS = by_word(vocabulary.ARGUMENTS), by_word(vocabulary.SETTINGS)
OF_OPTIMIZERS = {word: own for word, (own,) in by_word(vocabulary.OF_OPTIMIZERS).items()}
INSTEAD = {
    **{word.replace("_", ""): said for word, said in vocabulary.SAID.items()},
    **{word: f"it is written `{formula}`" for word, (formula,) in by_word(_joined(vocabulary.FORMULAS)).items()},
    **dict.fromkeys(" ".join(vocabulary.WITHOUT).replace("_", "").split(), "there is none like it: `nnspec doc` lists what there is"),
}
"""What is said of words in whose place no other name may be put, however alike they are spelt."""


def nearest(name: str, known: Collection[str]) -> str | None:
    """What the user probably meant: the same thing in another framework's words, or a near spelling."""
    word = _word(name)
    foreign = _first(NAMES, word, known)
    return foreign or (None if word in INSTEAD or POWER.fullmatch(name) or TRANSPOSED.fullmatch(name) else _spelt(_last(name), known))


def _spelt(word: str, known: Collection[str]) -> str | None:
    """The name of near spelling, unless it says the opposite."""
    near, opposite = suggest(word, known), OPPOSITE.fullmatch(word.lower())
    return None if near and opposite and near.lower() == opposite[1] else near


def twin(name: str, known: Collection[str]) -> str | None:
    """The name that looks the same, but for letters of another alphabet.

    >>> twin("\u0445", ["x", "y"])
    'x'
    """
    look = _look(name)
    return next((k for k in sorted(known) if k != name and _look(k) == look), None)


def _look(name: str) -> str:
    """A name in plain letters: one that is bold or slanted in mathematics is the same letter."""
    plain = "".join(normalize("NFKC", c) if "MATHEMATICAL" in unicode_name(c, "") else c for c in name)
    return plain.translate(vocabulary.LOOK_ALIKE)


def is_safe(name: str, guess: str) -> bool:
    """Whether one name can take the place of another unasked: it is the same thing in other words, or a slip of the pen."""
    low = name.lower()
    return is_slip(_last(name), guess) or guess in (*SAME.get(_word(name), ()), *SETTINGS.get(low, ()), *ARGUMENTS.get(low, ()))


def help_for(name: str) -> str:
    """What is said of a name that nothing here is meant by."""
    if matrix := TRANSPOSED.fullmatch(name):
        return f"it is written `transpose({matrix[1]})`"
    if power := POWER.fullmatch(name):
        return f"a power is written `{power[1]} ^ {normalize('NFKC', power[2])}`"
    if FRACTION.fullmatch(name):
        return f"a fraction is written `{round(numeric(name), 4):g}`"
    return INSTEAD.get(_word(name), "")


def argument(name: str, known: Collection[str]) -> str | None:
    """The argument of a definition that another framework calls so, or one of near spelling."""
    return _first(ARGUMENTS, name.lower(), known) or suggest(name, known)


def setting(name: str, known: Collection[str]) -> str | None:
    """The setting of a train block that another framework calls so, or one of near spelling."""
    return _first(SETTINGS, name.lower(), known) or suggest(name, known)


def _first(words: Mapping[str, tuple[str, ...]], word: str, known: Collection[str]) -> str | None:
    """What a word stands for, of what is known."""
    return next((here for here in words.get(word, ()) if here in known), None)


def _last(name: str) -> str:
    """`ReLU` of `nn.ReLU`, and `Adam` of `AdamOptimizer`."""
    return OF_OPTIMIZER.sub("", name.rsplit(".", 1)[-1].rstrip("_"))


def _word(name: str) -> str:
    """`maxpool2d` of `F.max_pool2d`; `Σ` is no `σ`."""
    last = _last(name)
    return last if last in NAMES else last.lower().replace("_", "")
