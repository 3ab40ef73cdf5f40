"""What is offered beside a sign or word that cannot stand where it does."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from nnspec.diagnostics import Diagnostic, Fix, Source, Span, meant, suggest
from nnspec.syntax.lalr import Token
from nnspec.syntax.recovery import start_of_statement, word_of_definition
from nnspec.syntax.slips import MAX_LOOK_BACK
from nnspec.syntax.words import DEFINITION_WORDS, SETTING_WORDS, VALUE_STARTS

LONE_WORD = re.compile(r"\b(?P<word>[^\W\d]\w*)\s*\Z")
_GIVES = re.compile(":=|==?>?|:|<-")
BRACES_CALLED = re.compile(r"(?:optimizer|schedule|penalty|clip|stop)[ \t]+(?P<word>[^\W\d]\w*)\s*\Z")
_REPEATS = re.compile(r"(?:->|\brepeat\s*\([^()\n]*\))\s*\Z")
NAMES_ARGUMENT = re.compile(r"\s*=(?!=)")
_MAKES = r"\b(?:input|target|param|state|let)\s+{word}\b|^\s*{word}\s*=(?!=)|^(?:fn|layer|init|optimizer|schedule)\b[^\n{{=]*\b{word}\b"
_ARGUMENT = re.compile(r"[(,][ \t]*(?P<word>[^\W\d]\w*)[ \t]+\Z")
_LAST = re.compile(r"[^\n{}]*+\s*+\}")
"""The rest of the line before the end of what is in braces."""
_FOR_OUTPUTS = ("p", "result", "out")
_JOINS_VALUES = ("PLUS", "MINUS", "STAR", "SLASH", "AT", "CARET", "PERCENT")
_BRACKETS = frozenset("()[]{}")
_STAGE, _MORE_STAGES = re.compile(r"(->\s*[^\W\d][\w.]*(?:\([^()]*\))?)\s*\Z"), re.compile(r"[^\n]*->")
_PIPED = re.compile(
    r"\s*(?:(?:output\s+)?[^\W\d]\w*\s*=(?!=)|return\b|(?:loss|metric)\s+(?:[^\W\d]\w*\s*=(?!=))?)\s*(?P<pipe>(?:(?!->).)+->.*)", re.S
)


def definition(token: Token, span: Span) -> dict[str, Any]:
    """What is said where a definition is due: by which word it begins, or how a value stands outside of them."""
    if not NAMES_ARGUMENT.match(span.source.code, span.end):
        return meant(str(token), DEFINITION_WORDS, span)
    help_ = f"a value for the whole file is written `let {token} = ...`; formulas stand in models, layers and functions"
    return {"help": help_, "fix": Fix(Span(span.source, span.start, span.start), "let ")}


def misplaced(token: Token, span: Span) -> dict[str, Any]:
    """What is said of a sign or word by what stands before it."""
    return _twice(token, span) or (_after_stage(span) if token.type in _JOINS_VALUES else {})


def _twice(token: Token, span: Span) -> dict[str, Any]:
    """What is said of a sign or word that stands behind itself; a bracket may, and goes with another, and a number may lack a sign."""
    if token in _BRACKETS or token.type == "NUMBER" or not re.search(rf"(?<!\w){re.escape(token)}[ \t]*\Z", line_before(span)):
        return {}
    return {"help": "it stands here twice: leave one out", "fix": Fix(Span(span.source, span.start, span.end), "")}


def _after_stage(sign: Span) -> dict[str, Any]:
    """What is said of a sign that takes values behind a pipeline; where another follows it may reach further."""
    text = sign.source.code
    stage = _STAGE.search(text, max(0, sign.start - MAX_LOOK_BACK), sign.start)
    if stage is None:
        return {}
    piped = _PIPED.fullmatch(text, start_of_statement(text, sign.start), stage.end(1))
    pipe = Span(sign.source, *piped.span("pipe")) if piped else None
    help_ = f"inside of a formula a pipeline stands in parentheses: `({pipe.one_line if pipe else f'x {stage[1]}'}) {sign.text} ...`"
    fix = Fix(pipe, f"({pipe.text})", safe=not _MORE_STAGES.match(text, sign.end)) if pipe else None
    return {"help": help_, "fix": fix}


def named_output(source: Source, start: int) -> dict[str, Any]:
    """What is said of an output that is a formula without a name; the formula goes on to the end of the line."""
    formula = Span(source, start, start + len(source.code[start:].split("\n", 1)[0])).one_line.rstrip(" }")
    name = next((n for n in _FOR_OUTPUTS if not re.search(rf"\b{n}\b", source.code)), None)
    fix = Fix(Span(source, start, start), f"{name} = ", safe=False) if name else None
    return {"help": f"an output has a name: `output {name or '...'} = {formula}`", "fix": fix}


def line_before(span: Span) -> str:
    return span.source.line(span.line)[: span.begin[1] - 1]


def in_round_brackets(source: Source, word: str, at: int) -> Diagnostic:
    """The arguments of what a setting calls, in braces."""
    inner = source.code[at + 1 :].split("}", 1)[0]
    braces = Span(source, at, at + len(inner) + 2)
    fix = Fix(braces, f"({inner.strip()})") if "\n" not in inner and "{" not in inner else None
    help_ = f"write `{word}({inner.strip()})`" if fix else f"write `{word}(...)`"
    return Diagnostic("E004", "arguments stand in round brackets", braces if fix else Span(source, at, at + 1), help=help_, fix=fix)


def is_behind_stages(span: Span) -> bool:
    """Whether a word follows the braces of a stage on its line."""
    text, depth = line_before(span).rstrip(), 0
    for at in range(len(text) - 1, -1, -1) if text.endswith("}") else ():
        depth += (text[at] == "}") - (text[at] == "{")
        if not depth:
            return bool(_REPEATS.search(text, 0, at))
    return False


def of_setting(source: Source, at: int, accepted: Set[str]) -> Diagnostic | None:
    """A sign between the name of a setting and its value."""
    sign = _GIVES.match(source.code, at)
    if sign is None or not accepted >= VALUE_STARTS or word_of_definition(source.code, at) != "train":
        return None
    word, span = LONE_WORD.search(source.code, max(0, at - MAX_LOOK_BACK), at), Span(source, *sign.span())
    if word is None:
        return None
    beside = source.code[span.start - 1 : span.start] + source.code[span.end : span.end + 1]
    is_setting = suggest(word["word"], SETTING_WORDS) is not None
    fix = Fix(span, "" if len(beside.strip()) < len(beside) else " ", safe=is_setting)
    return Diagnostic("E008", f"a setting has no `{sign[0]}`", span, "its value follows its name", help="leave it out", fix=fix)


def of_values(span: Span) -> str:
    """What may be meant by two values side by side: a product, or a call where nothing makes the first."""
    before = re.search(r"([^\W\d][\w.]*)[ \t]+\Z", line_before(span))
    if before and not is_made(Span(span.source, span.start - len(before[0]), span.start - len(before[0]) + len(before[1]))):
        return f"the arguments of a call stand in brackets: `{before[1]}({span.text})`"
    return f"a product is written `* {span.text}`, of matrices `@ {span.text}`; a stage follows by `->`"


def is_made(word: Span) -> bool:
    """Whether the text makes a value of that name: a port, a parameter, a formula, or an argument."""
    made = _MAKES.format(word=re.escape(word.text))
    return bool(re.search(made, word.source.code, re.M))


def without_equals(span: Span) -> Diagnostic | None:
    """A value behind a word among the arguments that makes none: that of an argument of this name."""
    before = line_before(span)
    named = _ARGUMENT.search(before)
    word = span.part(*(at - len(before) for at in named.span("word"))) if named else None
    if word is None or is_made(word):
        return None
    help_ = f"an argument by its name is `{word.text} = {span.text}`; between two values stands `,`"
    fix = Fix(Span(span.source, word.end, span.start), " = ", safe=False)
    return Diagnostic("E006", f"a sign is missing before `{span.text}`", span, help=help_, fix=fix)


def without_a_name(span: Span) -> str:
    """What is said of a formula that begins with a word and has no name: deeper than the line above it may go on with that.

    What ends a function or layer is what that gives.
    """
    if word_of_definition(span.source.code, span.start) in ("fn", "layer") and _LAST.match(span.source.code, span.start):
        return f"what a {word_of_definition(span.source.code, span.start)} gives begins with `return`: `return {span.text} ...`"
    above, depth = span.source.line(span.line - 1) if span.line > 1 else "", len(line_before(span))
    deeper = len(above) - len(above.lstrip()) < depth or above.lstrip().startswith("->")
    if above.strip() and not above.rstrip().endswith("{") and deeper:
        return f"to go on with the line above, begin with `->`: `-> {span.text} ...`"
    return f"a value needs a name, `h = {span.text} ...`, or is what a layer gives: `return {span.text} ...`"
