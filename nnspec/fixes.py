"""Fixes that diagnostics offer, applied as far as the spec is better for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import NamedTuple

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.record import dataclass

MAX_PASSES = 100
Check = Callable[[Source], Sequence[Diagnostic]]
Key = tuple[str, str]
Place = tuple[int, int]


class Written(NamedTuple):
    """A fix in a text: where it stands there, and which mistake it answers."""

    fix: Fix
    place: Place
    answers: Key


@dataclass
class Repaired:
    """A text after its fixes, in the order in which they were applied, and what is still wrong with it."""

    source: Source
    diagnostics: Sequence[Diagnostic]
    written: list[Written] = field(default_factory=list)

    @property
    def applied(self) -> list[Fix]:
        return [w.fix for w in self.written]


def replaced(text: str, spans: Iterable[Span], new: str) -> str:
    """A text with something else in these places."""
    for span in sorted(spans, key=lambda s: -s.start):
        text = text[: span.start] + new + text[span.end :]
    return text


def repaired(source: Source, check: Check) -> Repaired:
    """The source with every safe fix that answers its mistake and makes none in its place; `check` finds the mistakes of a text."""
    before = Repaired(source, check(source))
    refused: set[Key] = set()
    while (bad := _first_bad(before, done := _mended(before, refused, check))) and bad not in refused:
        refused.add(bad)
    return done


def _mended(before: Repaired, refused: set[Key], check: Check) -> Repaired:
    """With every fix but those refused, which become more."""
    now = before
    while len(now.written) < MAX_PASSES and (d := _next(now, refused)):
        better = _with(now, d, check)
        if better is None:
            refused.add(_key(d))
        else:
            now = better
    return now


def _first_bad(before: Repaired, done: Repaired) -> Key | None:
    """What the first fix answered that made a mistake, which may have shown only when the grammar knew all of the text."""
    known = {d.message for d in before.diagnostics}
    made = [d for d in done.diagnostics if d.message not in known]
    return next((w.answers for w in done.written if any(_speaks_of(d, done.source, w.place) for d in made)), None)


def offered(diagnostics: Iterable[Diagnostic], source: Source) -> Iterator[tuple[Diagnostic, Fix]]:
    """The mistakes for which there is a fix in this text."""
    return ((d, d.fix) for d in diagnostics if d.fix and d.fix.span.source is source)


def _next(now: Repaired, refused: set[Key]) -> Diagnostic | None:
    """The first mistake with a fix that has not been tried in vain."""
    return next((d for d, fix in offered(now.diagnostics, now.source) if fix.safe and _key(d) not in refused), None)


def _key(d: Diagnostic) -> Key:
    return d.message, str(d.span)


def _with(before: Repaired, d: Diagnostic, check: Check) -> Repaired | None:
    """With the fix of a mistake; of the grammar, with those of what shows behind it, too. Nothing where the text would be no better."""
    now, most = before, _syntax(before.diagnostics) - _is_syntax(d)
    known = {f.message for f in before.diagnostics}
    next_: Diagnostic | None = d
    while next_ and len(now.written) < MAX_PASSES:
        if (after := _applied(now, next_, _key(d), check)) is None:
            return None
        now = after
        if _syntax(now.diagnostics) <= most:
            more = now.written[len(before.written) :]
            made = (f for f in now.diagnostics if f.message not in known)
            return None if any(_speaks_of(f, now.source, w.place) for f in made for w in more) else now
        next_ = _behind(now, next_) if _is_syntax(d) else None
    return None


def _applied(now: Repaired, d: Diagnostic, answers: Key, check: Check) -> Repaired | None:
    """With one fix more; nothing where the mistake stays."""
    fix = d.fix
    assert fix
    source = Source(now.source.name, replaced(now.source.text, [fix.span], fix.text))
    found = check(source)
    end = fix.span.start + len(fix.text)
    last = end if _is_syntax(d) else len(source.text)  # behind a mistake of the grammar another may show
    if _count(found, d, last) >= _count(now.diagnostics, d, max(last, d.span.start if d.span else 0)):
        return None
    return Repaired(source, found, [*(_moved(w, fix) for w in now.written), Written(fix, (fix.span.start, end), answers)])


def _moved(before: Written, fix: Fix) -> Written:
    """One that was written before another fix, where it stands after that."""
    start, end = before.place
    by = len(fix.text) - (fix.span.end - fix.span.start) if start >= fix.span.end else 0
    return before._replace(place=(start + by, end + by))


def _count(diagnostics: Sequence[Diagnostic], like: Diagnostic, last: int) -> int:
    """How many of these there are, up to a place."""
    return sum(d.message == like.message and (d.span is None or d.span.start <= last) for d in diagnostics)


def _speaks_of(d: Diagnostic, source: Source, place: Place) -> bool:
    """Whether a mistake, or what it has to do with, stands where something was written."""
    spans = (d.span, *(span for span, _ in d.notes))
    return any(s and s.source is source and s.start <= place[1] and place[0] <= s.end for s in spans)


def _behind(now: Repaired, before: Diagnostic) -> Diagnostic | None:
    """The next mistake of the grammar after one that was mended, if it has a fix too."""
    assert before.fix
    found = (d for d in now.diagnostics if _is_syntax(d) and d.span and d.span.start >= before.fix.span.start)
    d = next(found, None)
    return d if d and d.fix and d.fix.safe else None


def _syntax(diagnostics: Sequence[Diagnostic]) -> int:
    return sum(map(_is_syntax, diagnostics))


def _is_syntax(d: Diagnostic) -> bool:
    """Whether it is a mistake of the grammar, which hides what else is wrong where it stands."""
    return d.code.startswith("E0")
