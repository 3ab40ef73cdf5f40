"""What is said of a text that the grammar does not know: in words of the language, never in names of tokens."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from nnspec.diagnostics import Diagnostic, Fix, Source, Span, meant, printable, uncommented
from nnspec.syntax.advice import (
    BRACES_CALLED,
    LONE_WORD,
    NAMES_ARGUMENT,
    definition,
    in_round_brackets,
    is_behind_stages,
    is_made,
    line_before,
    misplaced,
    named_output,
    of_setting,
    of_values,
    without_a_name,
    without_equals,
)
from nnspec.syntax.commas import comma_number
from nnspec.syntax.lalr import END, LONGEST_NAME, Token, Unexpected
from nnspec.syntax.recovery import start_of_statement, word_of_definition
from nnspec.syntax.slips import MAX_LOOK_BACK, WORDS, slip_at, slip_before
from nnspec.syntax.words import DEFINITION_WORDS, SETTING_WORDS, STATEMENT_WORDS, TEST_WORDS, describe, only_sign

_BRANCH = re.compile(r"\b(?:then|else)\b(?!\s*[{])")
_DANGLING = re.compile(r"(->|[-+*/@%^=,~]|\b(?:and|or|not|then|else)\b)[ \t]*(?:#[^\n]*)?\n\s*([^\W\d]\w*)(?:\s+[^\W\d]\w*)?\s*\Z")
_COMMA = re.compile(rf"(,)(?:\s|#[^\n]*\n)*(?:(?P<next>{'|'.join({*STATEMENT_WORDS, *SETTING_WORDS})})\s+(?:[\w\"\[{{(][^,]*)?)?\Z")
_STARTS_STATEMENT = re.compile(
    rf"(?:\s|#[^\n]*\n)*(?:(?:{'|'.join(STATEMENT_WORDS)})\b|[^\W\d]\w*\s*(?:,\s*[^\W\d]\w*\s*)*(?:=(?!=)|<-)|\}}|\Z)"
)
_PORT = re.compile(r"\s*(?P<kind>input|target)\s")
_TYPED = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*:")
_JOINS = re.compile(r"\w")
_CALLED = re.compile(r"\b(?P<word>train|test)\s*\Z")
_FACTOR = re.compile(r"(?<![\w.])\d[\d_.]*[ \t]*\Z")
_IN_BRACES = {
    "train": "its settings stand in braces: `train { data ..  epochs 3  optimizer adam(lr = 1e-3) }`",
    "test": 'a test has a title and a model: `test "by hand" of Net { given x = ..  expect .. }`',
}
_BEFORE_BRACES = {"=": "what follows is one formula, without braces: `schedule s(k) = lr * k`", "of": _IN_BRACES["test"]}
_BEYOND = {
    ":": "a type follows: `[4]` is a row of four numbers, `[]` one number, and `class(3)` one of three classes",
    "=": "a value follows",
    "with": "say by what: `steps 3 with sgd(lr = 0.1)`",
}
"""What is said of a sign that is missing together with all that stands behind it."""
_DECLARED = re.compile(r"\b(?P<kind>param|state)\s+[^\W\d]\w*\s*(?::\s*\[[^\[\]]*\]\s*)?\Z")
_IN_BRACKETS = re.compile(r"\(.*\)")
_OUTPUT_NAME = re.compile(r"\boutput\s+(?:[^\n]*,)?\s*(?P<name>[^\W\d]\w*)\s*\Z")
_WIDE, _WIDER = re.compile("[\uff01-\uff5e]"), 0xFEE0
"""ASCII once more, for texts in Chinese or Japanese, so many places further on."""
_OUTPUTS = re.compile(r"\boutput\s+(?:[^\W\d]\w*\s*,\s*)*[^\W\d]\w*[ \t]+\Z")
_VALUE_BEFORE = re.compile(r"[\w)\]][ \t]+\Z")
BRACKETS = "()[]{}"
_BETWEEN = ("EQ", "COLON", "LARROW", "ARROW", "TILDE")
"""What stands between a name and its value, in one kind of statement or another."""
_VALUES = ("NAME", "NUMBER", "STRING", "LBRACE")
_IN_TRAINING = {"OPTIMIZER", "SCHEDULE", "RBRACE"}
_OPERATORS = ("ARROW", "LPAR", "PLUS", "MINUS", "STAR", "SLASH", "AT", "CARET", "DOT", "LSQB")


def explain(source: Source, read: str, error: Unexpected, offset: int = 0) -> Diagnostic:
    """One diagnostic for the place where the parser could not go on; `read` is the text from `offset` without what is reported already."""
    at = min(offset + error.position, len(source.text))
    if error.token is None:
        return slip_at(source, at, error.accepted) or _no_meaning(source, at)
    if len(error.token) > LONGEST_NAME and error.token.type == "NAME":
        return Diagnostic("E502", f"a name has at most {LONGEST_NAME} letters, and this has {len(error.token):,}", Span(source, at, at + 1))
    if error.token == "then" and "LBRACE" in error.accepted:
        return _choice(Span(source, at, at + len(error.token)))
    slip = (
        of_setting(source, at, error.accepted)
        or _comma_number(source, at)
        or slip_at(source, at, error.accepted)
        or slip_before(source, at)
        or _comma(source, read, error, offset)
    )
    slip = slip or _value_missing(source, read, error.position, error.token, offset)
    return slip or _token(source, at, error.token, error.accepted)


def _choice(then: Span) -> Diagnostic:
    """A choice between values where a statement is due."""
    help_ = "a value needs a name, `h = if c then a else b`; a statement has braces, `if c { h = a } else { h = b }`"
    return Diagnostic("E001", "this `if` is a statement, and `then` belongs to a value", then, help=help_)


def _no_meaning(source: Source, at: int) -> Diagnostic:
    char, span = source.text[at : at + 1], Span(source, at, at + 1)
    if char == '"':
        return Diagnostic("E001", "a text is not closed", span, 'the closing `"` is missing on this line')
    message = f"`{printable(char)}` has no meaning in the language"
    return Diagnostic("E001", message, span, **_narrow(span) if _WIDE.fullmatch(char) else {})


def _narrow(wide: Span) -> dict[str, Any]:
    """What is said of a sign as wide as two; its fix takes all of them up to the end of the line, or brackets would not match."""
    line = uncommented(wide.source.line(wide.line))[wide.begin[1] - 1 :].split('"')[0]
    last = max(m.end() for m in _WIDE.finditer(line))
    narrow = _WIDE.sub(lambda m: chr(ord(m[0]) - _WIDER), line[:last])
    return {
        "help": f"it is a sign of double width: write `{narrow[0]}`",
        "fix": Fix(Span(wide.source, wide.start, wide.start + last), narrow),
    }


def _comma_number(source: Source, at: int) -> Diagnostic | None:
    """A number with a comma, unless it is all that brackets hold."""
    found = comma_number("E004", source, at)
    span = found.span if found else None
    return None if span and _IN_BRACKETS.fullmatch(source.code, max(0, span.start - 1), span.end + 1) else found


def _comma(source: Source, read: str, error: Unexpected, offset: int) -> Diagnostic | None:
    """A comma between statements or settings, which may show only behind the word that follows it."""
    comma = _COMMA.search(read, max(0, error.position - MAX_LOOK_BACK), error.position)
    ends_here = error.token is not None and (error.token in STATEMENT_WORDS or error.token.type == "RBRACE")
    if not comma or not (comma["next"] or ends_here) or _within_brackets(read, comma.start()):
        return None
    training = word_of_definition(read, comma.start()) == "train"
    if comma["next"] and comma["next"] not in (SETTING_WORDS if training else STATEMENT_WORDS):
        return None
    return _superfluous(Span(source, offset + comma.start(1), offset + comma.end(1)), "setting" if training else "statement")


def _within_brackets(text: str, at: int) -> bool:
    """Whether a place is among the arguments of a call, or the elements of a list, where commas belong."""
    before = text[start_of_statement(text, at) : at]
    return any(before.count(opener) > before.count(closer) for opener, closer in ("()", "[]"))


def _superfluous(comma: Span, what: str = "statement") -> Diagnostic:
    message, text = f"a {what} ends without `,`", comma.source.code
    if what == "statement" and not _STARTS_STATEMENT.match(text, comma.end):
        return _next_port(comma) or Diagnostic("E001", message, comma, help="several values are a list, in square brackets: `[a, b]`")
    help_ = "leave it out" + (": settings stand on lines of their own, or side by side" if what == "setting" else "")
    return Diagnostic("E001", message, comma, help=help_, fix=Fix(comma, " " if _JOINS.match(text, comma.end) else ""))


def _next_port(comma: Span) -> Diagnostic | None:
    """A comma after which an input or target follows without its word."""
    text = comma.source.code
    port, name = _PORT.match(text, start_of_statement(text, comma.start), comma.start), _TYPED.match(text, comma.end)
    if not port or not name:
        return None
    fix = Fix(Span(comma.source, comma.start, name.start("name")), f" {port['kind']} ")
    message = f"`{name['name']}` needs an `{port['kind']}` of its own"
    return Diagnostic("E004", message, comma, help=f"write `{port['kind']} {name['name']}: ...`", fix=fix)


def _value_missing(source: Source, read: str, at: int, token: Token, offset: int) -> Diagnostic | None:
    """A statement that breaks off, which shows only after the first words of the next."""
    dangling = _DANGLING.search(read, max(0, at - MAX_LOOK_BACK), at)
    if not dangling or not (token.type in ("EQ", "LARROW") or dangling[2] in STATEMENT_WORDS):
        return None
    place = Span(source, offset + dangling.start(1), offset + dangling.end(1))
    return Diagnostic("E001", f"a value is missing after `{dangling[1]}`", place, "the statement ends here")


def _token(source: Source, at: int, token: Token, accepted: Set[str]) -> Diagnostic:
    expected = describe(accepted)
    if token.type == END:
        return Diagnostic("E001", "the file ends in the middle of a statement", Span(source, at, at), expected)
    span = Span(source, at, at + len(token))
    if (lone := LONE_WORD.search(source.code, max(0, at - MAX_LOOK_BACK), at)) and {"EQ", "LARROW"} <= accepted:
        return _lone(source, lone, token, expected)
    if token.type == "NAME" and _is_factor(source, span.start, span.end):
        return _product(span, accepted)
    if sign := _missing(token, accepted):
        return _without(sign, span, token)
    if token.type == "COMMA" and "statement" in expected:
        return _superfluous(span)
    if token.type == "LBRACE" and (called := BRACES_CALLED.search(source.code, max(0, at - MAX_LOOK_BACK), at)):
        return in_round_brackets(source, called["word"], at)
    if token.type == "LSQB" and (declared := _DECLARED.search(source.code, max(0, at - MAX_LOOK_BACK), at)) and "[" not in declared[0]:
        return _before(":", span)
    if token in STATEMENT_WORDS and accepted >= _IN_TRAINING:
        return Diagnostic("E001", f"`{token}` stands in a model, not among the settings of a training", span)
    more = definition(token, span) if expected == "expected a definition" else misplaced(token, span)
    if token.type == "LPAR" and (opened := _CALLED.search(source.code, max(0, at - MAX_LOOK_BACK), at)):
        more["help"] = _IN_BRACES[opened["word"]]
    if token.type in _OPERATORS and (named := _OUTPUT_NAME.search(source.code, max(0, at - MAX_LOOK_BACK), at)):
        more |= named_output(source, named.start("name"))
    if token == "as":
        more["help"] = "`as` names a stage behind `->`: `x -> dense(3) as first`"
    if token.type == "ARROW" and _BRANCH.search(source.code, start_of_statement(source.code, at), at):
        more["help"] = "with `if`, parentheses say what the pipeline begins with: `else (x -> f)`, or `(if c then x else y) -> f`"
    return Diagnostic("E001", f"`{printable(str(token))}` cannot stand here", span, expected, **more)


def _is_factor(source: Source, start: int, end: int) -> bool:
    """Whether a word stands behind a number, as a product is written by hand, and names no argument."""
    return bool(_FACTOR.search(source.code, max(0, start - MAX_LOOK_BACK), start)) and not NAMES_ARGUMENT.match(source.code, end)


def _product(word: Span, accepted: Set[str]) -> Diagnostic:
    """A word behind a number; among arguments it may also be the next one."""
    message, help_ = f"a sign is missing before `{printable(word.text)}`", f"did you mean `* {word.text}`?"
    if "COMMA" in accepted:
        return Diagnostic("E006", message, word, help=f"{help_} Between two values it is `,`")
    return Diagnostic("E006", message, word, help=help_, fix=Fix(Span(word.source, word.start, word.start), "* "))


def _missing(token: Token, accepted: Set[str]) -> str:
    """The sign without which the token cannot follow: the only one possible, or a comma between two values."""
    if token.type == "COLON" and "EQ" in accepted:
        return "="
    between = "COMMA" in accepted and not accepted.isdisjoint(("RPAR", "RSQB"))
    return "," if between and token.type in ("NAME", "NUMBER", "STRING", "LSQB") else only_sign(accepted)


def _without(sign: str, span: Span, token: Token) -> Diagnostic:
    """The sign before the token, or in its place."""
    if token.type in _BETWEEN and sign in ("=", ":"):
        message = f"`{sign}` belongs here, not `{token}`"
        return Diagnostic("E006", message, span, help=f"write `{sign}`", fix=Fix(span, sign))
    message = f"`{sign}` is missing before `{printable(str(token))}`"
    if sign == "," and token.type == "NAME" and not NAMES_ARGUMENT.match(span.source.code, span.end) and is_made(span):
        return Diagnostic("E006", message, span, help=f"write `,` before it; {of_values(span)}")
    if sign == "," and (unnamed := without_equals(span)):
        return unnamed
    if sign != "," and _starts_statement(span, token):
        end = _end_before(span)
        last = Span(span.source, end.start - 1, end.start)
        return Diagnostic("E006", f"`{sign}` is missing where this statement ends", last, help=_BEYOND.get(sign, ""))
    if sign in BRACKETS and token.type == "NAME" and _VALUE_BEFORE.search(line_before(span)):  # brackets match, so a sign is missing
        return Diagnostic("E006", f"a sign is missing before `{printable(str(token))}`", span, help=of_values(span))
    if sign in BRACKETS or token.type == "LBRACE":
        return Diagnostic("E006", message, span, help=_BEFORE_BRACES.get(sign, ""))
    return _before(sign, span)


def _starts_statement(span: Span, token: Token) -> bool:
    """Whether the next statement begins here, or the braces around it end."""
    return (
        token in STATEMENT_WORDS
        or token.type == "RBRACE"
        or (token.type == "NAME" and bool(NAMES_ARGUMENT.match(span.source.code, span.end)))
    )


def _before(sign: str, span: Span) -> Diagnostic:
    """The only sign that can stand before a word."""
    fix = Fix(_end_before(span), sign if sign in ",:" else f" {sign}")
    return Diagnostic("E006", f"`{sign}` is missing before `{printable(span.text)}`", span, help=f"write `{sign}` before it", fix=fix)


def _end_before(span: Span) -> Span:
    """Where what stands before it ends."""
    end = max(0, span.start - MAX_LOOK_BACK) + len(span.source.code[max(0, span.start - MAX_LOOK_BACK) : span.start].rstrip())
    return Span(span.source, end, end)


def _lone(source: Source, lone: re.Match[str], token: Token, expected: str) -> Diagnostic:
    """A name that begins a statement and does not go on as one: a misspelt word, or the rest of a value that is missing."""
    word, span = lone["word"], Span(source, *lone.span("word"))
    if word in DEFINITION_WORDS:
        return Diagnostic("E001", f"`{word}` stands outside of models and layers", span, "not in a `{ }`")
    if word in TEST_WORDS:
        return Diagnostic("E001", f"`{word}` stands in a `test`, not here", span, help=_IN_BRACES["test"])
    if word in SETTING_WORDS and token.type in _VALUES:
        return Diagnostic("E001", f"`{word}` stands in a `train` block, not here", span, help=_IN_BRACES["train"])
    if token.type == "COLON":
        return _without("=", Span(source, lone.end(), lone.end() + 1), token)
    if _is_factor(source, span.start, span.end):
        return _product(span, frozenset())
    if _VALUE_BEFORE.search(source.code, max(0, span.start - MAX_LOOK_BACK), span.start) or is_behind_stages(span):
        if word in WORDS:
            return Diagnostic("E005", f"`{word}` is a word of other languages", span, help=WORDS[word])
        if declared := _DECLARED.search(source.code, max(0, span.start - MAX_LOOK_BACK), span.start):
            return _before("~" if declared["kind"] == "param" else "=", span)
        named = _OUTPUTS.search(source.code, max(0, span.start - MAX_LOOK_BACK), span.start)
        if not named and is_made(span):
            return Diagnostic("E006", f"a sign is missing before `{printable(word)}`", span, help=of_values(span))
        sign = " ->" if not named else " =" if token.type in _OPERATORS else ","
        fix = Fix(_end_before(span), sign)  # right at the word before, whose mistake it is if that has no value
        help_ = f"did you mean `{sign.strip()} {word}`?"
        return Diagnostic("E006", f"a sign is missing before `{printable(word)}`", span, help=help_, fix=fix)
    more = meant(word, STATEMENT_WORDS, span, without_a_name(span) if token.type in _OPERATORS else "")
    label = "" if more["help"] else f"{expected} after it"
    return Diagnostic("E001", f"`{printable(word)}` does not start a statement", span, label, **more)
