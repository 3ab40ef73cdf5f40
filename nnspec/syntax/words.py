"""The words and signs of the language as a person knows them: the one table behind messages and highlighters."""

from __future__ import annotations

import re
from collections.abc import Collection

from nnspec.lazy import regex

DEFINITION_WORDS = ("import", "let", "fn", "layer", "model", "train", "optimizer", "schedule", "init", "test")
DEFINITION = regex(rf"^(?:{'|'.join(DEFINITION_WORDS)})\b", re.M)
TEST_WORDS = ("given", "steps")
"""What begins a statement in tests only."""
STATEMENT_WORDS = (
    "input", "target", "output", "loss", "metric", "expect", "param", "state", "share", "lookahead", "return", "if",
    *TEST_WORDS, *DEFINITION_WORDS,
)  # fmt: skip
SETTING_WORDS = (
    "data", "validation", "test", "batch", "epochs", "steps", "optimizer", "schedule", "penalty", "clip", "stop", "augment", "seed",
    "start", "checkpoint", "minimize", "update", "freeze",
)  # fmt: skip
"""What begins a setting of a training; to the grammar they are names."""
OTHER_WORDS = ("nnspec", "of", "with", "then", "else", "repeat", "scan", "in", "as", "from", "or", "and", "not", "true", "false")

_NAME = regex(r"[^\W\d]\w*")
_SIGNS = {
    "ARROW": "->", "LARROW": "<-", "TILDE": "~", "EQ": "=", "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]",
    "LBRACE": "{", "RBRACE": "}", "COMMA": ",", "COLON": ":", "DOT": ".", "STAR": "*",
}  # fmt: skip
_ONLY = {sign: _SIGNS[sign] for sign in ("EQ", "COLON", "TILDE", "LPAR", "RPAR", "LBRACE", "ARROW")} | {w.upper(): w for w in OTHER_WORDS}
_KINDS = {"NAME": "a name", "NUMBER": "a number", "STRING": "a text in quotes"}
VALUE_STARTS = {"NAME", "NUMBER", "LPAR"}


def is_name(text: str) -> bool:
    """Whether a text is a name wherever it stands.

    >>> is_name("h₁"), is_name("1h"), is_name("loss")
    (True, False, False)
    """
    return bool(_NAME.fullmatch(text)) and text not in (*STATEMENT_WORDS, *OTHER_WORDS)


def describe(expected: Collection[str]) -> str:
    """What may come next, in words: "expected `)` or `,`"; nothing when too much could."""
    names = set(expected)
    if names >= VALUE_STARTS:
        return "expected a value"
    words = [f"`{w}`" for w in (*STATEMENT_WORDS, *OTHER_WORDS) if w.upper() in names]
    signs = [f"`{_SIGNS[n]}`" for n in _SIGNS if n in names]
    kinds = [_KINDS[n] for n in _KINDS if n in names]
    if 0 < len(kinds) + len(signs) + len(words) <= 4:
        return "expected " + " or ".join(kinds + signs + words)
    if names >= {"RBRACE"} and words:
        return "expected a statement or `}`"
    return "expected a definition" if set(map(str.upper, DEFINITION_WORDS)) <= names else ""


def only_sign(expected: Collection[str]) -> str:
    """The one sign or word that may come next; nothing when there are several, or a value is due."""
    (name,) = expected if len(expected) == 1 else ("",)
    return _ONLY.get(name, "")
