"""Names that formulas differentiate by: the value of each is told from all that is written alike, which is made of the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from nnspec.syntax import ast
from nnspec.syntax.trees import trees

DERIVATIVE = "grad"


def derived_by(spec: ast.Spec) -> frozenset[str]:
    """All that a derivative is given by name, or a definition that takes derivatives."""
    written = [(d, d.span.text) for d in spec.definitions]
    taking = {DERIVATIVE}
    while more := {d.name.id for d, text in written if isinstance(d, ast.Definition) and _mentions(text, taking)} - taking:
        taking |= more
    return frozenset(name for d, text in written if _mentions(text, taking) for tree in trees(d) for name in _given(tree, taking))


def _mentions(text: str, words: Set[str]) -> bool:
    return any(word in text and re.search(rf"\b{word}\b", text) for word in words)


def _given(tree: ast.Tree, taking: Set[str]) -> Iterator[str]:
    """The names that stand in a call of these, or in a pipeline through one."""
    match tree:
        case ast.Call(callee=ast.Name(id=name), arguments=arguments) if name in taking:
            yield from (a.value.id for a in arguments if isinstance(a.value, ast.Name))
        case ast.Pipe(head=head, stages=stages) if any(_called(s) in taking for s in stages):
            yield from (n.id for n in (head, *(s.label for s in stages)) if isinstance(n, ast.Name))


def _called(stage: ast.Stage) -> str:
    callee, _ = ast.called(stage.body)
    return callee.id if isinstance(callee, ast.Name) else ""
