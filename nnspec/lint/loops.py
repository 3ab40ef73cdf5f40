"""Loops that do not do what they are written for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TypeVar

from nnspec.diagnostics import Diagnostic
from nnspec.lint.network import Network
from nnspec.syntax import ast

T = TypeVar("T", bound=ast.Tree)


def carried_without_a_step(network: Network) -> Iterator[Diagnostic]:
    """W137: what a `scan` carries, and no statement of a step gives a value."""
    for (kind, name), f in network.definitions.own.items():
        if "scan" in f.definition.span.text and (kind != "model" or name == network.model.name):
            for scan in _within(f.definition, ast.Scan):
                given = {n.id for s in scan.body for a in _within(s, ast.Assign) for n in a.names}
                for c in scan.carried:
                    if c.name not in given:
                        message = f"no step gives `{c.name}` a value, so that it stays as it starts"
                        help_ = f"say in the braces what it becomes: `{c.name} = ...`"
                        yield Diagnostic("W137", message, c.span, help=help_, level="warning")


def _within(tree: object, kind: type[T]) -> Iterator[T]:
    """All trees of a kind in another."""
    if isinstance(tree, kind):
        yield tree
    parts = [getattr(tree, f.name) for f in fields(tree)] if isinstance(tree, ast.Tree) else tree if isinstance(tree, tuple) else ()
    for part in parts:
        yield from _within(part, kind)
