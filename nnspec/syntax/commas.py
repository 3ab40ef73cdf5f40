"""Numbers with a comma in them, as half of the world writes its decimal point: to the grammar each is two numbers."""

from __future__ import annotations

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.lazy import regex

_GROUPED = regex(r"(?<![\w.])[1-9]\d{0,2}(?:,\d{3})+(?![\w.])")
_DECIMAL = regex(r"(?<![\w.,])\d+,\d+(?:[eE][-+]?\d+)?(?![\w.]|,\d)")
_PART = regex(r"(?<=\d,)0\d+")
_OPERATOR = regex(r"[-+*/%^<>]\s*\Z")
_ZEROS = ",000"
_LONGEST = 60


def comma_number(code: str, source: Source, at: int) -> Diagnostic | None:
    """The mistake of a number with commas around a place, if there is one: a decimal point, or thousands."""
    near = max(0, source.code.rfind("\n", 0, at), at - _LONGEST), at + _LONGEST
    found = (m for pattern in (_GROUPED, _DECIMAL) for m in pattern.finditer(source.code, *near) if m.start() <= at < m.end())
    if (m := next(found, None)) is None:
        return None
    span, point = Span(source, *m.span()), m[0].replace(",", ".")
    if m.re.pattern != _GROUPED.pattern:
        before = source.code[near[0] : m.start()]
        fix = Fix(span, point, safe=m[0].startswith("0,") or bool(_OPERATOR.search(before)))
        return _not_one(code, span, f"a number has a decimal point: `{point}`", fix)
    joined = m[0].replace(",", "_")
    if _ZEROS in m[0] or m[0].count(",") > 1:
        return _not_one(code, span, f"write `{joined}`", Fix(span, joined))
    return _not_one(code, span, f"a number has a decimal point: `{point}`; thousands are parted by `_`: `{joined}`", None)


def part_of_number(code: str, number: Span) -> Diagnostic | None:
    """The same for the part behind a comma, which no one would write with a zero in front if it were a number of its own."""
    is_part = _PART.match(number.source.text, number.start, number.end)
    return comma_number(code, number.source, number.start) if is_part else None


def _not_one(code: str, span: Span, help_: str, fix: Fix | None) -> Diagnostic:
    return Diagnostic(code, f"`{span.text}` is not one number", span, help=help_, fix=fix)
