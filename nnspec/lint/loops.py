"""Loops that do not do what they are written for."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.lint.network import Network
from nnspec.syntax import ast
from nnspec.syntax.trees import assigned, trees


def carried_without_a_step(network: Network) -> Iterator[Diagnostic]:
    """W137: what a `scan` carries, and no statement of a step gives a value."""
    for scan in _scans(network):
        given = assigned(scan.body)
        for c in (c for c in scan.carried if c.name not in given):
            message = f"no step gives `{c.name}` a value, so that it stays as it starts"
            help_ = f"say in the braces what it becomes: `{c.name} = ...`"
            yield Diagnostic("W137", message, c.span, help=help_, level="warning")


def _scans(network: Network) -> Iterator[ast.Scan]:
    """Those of the model and of the definitions it may call."""
    for (kind, name), f in network.definitions.own.items():
        if "scan" in f.definition.span.text and (kind != "model" or name == network.model.name):
            yield from (tree for tree in trees(f.definition) if isinstance(tree, ast.Scan))
