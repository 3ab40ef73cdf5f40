"""Layers and functions that nothing calls: their bodies are not elaborated, but the names in them have to stand for something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.names import TRUTHS, unknown
from nnspec.elaborate.scope import Scope
from nnspec.syntax import ast
from nnspec.syntax.names import names_of

KINDS = ("layer", "fn")
IN_CALLS = {*TRUTHS, "training", "fitting", "batch", "_"}
"""What a call makes known to the body of what it calls."""
_COMMENT, _WORD = re.compile(r"#.*"), re.compile(r"\w+")


def unknown_names(spec: ast.Spec, imported: frozenset[str], scope: Scope, definitions: Definitions) -> Iterator[Diagnostic]:
    """Of the bodies that nothing calls; what is called is looked at where it is."""
    if uncalled := _uncalled(spec):
        names, known = names_of(replace(spec, definitions=tuple(uncalled)), imported), IN_CALLS | scope.all_names()
        for o in (o for o in names.found if o.symbol is None and o.name not in known and definitions.meaning(o.name) is None):
            around = next(d for d in uncalled if d.span.start <= o.span.start < d.span.end)
            local = names.blocks[around.name.id].names
            inner = Scope(scope, names=dict.fromkeys(local, 0), spans={n: symbol.span for n, symbol in local.items()})
            yield unknown(o.name, o.span, inner, definitions).diagnostic


def _uncalled(spec: ast.Spec) -> list[ast.Definition]:
    """Those whose name stands nowhere but in themselves and in others of the kind."""
    waiting = [d for d in spec.definitions if isinstance(d, ast.Definition) and d.kind in KINDS]
    words = {word for d in spec.definitions if d not in waiting for word in _words(d)} if waiting else set()
    while called := [d for d in waiting if d.name.id in words]:
        waiting = [d for d in waiting if d not in called]
        words.update(word for d in called for word in _words(d))
    return waiting


def _words(d: ast.Tree) -> list[str]:
    return _WORD.findall(_COMMENT.sub("", d.span.text))
