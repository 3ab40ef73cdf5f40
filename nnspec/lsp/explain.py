"""What the name at a place is: its shape and formula, its signature and meaning, where it is defined; and what a word means."""

from __future__ import annotations

import re

from nnspec import reference
from nnspec.diagnostics import Span
from nnspec.doc import WORDS, Entry, listed, named
from nnspec.elaborate.library import of_library
from nnspec.elaborate.values import Row, Tensor, describe
from nnspec.lsp.complete import kind_due
from nnspec.lsp.document import Document
from nnspec.syntax import ast
from nnspec.syntax.names import Occurrence, Symbol
from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

LIBRARY_KINDS = ("layer", "fn", "init", "optimizer", "schedule", "model")
KEYWORDS = {*WORDS, *STATEMENT_WORDS, *OTHER_WORDS} - {"nnspec"}
USES = 4
"""Of a definition, with values of their own, that are shown."""
_WORD = re.compile(r"\w+(?!\w|\s*=(?!=))")


def hover(document: Document, offset: int) -> str | None:
    """Markdown about the name or word at a place."""
    found = document.names.at(offset)
    parts = [_inside(document, found) or _shape(document, found), *_meaning(document, found)] if found else _of_language(document, offset)
    return "\n\n".join(filter(None, parts)) or None


def defined_at(document: Document, offset: int) -> Span | None:
    """Where the name at a place is defined, in this file or the library."""
    found = document.names.at(offset)
    if found is None:
        return None
    if found.symbol:
        return found.symbol.span
    due = kind_due(document, found.span.start)
    kinds = sorted(LIBRARY_KINDS, key=lambda kind: kind != due)
    functions = (of_library(kind, found.name) for kind in kinds)
    imported = next((f for kind in kinds if (f := document.compilation.definitions.own.get((kind, found.name)))), None)
    function = imported or next(filter(None, functions), None)
    return function.definition.name.span if function else None


def _shape(document: Document, found: Occurrence) -> str:
    """The value of a name, or of the stage that it calls, as one example has it."""
    model = document.model_at(found.span.start)
    if model is None:
        return ""
    value = model.scope.names.get(found.name)
    if isinstance(value, Tensor) and found.symbol and found.symbol.kind not in ast.KINDS:
        formula = _formula(document, found.symbol)
        return _code(f"{found.name}: {describe(value)}{f' = {formula}' if formula else ''}")
    rows = [r for r in model.rows if _is_called_in(r, found)]
    row = min(rows, key=lambda r: r.span.end - r.span.start, default=None)
    return _code(f"{row.span.one_line} gives {describe(row.value)}") if row else ""


def _inside(document: Document, found: Occurrence) -> str:
    """The values of a name of a definition or loop, as its uses have it."""
    symbol = found.symbol
    around = [i for i in document.insides if symbol and i.span.covers(symbol.span) and symbol.name in i.names]
    if not symbol or not around:
        return ""
    inmost = min((i.span for i in around), key=lambda s: s.end - s.start)
    values = list(dict.fromkeys(i.names[symbol.name] for i in around if i.span == inmost))
    more = [f"{len(values) - USES} more"] if len(values) > USES else []
    formula = _formula(document, symbol)
    return _code(f"{found.name}: {' or '.join([*values[:USES], *more])}{f' = {formula}' if formula else ''}")


def _is_called_in(row: Row, found: Occurrence) -> bool:
    return row.span.source is found.span.source and row.span.start == found.span.start


def _formula(document: Document, symbol: Symbol) -> str:
    """The value that the name is given where it is defined."""
    for d in document.compilation.parsed[0].definitions:
        for s in d.body if isinstance(d, ast.Definition) else ():
            if isinstance(s, ast.Assign) and symbol.span in [n.span for n in s.names]:
                return s.value.span.one_line
            if isinstance(s, ast.Output):
                value = next((v for n, v in s.items if n.span == symbol.span and v), None)
                if value:
                    return value.span.one_line
    return ""


def _meaning(document: Document, found: Occurrence) -> list[str]:
    """The definition in this file, or what the library says."""
    if found.symbol is None:
        return _library(found.name, kind_due(document, found.span.start))
    for d in document.compilation.parsed[0].definitions:
        if isinstance(d, ast.Definition | ast.Let) and d.name.span == found.symbol.span:
            return [_code(d.span.text), d.doc]
    return [] if found.symbol.kind in ("value", "output", "stage", "input", "target") else [f"{found.symbol.kind} `{found.name}`"]


def _of_language(document: Document, offset: int) -> list[str]:
    """What the reference says of the setting or word at a place."""
    trainings = (d for d in document.compilation.parsed[0].definitions if isinstance(d, ast.Train))
    settings = (s.name for d in trainings for s in d.settings if s.name.span.start <= offset <= s.name.span.end)
    if setting := next(settings, None):
        entries = [e for e in listed() if (e.kind, e.name) == ("setting", setting.id) or e.kind == setting.id == "stop"]
        return [part for e in entries for part in _entry(e)]
    word = next((m for m in _WORD.finditer(document.source.text) if m.start() <= offset <= m.end()), None)
    if word is None or word[0] not in KEYWORDS or not document.is_code(word.start()):
        return []
    said = reference.word(word[0])
    return [_code(said.written), said.meaning]


def _library(name: str, due: str) -> list[str]:
    """What the library has by a name: of the kind that is due, or else of all."""
    found = named(name)
    return [part for entry in [e for e in found if e.kind == due] or found for part in _entry(entry)]


def _entry(entry: Entry) -> list[str]:
    examples = "\n".join(f"example: `{e}`" for e in entry.written)
    shape = f"shape: `{entry.shape}`" if entry.shape else ""
    return [_code(entry.definition or entry.signature), entry.doc, shape, examples]


def _code(text: str) -> str:
    return f"```nn\n{text}\n```"
