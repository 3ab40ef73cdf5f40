"""`# nnspec: allow W104`, with a reason after it, on the line of a warning or alone on the line above: it is meant."""

from __future__ import annotations

import re

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
    """A line that is deeper than the one it hangs on continues it, unless that one opens a block."""
    depth = _depth(source.line(number))
    for above in range(number - 1, 0, -1):
        line = source.line(above)
        if line.strip() and _depth(line) < depth:
            if line.partition("#")[0].rstrip().endswith("{"):
                return number
            number, depth = above, _depth(line)
    return number


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
