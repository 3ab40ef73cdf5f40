"""A source as the tree of its grammar, every token in its place, and what stands between tokens: comments and line breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from itertools import pairwise

from nnspec.record import dataclass
from nnspec.syntax.format.document import Line
from nnspec.syntax.lalr import Token, Tree, tokens_of

Branch = Tree
Part = Branch | Token
LEAD = frozenset(("->", "then", "else", "or", "and", "<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/", "@", "%"))
TRAIL = frozenset((",", "{", "=", "~", "<-"))
"""Signs that begin a line, and those that end one."""


@dataclass
class Between:
    """By the place of a token: the comment after it on its line, the lines above it (a blank one is ""), and whether it begins a line.

    Comments are taken out when they are written; what is left at the end of a statement had no place to break.
    """

    after: dict[int, str] = field(default_factory=dict)
    above: dict[int, list[str]] = field(default_factory=dict)
    begins: set[int] = field(default_factory=set)

    def line(self, before: Part, following: Part, *, flat: str = " ", keep: bool = False, deeper: bool = False) -> Line:
        """The place between two parts, with its comments; `keep` breaks it where the author did."""
        start = first(following).start_pos
        own = tuple(filter(None, self.above.pop(start, ())))
        after = self.after.pop(last(before).start_pos, "")
        return Line(flat, keep and start in self.begins, deeper, after, own)

    def left_in(self, part: Part) -> list[str]:
        """Takes the comments at the tokens of a part that nothing has written."""
        places = [token.start_pos for token in tokens_of(part)]
        return [text for at in places for text in (*self.above.pop(at, ()), self.after.pop(at, "")) if text]


def between(text: str, tokens: Sequence[Token], comments: Sequence[Token]) -> Between:
    """What stands between the tokens of a text, and after the last, at the place where the text ends."""
    found, ends = Between(), 0
    remaining = iter([*comments, None])
    comment = next(remaining)
    before: Token | None = None
    for start, token in [*((t.start_pos, t) for t in tokens), (len(text), None)]:
        lines: list[str] = []
        if "\n" in text[ends:start]:
            found.begins.add(start)
        while comment is not None and (comment.start_pos) < start:
            gap = text[ends : comment.start_pos].count("\n")
            if before is not None and not gap and not lines:
                found.after[before.start_pos] = comment.rstrip()
            else:
                lines += ["", comment.rstrip()] if gap > 1 else [comment.rstrip()]
            ends = comment.end_pos
            comment = next(remaining)
        if text[ends:start].count("\n") > 1:
            lines.append("")
        if lines:
            found.above[start] = lines
        before, ends = token, token.end_pos if token else ends
    _to_ends_of_lines(found.after, tokens)
    return found


def _to_ends_of_lines(after: dict[int, str], tokens: Sequence[Token]) -> None:
    """A comment goes from one side of a sign to that where the line can end, unless there is one."""
    for before, sign in pairwise(tokens):
        ends, other = (before, sign) if sign in LEAD else (sign, before)
        if (sign in LEAD or sign in TRAIL) and other.start_pos in after and ends.start_pos not in after:
            after[ends.start_pos] = after.pop(other.start_pos)


def first(part: Part) -> Token:
    while isinstance(part, Tree):
        part = next(child for child in part.children if child is not None and not _is_empty(child))
    return part


def last(part: Part) -> Token:
    while isinstance(part, Tree):
        part = next(child for child in reversed(part.children) if child is not None and not _is_empty(child))
    return part


def _is_empty(part: Part) -> bool:
    return isinstance(part, Tree) and not part.children


def parts(part: Part) -> list[Part]:
    """The children that are there; a token has none."""
    return [child for child in part.children if child is not None] if isinstance(part, Tree) else []


def is_kind(part: Part, *kinds: str) -> bool:
    """Whether it is a tree of one of these rules, or a token of one of these terminals."""
    return (part.data if isinstance(part, Tree) else part.type) in kinds
