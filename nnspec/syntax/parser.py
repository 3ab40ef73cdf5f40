"""Text to AST. A bad source gives diagnostics, never an exception; parsing goes on after the statement that is wrong."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from nnspec.diagnostics import Diagnostic, Source, Span
from nnspec.syntax.ast import Expr, Signature, Spec, Train
from nnspec.syntax.build import Builder
from nnspec.syntax.lalr import Token, Tree, Unexpected, comments_of, concrete, run
from nnspec.syntax.words import SETTING_WORDS

VERSION = 1


def parse(source: Source, start: int = 0, end: int | None = None) -> tuple[Spec, list[Diagnostic]]:
    """The definitions in a source (or in the part from `start` to `end`) and what is wrong with its syntax."""
    text = source.text[start:end]
    try:
        spec: Spec = _run(source, text, start, "start")
        if _has_known_settings(spec):
            return spec, _check_version(source, spec)
    except Unexpected:
        pass
    from nnspec.syntax.mend import mended  # only a mistake needs its tables

    spec, found = mended(source, text, start, lambda read: _run(source, read, start, "start"))
    return spec, found + _check_version(source, spec)


def parse_signature(text: str) -> Signature:
    """The signature of an op row, in the language's own type syntax."""
    name, _, rest = text.partition("(")
    signature = _signature(f"_({rest}")
    return Signature(signature.span, name, signature.parameters, signature.returns)


@cache
def _signature(text: str) -> Signature:
    """One of any name: half of all have what another has."""
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
    except Unexpected as error:
        from nnspec.syntax.explain import explain

        return None, [explain(source, source.text, error)]


def parse_piece(text: str) -> Expr | None:
    """A piece of a spec as a formula, if it is one; its places are counted from where the piece begins."""
    try:
        piece: Expr = _run(Source("", text), text, 0, "expr")
    except Unexpected:
        return None
    return piece


def parse_concrete(text: str) -> tuple[Tree, list[Token]]:
    """A text without mistakes as the tree of its grammar, every token in it, and the comments."""
    tree: Tree = run(text, "start", concrete)
    return tree, comments_of(text, tree)


def _run(source: Source, text: str, offset: int, rule: str) -> Any:
    return run(text, rule, Builder(source, offset))


def _has_known_settings(spec: Spec) -> bool:
    """Where a comma is missing, `freeze a b c`, the next value reads as a setting."""
    return all(setting.name.id in SETTING_WORDS for train in spec.definitions if isinstance(train, Train) for setting in train.settings)


def _check_version(source: Source, spec: Spec) -> list[Diagnostic]:
    if spec.version == VERSION:
        return []
    header = re.search(r"^\s*nnspec\s+(\S+)", source.text, re.M)
    message = f"this nnspec reads version {VERSION} of the language and no other"
    return [Diagnostic("E109", message, Span(source, *header.span(1)) if header else spec.span)]
