"""Text to AST. A bad source gives diagnostics, never an exception; parsing goes on after the statement that is wrong."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import replace
from functools import cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from nnspec import resources
from nnspec.diagnostics import Diagnostic, Source, Span
from nnspec.syntax.ast import Expr, Signature, Spec
from nnspec.syntax.brackets import balanced
from nnspec.syntax.build import Builder
from nnspec.syntax.explain import explain
from nnspec.syntax.recovery import blanked, lost_names, statement_around

VERSION = 1
MAX_ERRORS = 50
_lock = threading.Lock()


def parse(source: Source, start: int = 0, end: int | None = None) -> tuple[Spec, list[Diagnostic]]:
    """The definitions in a source (or in the part from `start` to `end`) and what is wrong with its syntax."""
    written = source.text[start:end]
    text, found = balanced(source, written, start, MAX_ERRORS)
    while True:
        try:
            spec: Spec = _run(source, text, start, "start")
            lost = lost_names(written, text, start, spec.definitions) if found else frozenset[str]()
            return replace(spec, lost=lost), found + _check_version(source, spec)
        except UnexpectedInput as error:
            found.append(explain(source, text, error, start))
            rest = blanked(text, *statement_around(text, error.pos_in_stream or 0))
            if len(found) >= MAX_ERRORS or rest == text:
                return Spec(Span(source, start, start + len(text)), 1, ()), found
            text = rest


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
        return None, [explain(source, source.text, error)]


def _run(source: Source, text: str, offset: int, rule: str) -> Any:
    with _lock:
        lark, builder = _parser()
        builder.source, builder.offset = source, offset
        return lark.parse(text, start=rule)


@cache
def _parser() -> tuple[Lark, Builder]:
    builder = Builder()
    return _lark(transformer=builder), builder


def _lark(**options: Any) -> Lark:
    grammar = (resources.folder("grammar") / "nn.lark").read_text("utf-8")
    starts = ["start", "signature", "expr"]
    return Lark(grammar, parser="lalr", start=starts, maybe_placeholders=True, cache=_cache_file(), **options)


def parse_concrete(text: str) -> tuple[Tree[Token], list[Token]]:
    """A text without mistakes as the tree of its grammar, every token in it, and the comments."""
    with _lock:
        lark, comments = _concrete_parser()
        comments.clear()
        return lark.parse(text, start="start"), list(comments)


@cache
def _concrete_parser() -> tuple[Lark, list[Token]]:
    comments: list[Token] = []
    return _lark(lexer_callbacks={"COMMENT": comments.append}), comments


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
