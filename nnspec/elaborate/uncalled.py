"""Bodies that nothing calls, or that a mistake breaks off: what is not elaborated is looked at for what no values could mend."""

from __future__ import annotations

from bisect import bisect_right
from collections import ChainMap, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Diagnostic, Span, uncommented
from nnspec.elaborate.arguments import unknown_argument
from nnspec.elaborate.declarations import not_pure
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.names import TRUTHS, unknown
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.statements import returns_nothing
from nnspec.elaborate.values import KNOWN, POISON, Builtin, Function
from nnspec.lazy import regex
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

if TYPE_CHECKING:
    from nnspec.syntax.names import Names

IN_CALLS = {*TRUTHS, "training", "fitting", "batch", "_"}
"""What a call makes known to the body of what it calls."""
_WORD, _COUNT = regex(r"\w+"), regex(r"_\d+\Z")


def mistakes_in(spec: ast.Spec, imported: frozenset[str], scope: Scope, definitions: Definitions) -> Iterator[Diagnostic]:
    """What is wrong with what nothing calls; what is called is looked at where it is."""
    if uncalled := _uncalled(spec):
        yield from _unknown_in(replace(spec, definitions=tuple(uncalled)), imported, scope, {}, definitions)
        for d in uncalled:
            yield from _of_its_kind(d)


def behind_mistakes(
    spec: ast.Spec, imported: frozenset[str], scope: Scope, models: Mapping[str, Scope], definitions: Definitions
) -> Iterator[Diagnostic]:
    """The names and arguments of all bodies that stand for nothing; `models` are the names that each model came to know."""
    bodies = [
        _without_expectations(d) for d in spec.definitions if isinstance(d, ast.Definition) and (d.kind in KNOWN or d.name.id in models)
    ]
    if bodies:
        yield from _unknown_in(replace(spec, definitions=tuple(bodies)), imported, scope, models, definitions)


def _without_expectations(d: ast.Definition) -> ast.Definition:
    """What is expected is asked once all else is right, in words of its own."""
    return replace(d, body=tuple(s for s in d.body if not isinstance(s, ast.Expect)))


def _unknown_in(
    spec: ast.Spec, imported: frozenset[str], scope: Scope, models: Mapping[str, Scope], definitions: Definitions
) -> Iterator[Diagnostic]:
    """E101 and E102 of the bodies of a file, each in the scope of its model or of the file."""
    from nnspec.syntax.names import names_of  # most specs call all that they define

    bodies = [d for d in spec.definitions if isinstance(d, ast.Definition)]
    names, starts = names_of(spec, imported), [d.span.start for d in bodies]
    layers = {*_layers_in_paths(bodies, definitions)}
    found = (o for o in names.found if o.symbol is None and o.span not in layers and definitions.meaning(o.name) is None)
    for after, inside in groupby(found, lambda o: bisect_right(starts, o.span.start)):
        d = bodies[after - 1]
        inner = _inside(d, names, outside := models.get(d.name.id, scope))
        known = IN_CALLS | outside.all_names() | {*KNOWN.get(d.kind, ())}
        updated = {s.name.id: s.name.span for s in trees(d.body) if isinstance(s, ast.Update)}  # where a state that is missing is missed
        new = (o for o in inside if o.name not in known and inner.names.get(o.name) is not POISON and updated.get(o.name, o.span) == o.span)
        yield from (unknown(o.name, o.span, inner, definitions).diagnostic for o in new)
    for d in bodies:
        yield from _unknown_arguments(d, ChainMap(names.blocks[d.name.id].names, scope.names), definitions)


def _layers_in_paths(bodies: Sequence[ast.Definition], definitions: Definitions) -> Iterator[Span]:
    """Where paths of parameters begin with a layer that is counted: `dense_2.W` is known only when all layers are."""
    for path in (tree for d in bodies for tree in trees(d.body) if isinstance(tree, ast.Attribute)):
        match path.target:
            case ast.Name(id=name) if definitions.meaning(_COUNT.sub("", name)) is not None:
                yield path.target.span


def _inside(d: ast.Definition, names: Names, scope: Scope) -> Scope:
    """The names that the body of a definition knows."""
    local = names.blocks[d.name.id].names
    return Scope(scope, names=dict.fromkeys((*KNOWN.get(d.kind, ()), *local), 0), spans={n: symbol.span for n, symbol in local.items()})


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
