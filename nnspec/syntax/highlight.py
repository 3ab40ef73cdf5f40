"""What a piece of a spec is to the eye: the one table from which all highlighters are made."""

from __future__ import annotations

from nnspec.syntax.words import DEFINITION_WORDS, OTHER_WORDS, STATEMENT_WORDS

OPERATOR_WORDS = ("and", "or", "not")
CONSTANTS = ("true", "false")
NAME = r"[^\W\d]\w*"
_NAMED = tuple(w for w in DEFINITION_WORDS if w not in ("import", "test"))
_INNER = tuple(w for w in OTHER_WORDS if w not in (*OPERATOR_WORDS, *CONSTANTS))


def _any(words: tuple[str, ...]) -> str:
    return rf"\b(?:{'|'.join(words)})\b"


RULES = (
    ("comment", r"#[^\n]*"),
    ("string", r'"[^"\n]*"'),
    ("number", r"\b[0-9](?:_?[0-9])*(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9]+)?"),
    ("definition", rf"({_any(_NAMED)})([ \t]+)({NAME})(?=\s*[({{=])"),
    ("statement", rf"(?<![^\s{{}}]){_any(STATEMENT_WORDS)}(?=[ \t]*[\w\"({{\[-])"),
    ("word", rf"{_any(_INNER)}(?!\s*=(?!=))"),
    ("operator word", _any(OPERATOR_WORDS)),
    ("constant", _any(CONSTANTS)),
    ("call", rf"{NAME}(?=\()"),
    ("argument", rf"{NAME}(?=\s*(?:=(?!=)|<-))"),
    ("name", NAME),
    ("operator", r"->|<-|~=|==|!=|<=|>=|[-~<>=+*/@%^:.]"),
    ("bracket", r"[()\[\]{},]"),
)
"""Kinds with their patterns, of which the first that matches counts. Parts of a definition are its word, a space and its name."""
