"""Runs the tables of the grammar over a text: tokens as the state of the parser can take them, and the rules that they complete.

The tables are Lark's (`tools/parse_tables.py`); reading them with it would take longer than checking a spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nnspec.record import dataclass
from nnspec.syntax.tables import CALLBACKS, ENDS, ROW_OF_STATE, ROWS, RULES, STARTS, WORDS

END = "$END"
NONE = -1
TRUTHS = ("TRUE", "FALSE")
"""Words that are never names."""
MAX_NESTING, LONGEST_NAME = 200, 128
Build = Callable[[int, list[Any], int, int], Any]
"""What takes the number of a callback, the children of its rule, and from where to where they stand in the text."""

_COMMENT = re.compile(r"#[^\n]*")
_TOKEN = re.compile(
    r"\s*(?:#[^\n]*\s*)*"
    r'(?:(?P<NAME>[^\W\d]\w*)|(?P<NUMBER>[0-9](?:_?[0-9])*(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9]+)?)|(?P<STRING>"[^"\n]*")'
    r"|(?P<SIGN>->|<-|~=|==|!=|<=|>=|[-~<>=+*/@%^()\[\]{},:.])|)"
)
_ACCEPTING = frozenset(ENDS.values())
_DEPTH = {"LPAR": 1, "LSQB": 1, "LBRACE": 1, "RPAR": -1, "RSQB": -1, "RBRACE": -1}
_SIGNS = {
    "->": "ARROW", "<-": "LARROW", "~=": "ABOUT", "~": "TILDE", "==": "SAME", "!=": "DIFFERENT", "<=": "LESSEQ", ">=": "MOREEQ",
    "<": "LESS", ">": "MORE", "=": "EQ", "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "@": "AT", "%": "PERCENT", "^": "CARET",
    "(": "LPAR", ")": "RPAR", "[": "LSQB", "]": "RSQB", "{": "LBRACE", "}": "RBRACE", ",": "COMMA", ":": "COLON", ".": "DOT",
}  # fmt: skip


class Token(str):
    """A piece of the text, of one of the grammar's terminals."""

    __slots__ = ("end_pos", "start_pos", "type")
    type: str
    start_pos: int
    end_pos: int


def token_of(kind: str, text: str, start: int) -> Token:
    token = Token(text)
    token.type, token.start_pos, token.end_pos = kind, start, start + len(text)
    return token


@dataclass(frozen=True)
class Tree:
    """What a rule of the grammar has matched, every token in it; an optional part that is absent is None."""

    data: str
    children: list[Any]


class Unexpected(Exception):
    """The text cannot go on as it does at `position`: with this token, or a character that begins none; `accepted` can stand there."""

    def __init__(self, position: int, token: Token | None, accepted: frozenset[str]) -> None:
        self.position, self.token, self.accepted = position, token, accepted
        super().__init__(f"at {position}")


def tokens_of(part: Tree | Token) -> Iterator[Token]:
    """All tokens of a tree, in the order of the text; nothing recurses."""
    todo: list[Tree | Token] = [part]
    while todo:
        part = todo.pop()
        if isinstance(part, Tree):
            todo += reversed([child for child in part.children if child is not None])
        else:
            yield part


def concrete(callback: int, children: list[Any], *_: int) -> Tree:
    """A `Build` for the tree of the grammar itself."""
    return Tree(CALLBACKS[callback], children)


def comments_of(text: str, tree: Tree) -> list[Token]:
    """The comments between the tokens of a text."""
    tokens = list(tokens_of(tree))
    gaps = zip([0, *(t.end_pos for t in tokens)], [*(t.start_pos for t in tokens), len(text)], strict=True)
    return [token_of("COMMENT", found[0], found.start()) for gap in gaps for found in _COMMENT.finditer(text, *gap)]


def run(text: str, rule: str, build: Build) -> Any:
    """What `build` makes of the rule that the text is, given what it has made of those inside.

    Raises Unexpected where the grammar has no place for a token, and where brackets are nested too deep for those who walk the tree.
    """
    states, values, starts = [STARTS[rule]], list[Any](), list[int]()
    token, depth = token_of(END, "", 0), 0
    while True:
        end = token.end_pos
        token = _next_token(text, token, states)
        state = _reduce(states, values, starts, token, end, build)
        if token.type == END:
            return values[0]
        states.append(state)
        values.append(token)
        starts.append(token.start_pos)
        depth += _DEPTH.get(token.type, 0)
        if depth > MAX_NESTING:
            raise Unexpected(token.start_pos, token, frozenset())


