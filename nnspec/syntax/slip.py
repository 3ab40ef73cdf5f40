"""What a slip of the pen is: a stretch of text that means something elsewhere, and what is said of it here."""

from __future__ import annotations

import re
from collections.abc import Set

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.record import dataclass
from nnspec.syntax.words import VALUE_STARTS


@dataclass(frozen=True)
class Slip:
    """What is found where a text stops making sense; `fix` is what the match becomes, `safe` where nothing else can be meant.

    Of a match with a group `place` that is what is pointed at. One that `begins` a value is meant only where a value is due.
    """

    code: str
    pattern: re.Pattern[str]
    message: str
    help: str = ""
    fix: str | None = None
    safe: bool = True
    begins: bool = False

    def at(self, source: Source, at: int, near: tuple[int, int], accepted: Set[str]) -> Diagnostic | None:
        """What is said where a match covers the place."""
        if self.begins:
            m = self.pattern.match(source.code, at, near[1]) if accepted >= VALUE_STARTS else None
        else:
            m = next((m for m in self.pattern.finditer(source.code, *near) if m.start() <= at < m.end()), None)
        return self.diagnostic(source, m) if m else None

    def diagnostic(self, source: Source, m: re.Match[str]) -> Diagnostic:
        span = Span(source, *m.span("place" if "place" in m.re.groupindex else 0))
        fix = None if self.fix is None else Fix(span, _apart(span, m.expand(self.fix)), self.safe)
        help_ = m.expand(self.help) or (f"write `{fix.text.strip()}`" if fix and fix.text else "leave it out")
        return Diagnostic(self.code, m.expand(self.message), span, help=help_, fix=fix)


def _apart(span: Span, text: str) -> str:
    """What is written in a place, with a space where a word would grow together with the one beside it."""
    before, after = span.source.text[span.start - 1 : span.start] if span.start else "", span.source.text[span.end : span.end + 1]
    return " " * _are_one_word(before, text[:1]) + text + " " * _are_one_word(text[-1:], after)


def _are_one_word(end: str, start: str) -> bool:
    return bool(re.fullmatch(r"\w\w", end + start))
