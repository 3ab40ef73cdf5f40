"""The one layout of a source: only white space changes, and comments go where a line can end."""

from __future__ import annotations

from nnspec.diagnostics import Diagnostic, Source, Span
from nnspec.syntax.format.concrete import between
from nnspec.syntax.format.document import render
from nnspec.syntax.format.rows import LIMIT
from nnspec.syntax.format.statements import Statements
from nnspec.syntax.lalr import tokens_of
from nnspec.syntax.parser import parse, parse_concrete


def formatted(source: Source) -> tuple[str, list[Diagnostic]]:
    """The text in its layout, or as it is with what is wrong with its syntax."""
    diagnostics = parse(source)[1]
    if diagnostics:
        return source.text, diagnostics
    tree, comments = parse_concrete(source.text)
    layout = Statements(between(source.text, list(tokens_of(tree)), comments))
    try:
        return render(layout.spec(tree, len(source.text)), LIMIT), []
    except RecursionError:
        return source.text, [Diagnostic("E003", "a formula is nested too deep to be laid out", Span(source, 0, 0))]
