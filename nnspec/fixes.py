"""Fixes that diagnostics offer, applied as far as the spec is better for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.record import dataclass

MAX_PASSES = 100
Check = Callable[[Source], Sequence[Diagnostic]]


@dataclass
class Repaired:
    """A text after its fixes: which were applied, in order, and what is still wrong with it."""

    source: Source
    diagnostics: Sequence[Diagnostic]
    applied: list[Fix] = field(default_factory=list)


def replaced(text: str, spans: Iterable[Span], new: str) -> str:
    """A text with something else in these places."""
    for span in sorted(spans, key=lambda s: -s.start):
        text = text[: span.start] + new + text[span.end :]
    return text


def repaired(source: Source, check: Check) -> Repaired:
    """The source with every safe fix that answers its mistake and makes none in its place; `check` finds the mistakes of a text."""
    now = Repaired(source, check(source))
    refused: set[tuple[str, str]] = set()
    while len(now.applied) < MAX_PASSES and (d := _next(now, refused)):
        better = _with(now, d, check)
        if better is None:
            refused.add(_key(d))
        else:
            now = better
    return now


def _next(now: Repaired, refused: set[tuple[str, str]]) -> Diagnostic | None:
    """The first mistake with a fix that has not been tried in vain."""
    offered = (d for d in now.diagnostics if d.fix and d.fix.safe and d.fix.span.source is now.source)
    return next((d for d in offered if _key(d) not in refused), None)


def _key(d: Diagnostic) -> tuple[str, str]:
    return d.message, str(d.span)


def _with(now: Repaired, d: Diagnostic, check: Check) -> Repaired | None:
    """With one fix more; nothing where what it writes is wrong itself, breaks the grammar, or leaves the mistake."""
    fix = d.fix
    assert fix
    source = Source(now.source.name, replaced(now.source.text, [fix.span], fix.text))
    found = check(source)
    start, end, known = fix.span.start, fix.span.start + len(fix.text), {f.message for f in now.diagnostics}
    if any(f.span and f.span.source is source and start <= f.span.start <= end and f.message not in known for f in found):
        return None
    if _syntax(found) > _syntax(now.diagnostics) or _count(found, d) >= _count(now.diagnostics, d):
        return None
    return Repaired(source, found, [*now.applied, fix])


def _count(diagnostics: Sequence[Diagnostic], like: Diagnostic) -> int:
    return sum(d.message == like.message for d in diagnostics)


def _syntax(diagnostics: Sequence[Diagnostic]) -> int:
    return sum(d.code.startswith("E0") for d in diagnostics)