class _Rows(dict[int, dict[str, int]]):
    """What to do in a state, by token or rule: go to a state, or complete a rule, which is negative."""

    def __missing__(self, state: int) -> dict[str, int]:
        row = self[state] = dict(zip(*ROWS[ROW_OF_STATE[state]], strict=True))
        return row


class _Settled(dict[tuple[int, str, str], tuple[int, int | None]]):
    """The state where a rule is complete above another, as far as only the state changes before a token, and what is to be done there.

    Most rules of a formula are of this sort: each kind of operator has one for where there is none.
    """

    def __missing__(self, key: tuple[int, str, str]) -> tuple[int, int | None]:
        below, origin, kind = key
        state = _ROWS[below][origin]
        while (action := _ROWS[state].get(kind)) is not None and action < 0:
            origin, size, _, single, included = RULES[~action]
            if not single or size != 1 or included:
                break
            state = _ROWS[below][origin]
        settled = self[key] = state, action
        return settled


_ROWS, _SETTLED = _Rows(), _Settled()


def _next_token(text: str, last: Token, states: list[int]) -> Token:
    """A word is a keyword, and two signs are one, only where the grammar has a place for it."""
    found = _TOKEN.match(text, last.end_pos)
    assert found
    kind, row = found.lastgroup, _ROWS[states[-1]]
    if kind is None:
        if found.end() < len(text):
            raise Unexpected(found.end(), None, _accepted(states))
        return token_of(END, "", last.start_pos)
    position, piece = found.start(kind), found[kind]
    if kind == "NAME":
        if len(piece) > LONGEST_NAME:
            raise Unexpected(position, token_of(kind, piece, position), frozenset())
        kind = word if (word := WORDS.get(piece)) in row or (word and ("NAME" not in row or word in TRUTHS)) else kind
    elif kind == "SIGN":
        kind = _SIGNS[piece]
        if kind not in row and len(piece) > 1 and _SIGNS.get(piece[0]) in row:
            piece, kind = piece[0], _SIGNS[piece[0]]
    token = token_of(kind, piece, position)
    if kind not in row:
        raise Unexpected(position, token, _accepted(states))
    return token


def _reduce(states: list[int], values: list[Any], starts: list[int], token: Token, end: int, build: Build) -> int:
    """Completes rules until the token can follow, and gives the state after it; at the end of the text, the last state."""
    kind = token.type
    action = _ROWS[states[-1]].get(kind)
    while action is not None and action < 0:
        origin, size, callback, single, included = RULES[~action]
        children = values[-size:] if size else []
        if size > 1:  # what is complete takes the place of its first part
            del states[1 - size :], values[1 - size :], starts[1 - size :]
        elif not size:
            states.append(NONE)
            values.append(None)
            starts.append(token.start_pos)
        if included:
            children = _included(children, included)
        if single and len(children) == 1:
            values[-1] = children[0]
        else:
            values[-1] = children if callback == NONE else build(callback, children, starts[-1], end)
        states[-1], action = _SETTLED[states[-2], origin, kind]
    if action is not None:
        return action
    if kind == END and states[-1] in _ACCEPTING:
        return states[-1]
    raise Unexpected(token.start_pos, token, _accepted(states))


def _included(children: list[Any], included: Sequence[int]) -> list[Any]:
    """The children with None for optional parts that are absent, and the items of helping rules in place."""
    out: list[Any] = []
    for code in included:
        if code == NONE:
            out.append(None)
        elif code % 2:
            out += children[code // 2]
        else:
            out.append(children[code // 2])
    return out


def _accepted(states: list[int]) -> frozenset[str]:
    """The tokens that could follow."""
    possible = [kind for kind in _ROWS[states[-1]] if kind.isupper()]
    return frozenset(kind for kind in possible if _can_follow(states, kind)) or frozenset(possible)


def _can_follow(states: list[int], kind: str) -> bool:
    stack = list(states)
    while True:
        if kind == END and stack[-1] in _ACCEPTING:
            return True
        action = _ROWS[stack[-1]].get(kind)
        if action is None or action >= 0:
            return action is not None
        origin, size, *_ = RULES[~action]
        del stack[len(stack) - size :]
        stack.append(_ROWS[stack[-1]][origin])
