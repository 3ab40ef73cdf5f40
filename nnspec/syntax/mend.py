"""A text with mistakes, read all the same: each is said, what it stands in is blanked, and parsing goes on after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nnspec.diagnostics import Diagnostic, Source, Span, uncommented
from nnspec.syntax.ast import Spec
from nnspec.syntax.brackets import balanced
from nnspec.syntax.conflicts import resolved
from nnspec.syntax.explain import explain
from nnspec.syntax.lalr import Unexpected
from nnspec.syntax.recovery import blanked, lost_names, statement_around
from nnspec.syntax.settings import parted
from nnspec.syntax.slips import decimal

MAX_ERRORS = 50


def mended(source: Source, written: str, start: int, read: Callable[[str], Spec]) -> tuple[Spec, list[Diagnostic]]:
    """What is left of the text from `start` on when `read` can read it, and what was wrong with it."""
    written, numbers = decimal(source, uncommented(written), start)
    written, values = parted(source, written, start)
    text, conflicts = resolved(source, written, start)
    text, found = balanced(source, text, start, MAX_ERRORS)
    found = [d for several in (conflicts, numbers, values) for d in several[:MAX_ERRORS]] + found
    while True:
        try:
            spec = read(text)
            lost = lost_names(written, text, start, spec.definitions) if found else frozenset[str]()
            return replace(spec, lost=lost), found
        except Unexpected as error:
            found.append(explain(source, text, error, start))
            rest = blanked(text, *(_superfluous(found[-1], start) or statement_around(text, error.position)))
            if len(found) >= MAX_ERRORS or rest == text:
                return Spec(Span(source, start, start + len(text)), 1, ()), found
            text = rest


def _superfluous(mistake: Diagnostic, start: int) -> tuple[int, int] | None:
    """Where a sign stands, in the text from `start` on, without which the statement is right."""
    fix = mistake.fix
    return (fix.span.start - start, fix.span.end - start) if fix and not fix.text.strip() else None
