"""A tree as indented text, for `compile --stage ast`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from nnspec.syntax.ast import Tree


def dump(tree: Tree) -> str:
    """One line a node: its kind, its plain values, its line; children below it."""
    return "\n".join(_lines(tree, "", ""))


def _lines(value: Any, label: str, indent: str) -> Iterator[str]:
    values = [(f.name, getattr(value, f.name)) for f in fields(value) if f.name not in ("span", "doc")]
    plain = " ".join(f"{n}={v!r}" for n, v in values if isinstance(v, str | int | float | bool))
    yield f"{indent}{label}{type(value).__name__} {plain}".rstrip() + f"  # line {value.span.line}"
    for name, child in values:
        for each in _children(child):
            yield from _lines(each, f"{name}: ", indent + "  ")


def _children(value: Any) -> Iterator[Tree]:
    if isinstance(value, Tree):
        yield value
    elif isinstance(value, tuple):
        for v in value:
            yield from _children(v)
