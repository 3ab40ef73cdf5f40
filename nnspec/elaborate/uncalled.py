"""Layers and functions that nothing calls: their bodies are not elaborated, but the names in them have to stand for something."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from nnspec.diagnostics import Diagnostic, uncommented
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.names import TRUTHS, unknown
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON
from nnspec.syntax import ast
from nnspec.syntax.names import names_of

KINDS = ("layer", "fn")
IN_CALLS = {*TRUTHS, "training", "fitting", "batch", "_"}
"""What a call makes known to the body of what it calls."""
_WORD = re.compile(r"\w+")


def unknown_names(spec: ast.Spec, imported: frozenset[str], scope: Scope, definitions: Definitions) -> Iterator[Diagnostic]:
    """Of the bodies that nothing calls; what is called is looked at where it is."""
    if uncalled := _uncalled(spec):
        names, known = names_of(replace(spec, definitions=tuple(uncalled)), imported), IN_CALLS | scope.all_names()
        found = (o for o in names.found if o.symbol is None and o.name not in known and definitions.meaning(o.name) is None)
        starts = [d.span.start for d in uncalled]
        for after, inside in groupby(found, lambda o: bisect_right(starts, o.span.start)):
            local = names.blocks[uncalled[after - 1].name.id].names
            inner = Scope(scope, names=dict.fromkeys(local, 0), spans={n: symbol.span for n, symbol in local.items()})
            yield from (unknown(o.name, o.span, inner, definitions).diagnostic for o in inside if inner.names.get(o.name) is not POISON)


def _uncalled(spec: ast.Spec) -> list[ast.Definition]:
    """Those whose name stands nowhere but in themselves and in others of the kind."""
    waiting = defaultdict[str, list[ast.Definition]](list)
    others = []
    for d in spec.definitions:
        if isinstance(d, ast.Definition) and d.kind in KINDS:
            waiting[d.name.id].append(d)
        else:
            others.append(d)
    words = [word for d in others for word in _words(d)] if waiting else []
    while words:
        words += [word for d in waiting.pop(words.pop(), ()) for word in _words(d)]
    return sorted((d for same in waiting.values() for d in same), key=lambda d: d.span.start)


def _words(d: ast.Tree) -> list[str]:
    return _WORD.findall(uncommented(d.span.text))
