"""What a piece of a spec is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nnspec.diagnostics import Span
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_piece


def trees(tree: Any) -> Iterator[ast.Tree]:
    """A tree, or several, and all that is inside, in the order of the text."""
    todo = [tree]
    while todo:
        tree = todo.pop()
        if isinstance(tree, tuple):
            todo += reversed(tree)
        elif isinstance(tree, ast.Tree):
            yield tree
            todo += reversed(tree.pieces)


def assigned(tree: Any) -> set[str]:
    """The names that statements in a tree give values."""
    return {n.id for t in trees(tree) if isinstance(t, ast.Assign) for n in t.names}


def number_in(lists: Span, at: Sequence[int]) -> Span | None:
    """Where a number of written lists stands, by its index in each; nothing where something else is written."""
    piece = parse_piece(lists.text)
    for i in at:
        if not isinstance(piece, ast.List) or i >= len(piece.items):
            return None
        piece = piece.items[i]
    number = piece.operand if isinstance(piece, ast.Unary) else piece
    if piece is None or not isinstance(number, ast.Number):
        return None
    return lists.part(piece.span.start, piece.span.end)
