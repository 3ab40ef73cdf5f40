"""The parser runs tables that Lark has made; Lark itself, on the same texts, decides what is right."""

from __future__ import annotations

import random
from typing import Any

import lark
import pytest
from helpers import ROOT, blocks, tool

from nnspec.syntax.lalr import Token, Tree, Unexpected, concrete, run

TEXTS = [p.read_text("utf-8") for folder in ("specs", "nnspec/std") for p in sorted((ROOT / folder).glob("*.nn"))]
TEXTS += blocks(ROOT / "grammar" / "README.md", "nn")
PIECES = (*'()[]{}=,:~"#@1a', "->", "<-", "<", " then ", " in ", " x ", " loss ", " of ", " steps ", "\n}")


@pytest.fixture(scope="module")
def definition() -> lark.Lark:
    grammar = (ROOT / "grammar" / "nn.lark").read_text("utf-8")
    return lark.Lark(grammar, parser="lalr", start=["start", "signature", "expr"], maybe_placeholders=True)


def test_the_tables_are_those_of_the_grammar() -> None:
    module = tool("parse_tables")
    assert module["OUTPUT"].read_text("utf-8") == module["tables"](), "run `python tools/parse_tables.py`"


def same(ours: Any, theirs: Any) -> bool:
    """Whether trees have the same rules and tokens at the same places."""
    todo = [(ours, theirs)]
    while todo:
        a, b = todo.pop()
        if isinstance(a, Tree):
            if not isinstance(b, lark.Tree) or a.data != b.data or len(a.children) != len(b.children):
                return False
            todo += zip(a.children, b.children, strict=True)
        elif isinstance(a, Token):
            if (a, a.type, a.start_pos, a.end_pos) != (b, b.type, b.start_pos, b.end_pos):
                return False
        elif a is not b:
            return False
    return True


def test_every_text_gives_the_tree_that_lark_gives(definition: lark.Lark) -> None:
    for text in TEXTS:
        assert same(run(text, "start", concrete), definition.parse(text, start="start"))


def ours(text: str) -> Any:
    try:
        return run(text, "start", concrete)
    except Unexpected as error:
        token = error.token
        return (error.position, None, None, None) if token is None else (error.position, token.type, str(token) or None, error.accepted)


def theirs(definition: lark.Lark, text: str) -> Any:
    try:
        return definition.parse(text, start="start")
    except lark.exceptions.UnexpectedCharacters as error:
        return error.pos_in_stream, None, None, None
    except lark.exceptions.UnexpectedToken as error:
        return error.pos_in_stream, error.token.type, str(error.token) or None, frozenset(error.accepts or error.expected)


def test_a_mistake_is_where_lark_finds_it_with_what_lark_would_accept(definition: lark.Lark) -> None:
    draw, wrong = random.Random(3), 0
    for text in TEXTS * 3:
        at = draw.randrange(len(text))
        broken = draw.choice((text[:at] + text[at + 1 :], text[:at] + draw.choice(PIECES) + text[at:], text[:at]))
        a, b = ours(broken), theirs(definition, broken)
        if isinstance(b, lark.Tree):
            assert same(a, b)
        else:
            wrong += 1
            assert a == b
    assert wrong > len(TEXTS)
