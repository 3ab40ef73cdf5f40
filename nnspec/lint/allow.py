"""`# nnspec: allow W104`, with a reason after it, on the line of a warning or alone on the line above: it is meant."""

from __future__ import annotations

import re
from functools import lru_cache

from nnspec.diagnostics import Diagnostic, Source, Span

_ALLOW = re.compile(r"#\s*nnspec:\s*allow\s+(W\d{3}(?:[\s,]+W\d{3})*)")
_CODE = re.compile(r"W\d{3}")


def allowed(warning: Diagnostic) -> bool:
    """Whether a comment at its place says that it is meant."""
    return warning.span is not None and warning.code in _codes_at(warning.span)


def _codes_at(span: Span) -> set[str]:
    last, _ = span.source.position(max(span.start, span.end - 1))
    lines = [*_alone_above(span.source, span.line), *map(span.source.line, range(span.line, last + 1))]
    return {code for line in lines for found in _ALLOW.findall(line) for code in _CODE.findall(found)}


def _alone_above(source: Source, number: int) -> list[str]:
    """The comment above a line, or above the first line of the statement that it continues."""
    first = _first_line(source, number)
    above = source.line(first - 1) if first > 1 else ""
    return [above] if above.lstrip().startswith("#") else []


def _first_line(source: Source, number: int) -> int:
    while above := _hung_on(source)[number]:
        number = above
    return number


@lru_cache(maxsize=1)
def _hung_on(source: Source) -> list[int]:
    """For each line that before it which it continues, or 0: a line that is deeper than the one before, unless that one opens a block."""
    found, around = [0], list[tuple[int, int, bool]]()
    for number, line in enumerate(source.text.split("\n"), 1):
        if not line.strip():
            found.append(0)
            continue
        while around and around[-1][0] >= _depth(line):
            around.pop()
        _, above, opens = around[-1] if around else (0, 0, False)
        found.append(0 if opens else above)
        around.append((_depth(line), number, line.partition("#")[0].rstrip().endswith("{")))
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
