"""What a piece of a spec is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from nnspec.syntax import ast


def trees(tree: Any) -> Iterator[ast.Tree]:
    """A tree, or several, and all that is inside, in the order of the text."""
    todo = [tree]
    while todo:
        tree = todo.pop()
        if isinstance(tree, tuple):
            todo += reversed(tree)
        elif isinstance(tree, ast.Tree):
            yield tree
            todo += reversed([getattr(tree, f.name) for f in fields(tree) if f.name != "span"])
