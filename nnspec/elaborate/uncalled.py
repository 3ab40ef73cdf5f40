"""Layers and functions that nothing calls: their bodies are not elaborated, but the names in them have to stand for something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.names import TRUTHS, unknown
from nnspec.elaborate.values import Scope
from nnspec.syntax import ast
from nnspec.syntax.names import Names, Occurrence, names_of

KINDS = ("layer", "fn")
IN_CALLS = {*TRUTHS, "training", "fitting", "batch", "_"}
"""What a call makes known to the body of what it calls."""


def unknown_names(spec: ast.Spec, imported: frozenset[str], scope: Scope, definitions: Definitions) -> Iterator[Diagnostic]:
    """Of the bodies that nothing calls; what is called is looked at where it is."""
    if not _may_be_uncalled(spec):
        return
    names = names_of(spec, imported)
    for d in _uncalled(spec, names):
        block = names.blocks[d.name.id].names
        local = Scope(scope, names=dict.fromkeys(block, 0), spans={n: symbol.span for n, symbol in block.items()})
        for o in _inside(d, names.found):
            if o.symbol is None and o.name not in IN_CALLS | scope.all_names() and definitions.meaning(o.name) is None:
                yield unknown(o.name, o.span, local, definitions).diagnostic


def _may_be_uncalled(spec: ast.Spec) -> bool:
    """Whether some name of a layer or function stands nowhere else: nearly always none, and then that is all there is to do."""
    defined = [d.name for d in _bodies(spec)]
    if not defined:
        return False
    words = Counter(re.findall(r"\w+", re.sub(r"#.*", "", defined[0].span.source.text)))
    return any(words[name.id] < 2 for name in defined)


def _bodies(spec: ast.Spec) -> list[ast.Definition]:
    return [d for d in spec.definitions if isinstance(d, ast.Definition) and d.kind in KINDS]


def _uncalled(spec: ast.Spec, names: Names) -> list[ast.Definition]:
    waiting = _bodies(spec)
    reached = [o for o in names.found if not any(_contains(d, o) for d in waiting)]
    while reached:
        called = {o.symbol.span for o in reached if o.symbol}
        found = [d for d in waiting if d.name.span in called]
        waiting = [d for d in waiting if d not in found]
        reached = [o for d in found for o in _inside(d, names.found)]
    return waiting


def _inside(d: ast.Definition, found: list[Occurrence]) -> list[Occurrence]:
    return [o for o in found if _contains(d, o)]


def _contains(d: ast.Definition, o: Occurrence) -> bool:
    return d.span.start <= o.span.start < d.span.end
