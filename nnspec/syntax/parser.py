"""Text to AST. A bad source gives diagnostics, never an exception; parsing goes on after the statement that is wrong."""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from nnspec import resources
from nnspec.diagnostics import Diagnostic, Source, Span, did_you_mean, printable
from nnspec.syntax.ast import Expr, Signature, Spec
from nnspec.syntax.build import Builder
from nnspec.syntax.words import DEFINITION_WORDS, STATEMENT_WORDS, describe

VERSION = 1
MAX_ERRORS = 50
MAX_NESTING = 200
MAX_LOOK_BACK = 400

_LEXED = re.compile(r'"[^"\n]*"|#[^\n]*|[\[\](){}]')
_STATEMENT = re.compile(rf"^[ \t]*(?:(?:{'|'.join(STATEMENT_WORDS)})\b|[^\W\d]\w*\s*(?:=(?!=)|<-)|\}})", re.M)
_DEFINITION = re.compile(rf"^(?:{'|'.join(DEFINITION_WORDS)})\b", re.M)
_LONE_WORD = re.compile(r"(?:(?P<before>[^\W\d]\w*)\s+)?\b(?P<word>[^\W\d]\w*)\s*\Z")
_BRANCH = re.compile(r"\b(?:then|else)\b(?!\s*[{])")
_CLOSES = {")": "(", "]": "[", "}": "{"}
_lock = threading.Lock()


def parse(source: Source, start: int = 0, end: int | None = None) -> tuple[Spec, list[Diagnostic]]:
    """The definitions in a source (or in the part from `start` to `end`) and what is wrong with its syntax."""
    text = source.text[start:end]
    unbalanced = _check_brackets(source, text, start)
    if unbalanced:
        return Spec(Span(source, start, start + len(text)), 1, ()), [unbalanced]
    found: list[Diagnostic] = []
    while True:
        try:
            spec: Spec = _run(source, text, start, "start")
            return spec, found + _check_version(source, spec)
        except UnexpectedInput as error:
            found.append(_explain(source, error, start))
            blanked = _blank_statement(text, error.pos_in_stream or 0)
            if len(found) >= MAX_ERRORS or blanked == text:
                return Spec(Span(source, start, start + len(text)), 1, ()), found
            text = blanked


@cache
def parse_signature(text: str) -> Signature:
    """The signature of an op row, in the language's own type syntax."""
    signature: Signature = _run(Source("<signature>", text), text, 0, "signature")
    return signature


@cache
def parse_expression(text: str) -> Any:
    """One formula, as rewrite rules and op examples are written."""
    return _run(Source("<formula>", text), text, 0, "expr")


def parse_value(source: Source) -> tuple[Expr | None, list[Diagnostic]]:
    """One formula that a person wrote outside a spec, or what is wrong with it."""
    try:
        value: Expr = _run(source, source.text, 0, "expr")
        return value, []
    except UnexpectedInput as error:
        return None, [_explain(source, error, 0)]


def _run(source: Source, text: str, offset: int, rule: str) -> Any:
    with _lock:
        lark, builder = _parser()
        builder.source, builder.offset = source, offset
        return lark.parse(text, start=rule)


@cache
def _parser() -> tuple[Lark, Builder]:
    builder = Builder()
    grammar = (resources.folder("grammar") / "nn.lark").read_text("utf-8")
    lark = Lark(
        grammar,
        parser="lalr",
        start=["start", "signature", "expr"],
        transformer=builder,
        maybe_placeholders=True,
        cache=_cache_file(),
    )
    return lark, builder


def _cache_file() -> str | bool:
    """Building the parse tables takes 140 ms, reading them 10; without a writable cache they are built each time."""
    folder = resources.cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return str(folder / "grammar.lark") if os.access(folder, os.W_OK) else False


def _check_version(source: Source, spec: Spec) -> list[Diagnostic]:
    if spec.version == VERSION:
        return []
    header = re.search(r"^\s*nnspec\s+(\S+)", source.text, re.M)
    message = f"this nnspec reads version {VERSION} of the language and no other"
    return [Diagnostic("E109", message, Span(source, *header.span(1)) if header else spec.span)]


