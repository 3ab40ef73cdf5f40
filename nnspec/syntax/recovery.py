"""Going on after a mistake of syntax: the statement around it is blanked, and what it would have defined is known to be lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nnspec.syntax import ast
from nnspec.syntax.slips import MAX_LOOK_BACK, WORDS
from nnspec.syntax.words import DEFINITION, DEFINITION_WORDS, STATEMENT_WORDS

STATEMENT = re.compile(rf"^[ \t]*(?:(?:{'|'.join(STATEMENT_WORDS)})\b|[^\W\d]\w*\s*(?:=(?!=)|<-)|\}})", re.M)
_OTHERWISE = re.compile(r"^[ \t]*[^\W\d]\w*(?:[ \t]+[^\W\d]\w*)?\s*(?::=?|==?)", re.M)
"""How statements begin in other languages."""
_OPEN_END = re.compile(r"(?:[-+*/@%^=,~>.]|\b(?:and|or|not|then|else))\s*\Z")
_SPACES = re.compile(r"[ \t]*+")
_CONTINUES = re.compile(r"\s*(?:[^\w\s\"]|(?:then|else|and|or|as|with)\b)")
_KEYWORDS = "|".join(("as", *STATEMENT_WORDS, *WORDS))
_FIRST_WORDS = (
    rf"^[ \t]*+[:=]?[ \t]*+(?!(?:{_KEYWORDS})\b|[^\W\d]\w*\s*(?:[(.]|->))([^\W\d]\w*+)(?:[ \t]+([^\W\d]\w*))?"
    rf"|\b(?:((?:{_KEYWORDS})(?=\s*=(?!=)))|(?:{_KEYWORDS}))\b\s*+[:=]?\s*+([^\W\d]\w*)"
)
_DEFINED = re.compile(rf"{_FIRST_WORDS}|,[ \t]*([^\W\d]\w*+)(?=[ \t]+[^\W\d])|\b\d*+([^\W\d]\w*+)(?=\s*(?:,|[-+*/:]?=|<-|:))", re.M)


def blanked(text: str, start: int, end: int) -> str:
    """The text with spaces from start to end, every line in its place."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def statement_around(text: str, at: int) -> tuple[int, int]:
    """From the line that starts the statement up to the line that starts the next; where braces are at stake, the definition."""
    start, known_end = _start(text, at)
    if not known_end and (above := _goes_on(text, start)) is not None:
        start = above
    end = known_end or _next(text, start, max(at + 1, start + 1))
    outside = text.count("{", 0, at) <= text.count("}", 0, at)
    return _definition_around(text, at) if outside or text[start:end].count("{") != text[start:end].count("}") else (start, end)


def _goes_on(text: str, line: int) -> int | None:
    """Where the statement above a line starts that is indented deeper, and so belongs to it though it does not go on as statements do."""
    if not line or STATEMENT.match(text, line):
        return None
    above = _start(text, line - 1)[0]
    whole = text.count("{", above, line) == text.count("}", above, line)
    return above if whole and text[above:line].strip() and indent(text, line) > indent(text, above) else None


def indent(text: str, line: int) -> int:
    """How far the line that begins there is indented."""
    spaces = _SPACES.match(text, line)
    return len(spaces[0].expandtabs()) if spaces else 0


def _next(text: str, start: int, at: int) -> int:
    """Where the next statement starts, be it with a mistake."""
    following = STATEMENT.search(text, at)
    end = following.start() if following else len(text)
    wrong = (m.start() for m in _OTHERWISE.finditer(text, at, end))
    return next((line for line in wrong if _begins_anew(text, start, line)), end)


def _definition_around(text: str, at: int) -> tuple[int, int]:
    """From the word that starts a definition, or what stands after the one before, up to the next."""
    before = [m.start() for m in DEFINITION.finditer(text, 0, at + 1)]
    if len(before) > 1 and text[before[-1] : at].strip() in DEFINITION_WORDS:
        return before[-2], before[-1]  # `let n = 3 +` shows only at the second word of the next definition
    start = before[-1] if before else 0
    if text.count("{", start, at) and text.count("{", start, at) == text.count("}", start, at):
        start = text.rfind("}", start, at) + 1
    following = DEFINITION.search(text, max(at, start + 1))
    return start, following.start() if following else len(text)


def word_of_definition(text: str, at: int) -> str:
    """The word that starts the definition around a place."""
    before = [m.group() for m in DEFINITION.finditer(text, 0, at)]
    return before[-1] if before else ""


def start_of_statement(text: str, at: int) -> int:
    return _start(text, at)[0]


def _start(text: str, at: int) -> tuple[int, int | None]:
    """Where a statement starts; and where it ends, if the place is in the next, where only it shows that this one breaks off."""
    starts = [m.start() for m in STATEMENT.finditer(text, 0, at + 2) if not _is_value(text, m.start())]
    if len(starts) > 1 and text[starts[-1] : at].strip().isidentifier() and _OPEN_END.search(text, 0, starts[-1]):
        return starts[-2], starts[-1]
    start, line = starts[-1] if starts else 0, text.rfind("\n", 0, at) + 1
    # A name can begin a statement, so where it may not stand, the statement before it lacks something.
    seen_late = not text[line:at].strip() and text[at : at + 1].isidentifier()
    return line if line > start and not seen_late and _begins_anew(text, start, line) else start, None


def _begins_anew(text: str, start: int, line: int) -> bool:
    """Whether a line that does not begin as statements do is one all the same: nothing before it is left open."""
    before = text[start:line]
    whole = all(before.count(opener) <= before.count(closer) for opener, closer in ("()", "[]"))
    return whole and not _OPEN_END.search(before) and not _CONTINUES.match(text, line)


def _is_value(text: str, start: int) -> bool:
    """Whether the line of an `if` is what the line before is equal to."""
    return text[max(0, start - MAX_LOOK_BACK) : start].rstrip().endswith("=")


def lost_names(before: str, after: str, offset: int, definitions: Iterable[ast.TopLevel]) -> frozenset[str]:
    """What the blanked stretches of a text may have defined, and the definitions that lack a part of theirs."""
    stretches = list(_blanked_stretches(before, after))
    words = {name for start, end in stretches for m in _DEFINED.finditer(before, start, end) for name in m.groups() if name}
    torn = (
        d.name.id
        for d in definitions
        if isinstance(d, ast.Definition) and any(d.span.start - offset < end and start < d.span.end - offset for start, end in stretches)
    )
    return frozenset((*words, *torn))


def _blanked_stretches(before: str, after: str) -> Iterator[tuple[int, int]]:
    """The lines that differ."""
    start = 0
    for old, new in zip(before.splitlines(keepends=True), after.splitlines(keepends=True), strict=False):
        if old != new:
            yield start, start + len(old)
        start += len(old)
