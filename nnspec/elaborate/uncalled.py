"""Definitions that nothing calls: their bodies are not elaborated, but what no call could mend is said of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import ChainMap, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from nnspec.diagnostics import Diagnostic, uncommented
from nnspec.elaborate.arguments import unknown_argument
from nnspec.elaborate.declarations import not_pure
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.names import TRUTHS, unknown
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.statements import returns_nothing
from nnspec.elaborate.values import KNOWN, POISON, Builtin, Function
from nnspec.syntax import ast
from nnspec.syntax.names import Names, names_of
from nnspec.syntax.trees import trees

IN_CALLS = {*TRUTHS, "training", "fitting", "batch", "_"}
"""What a call makes known to the body of what it calls."""
_WORD = re.compile(r"\w+")


def mistakes_in(spec: ast.Spec, imported: frozenset[str], scope: Scope, definitions: Definitions) -> Iterator[Diagnostic]:
    """What is wrong with what nothing calls; what is called is looked at where it is."""
    if uncalled := _uncalled(spec):
        names = names_of(replace(spec, definitions=tuple(uncalled)), imported)
        known, starts = IN_CALLS | scope.all_names(), [d.span.start for d in uncalled]
        found = (o for o in names.found if o.symbol is None and o.name not in known and definitions.meaning(o.name) is None)
        for after, inside in groupby(found, lambda o: bisect_right(starts, o.span.start)):
            d = uncalled[after - 1]
            inner = _inside(d, names, scope)
            new = (o for o in inside if o.name not in KNOWN[d.kind] and inner.names.get(o.name) is not POISON)
            yield from (unknown(o.name, o.span, inner, definitions).diagnostic for o in new)
        for d in uncalled:
            yield from _of_its_kind(d)
            yield from _unknown_arguments(d, ChainMap(names.blocks[d.name.id].names, scope.names), definitions)


def _inside(d: ast.Definition, names: Names, scope: Scope) -> Scope:
    """The names that the body of a definition knows."""
    local = names.blocks[d.name.id].names
    return Scope(scope, names=dict.fromkeys((*KNOWN[d.kind], *local), 0), spans={n: symbol.span for n, symbol in local.items()})


def _of_its_kind(d: ast.Definition) -> Iterator[Diagnostic]:
    """E108 of a fn with parameters of a network, and of a fn or layer that gives nothing back."""
    if d.kind == "fn":
        yield from (not_pure(s).diagnostic for s in trees(d.body) if isinstance(s, ast.ParamDecl))
    if d.kind in ("fn", "layer") and not any(isinstance(s, ast.Return) for s in trees(d.body)):
        yield returns_nothing(d).diagnostic


def _unknown_arguments(d: ast.Definition, hidden: Mapping[str, Any], definitions: Definitions) -> Iterator[Diagnostic]:
    for call in (t for t in trees(d.body) if isinstance(t, ast.Call)):
        name = ast.dotted(call.callee) or ""
        callee = None if name in hidden else definitions.meaning(name)
        if isinstance(callee, Builtin) or (isinstance(callee, Function) and callee.kind in ("fn", "layer")):
            yield from (unknown_argument(callee, a).diagnostic for a in call.arguments if a.name and a.name not in callee.names)


def _uncalled(spec: ast.Spec) -> list[ast.Definition]:
    """Those whose name stands nowhere but in themselves and in others of the kind."""
    waiting = defaultdict[str, list[ast.Definition]](list)
    others = []
    for d in spec.definitions:
        if isinstance(d, ast.Definition) and d.kind in KNOWN:
            waiting[d.name.id].append(d)
        else:
            others.append(d)
    words = [word for d in others for word in _words(d)] if waiting else []
    while words:
        words += [word for d in waiting.pop(words.pop(), ()) for word in _words(d)]
    return sorted((d for same in waiting.values() for d in same), key=lambda d: d.span.start)


def _words(d: ast.Tree) -> list[str]:
    return _WORD.findall(uncommented(d.span.text))