def _check_brackets(source: Source, text: str, offset: int) -> Diagnostic | None:
    open_: list[tuple[str, Span]] = []
    for match in _LEXED.finditer(text):
        char, span = match.group(), Span(source, offset + match.start(), offset + match.end())
        if char in _CLOSES.values():
            open_.append((char, span))
        elif char in _CLOSES:
            if _CLOSES[char] not in (opener for opener, _ in open_):
                return Diagnostic("E002", f"`{char}` closes nothing", span, f"no `{_CLOSES[char]}` is open here")
            opener, opened_at = open_.pop()
            if opener != _CLOSES[char]:
                return _unclosed(opener, opened_at, ((span, f"`{char}` comes first"),))
        if len(open_) > MAX_NESTING:
            return Diagnostic("E003", f"brackets are nested deeper than {MAX_NESTING}", open_[-1][1])
    return _unclosed(*open_[-1]) if open_ else None


def _unclosed(opener: str, span: Span, notes: tuple[tuple[Span, str], ...] = ()) -> Diagnostic:
    return Diagnostic("E002", f"`{opener}` is never closed", span, "opened here", notes)


def _explain(source: Source, error: UnexpectedInput, offset: int) -> Diagnostic:
    at = min(offset + (error.pos_in_stream or 0), len(source.text))
    if isinstance(error, UnexpectedCharacters):
        char = source.text[at : at + 1]
        if char == '"':
            return Diagnostic("E001", "a text is not closed", Span(source, at, at + 1), 'the closing `"` is missing on this line')
        return Diagnostic("E001", f"`{printable(char)}` has no meaning in the language", Span(source, at, at + 1))
    assert isinstance(error, UnexpectedToken)
    expected = describe(error.accepts or error.expected)
    if error.token.type == "$END":
        return Diagnostic("E001", "the file ends in the middle of a statement", Span(source, at, at), expected)
    if (lone := _LONE_WORD.search(source.text, max(0, at - MAX_LOOK_BACK), at)) and {"EQ", "LARROW"} <= (error.accepts or error.expected):
        return _explain_lone(source, lone, expected)
    token = error.token
    help_ = did_you_mean(str(token), DEFINITION_WORDS) if expected == "expected a definition" else ""
    if source.text[at - 1 : at + 1] == "**":
        help_ = "a power is written `x ^ 2`"
    if token.type == "ARROW" and _BRANCH.search(source.text, _start_of_statement(source.text, at), at):
        help_ = "with `if`, parentheses say what the pipeline begins with: `else (x -> f)`, or `(if c then x else y) -> f`"
    return Diagnostic("E001", f"`{printable(str(token))}` cannot stand here", _token_span(source, token, offset), expected, help=help_)


def _explain_lone(source: Source, lone: re.Match[str], expected: str) -> Diagnostic:
    """A name that begins a statement and does not go on as one: a misspelt word, or the rest of a value that is missing."""
    word, before = lone["word"], lone["before"]
    if before in STATEMENT_WORDS:
        return Diagnostic("E001", f"`{before}` cannot stand here", Span(source, *lone.span("before")), "expected a value")
    if word in DEFINITION_WORDS:
        return Diagnostic("E001", f"`{word}` stands outside of models and layers", Span(source, *lone.span("word")), "not in a `{ }`")
    help_ = did_you_mean(word, STATEMENT_WORDS)
    label = "" if help_ else f"{expected} after it"
    return Diagnostic("E001", f"`{printable(word)}` does not start a statement", Span(source, *lone.span("word")), label, help=help_)


def _token_span(source: Source, token: Token, offset: int) -> Span:
    start = offset + (token.start_pos or 0)
    return Span(source, start, start + len(token))


def _blank_statement(text: str, at: int) -> str:
    """The text without the statement around `at`: from the line that starts it up to the line that starts the next."""
    start = _start_of_statement(text, at)
    following = _STATEMENT.search(text, max(at + 1, start + 1))
    end = following.start() if following else len(text)
    if text[start:end].count("{") != text[start:end].count("}"):
        definition = _DEFINITION.search(text, at + 1)
        start, end = _start_of_definition(text, at), definition.start() if definition else len(text)
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def _start_of_statement(text: str, at: int) -> int:
    starts = [m.start() for m in _STATEMENT.finditer(text, 0, at + 2) if not _is_value(text, m.start())]
    if len(starts) > 1 and text[starts[-1] : at].strip().isidentifier():
        return starts[-2]  # `h = x +` shows only at the `=` of the next line: both go
    return starts[-1] if starts else 0


def _is_value(text: str, start: int) -> bool:
    """Whether the line of an `if` is what the line before is equal to."""
    return text[max(0, start - MAX_LOOK_BACK) : start].rstrip().endswith("=")


def _start_of_definition(text: str, at: int) -> int:
    starts = [m.start() for m in _DEFINITION.finditer(text, 0, at + 1)]
    return starts[-1] if starts else 0
