"""Diagnostics for programs: the annotations of GitHub's actions, and SARIF 2.1.0 for code scanning and editors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from nnspec import pages
from nnspec.diagnostics import Diagnostic, Fix, Span, printable
from nnspec.version import VERSION

SARIF_VERSION = "2.1.0"
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPED_IN_PROPERTIES = _ESCAPED | {":": "%3A", ",": "%2C"}


def github(diagnostics: Iterable[Diagnostic]) -> str:
    """A line for each, which an action of GitHub shows beside the line of the file."""
    return "\n".join(map(_annotation, diagnostics))


def _annotation(d: Diagnostic) -> str:
    properties = {"title": f"{d.code}: {pages.title(d.code)}"}
    if d.span:
        (line, column), (end_line, end_column) = d.span.begin, d.span.after
        properties = {"file": d.span.source.name, "line": str(line), "endLine": str(end_line), **properties}
        if line == end_line:
            properties |= {"col": str(column), "endColumn": str(max(column, end_column - 1))}
    fields = ",".join(f"{name}={_escaped(value, _ESCAPED_IN_PROPERTIES)}" for name, value in properties.items())
    return f"::{d.level} {fields}::{_escaped(_text(d), _ESCAPED)}"


def _text(d: Diagnostic) -> str:
    """All that is said, without the excerpts."""
    help_ = f"help: {d.help}" if d.help else ""
    notes = (f"{span}: {text}" for span, text in d.notes)
    return "\n".join(filter(None, (f"{d.message}{f': {d.label}' if d.label else ''}", *notes, help_)))


def _escaped(text: str, signs: dict[str, str]) -> str:
    return "".join(signs.get(c, c if c == "\n" else printable(c)) for c in text)


def sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """The log of one run; lines and columns count from 1, columns in characters."""
    found = list(diagnostics)
    rules = sorted({d.code for d in found})
    driver = {"name": "nnspec", "semanticVersion": VERSION, "rules": [_rule(code) for code in rules]}
    results = [_result(d, rules.index(d.code)) for d in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": pages.title(code)},
        "fullDescription": {"text": pages.meaning(code)},
        "help": {"text": pages.page(code), "markdown": pages.page(code)},
    }


def _result(d: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {"ruleId": d.code, "ruleIndex": rule, "level": d.level, "message": {"text": _text(d)}}
    if d.span:
        result["locations"] = [_location(d.span)]
    if d.notes:
        result["relatedLocations"] = [_location(span) | {"id": i, "message": {"text": text}} for i, (span, text) in enumerate(d.notes)]
    if d.fix:
        result["fixes"] = [{"description": {"text": d.help or f"write `{d.fix.text}`"}, "artifactChanges": [_change(d.fix)]}]
    return result


def _location(span: Span) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": _artifact(span), "region": _region(span)}}


def _artifact(span: Span) -> dict[str, str]:
    """The file as a URI: one from the root of the disk is whole, any other is relative to where the reader is."""
    path = quote(span.source.name)
    return {"uri": f"file://{path}" if path.startswith("/") else path}


def _region(span: Span) -> dict[str, int]:
    (line, column), (end_line, end_column) = span.begin, span.after
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _change(fix: Fix) -> dict[str, Any]:
    replacement = {"deletedRegion": _region(fix.span), "insertedContent": {"text": fix.text}}
    return {"artifactLocation": _artifact(fix.span), "replacements": [replacement]}
