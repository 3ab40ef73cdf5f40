"""Slips of the pen that have a name: signs and words of other languages, and what to write instead. One row each."""

from __future__ import annotations

import re
from collections.abc import Set

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.syntax.mathematics import BEHIND, SIGNS
from nnspec.syntax.slip import Slip

MAX_LOOK_BACK = 400
OF_ANOTHER_BASE = re.compile(r'"[^"\n]*"|#[^\n]*|(?<![\w.])(?P<number>0(?:[xX][0-9a-fA-F]{1,16}|[oO][0-7]{1,16}|[bB][01]{1,64}))(?![\w.])')
_QUOTES = "“”„«»‘’'`"
_COMPARES = "(?:<=?(?!-)|>=?|[=!]=)"
_OPERAND = r"[\w.]++(?:\[[^\[\]\n]*\]|\([^()\n]*\))?"
_NUMBER = r"\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:e[-+]?\d+)?"
_BY_SIZE = r"[ \t]*[x×][ \t]*(\d+)"
_OWN_SIGN = "a sign of other languages"


def _sign(pattern: str, means: str, fix: str | None = None) -> Slip:
    return Slip("E004", re.compile(pattern), rf"`\g<0>` is {_OWN_SIGN}", means, fix)


HERE = (
    *SIGNS,
    Slip(
        "E004", re.compile(rf"({_OPERAND}\s*{_COMPARES}\s*({_OPERAND}(?:\s*[-+*/^]\s*{_OPERAND})*))\s*({_COMPARES})"),
        "a comparison has two sides",
        r"both are written: `\1 and \2 \3 ...`", r"\1 and \2 \3", safe=False,
    ),
    Slip(
        "E004", re.compile(r"\brepeat\(([^(),\n]+),"), "what `repeat` repeats stands in braces", r"write `repeat(\1) { dense(8) -> relu }`",
    ),
    Slip(
        "E004", re.compile(r"\b(train|model|layer|optimizer|test)\b([^\n{}:=]*?)\s*[:=]\s*\{"), r"`\g<0>` has a sign too many",
        fix=r"\1\2 {",
    ),
    Slip(
        "E004", re.compile(r"^model[ \t]*:(?=[ \t]*(?:#[^\n]*)?$)", re.M), r"`\g<0>` is how other languages begin a block",
        "a model has a name, and its statements stand in braces: `model Net { input x: [4]  output y = x -> dense(3) }`",
    ),
    Slip(
        "E004", re.compile(r"^((?:model|layer|fn|train|optimizer|test)\b[^\n{}:=#]*?)[ \t]*:(?=[ \t]*(?:#[^\n]*)?$)", re.M),
        r"`\g<0>` is how other languages begin a block", r"what belongs to it stands in braces: `\1 { ... }`",
    ),
    Slip(
        "E004", re.compile(r"\b(output|loss|metric|return)\s*:[ \t]*"), r"`\1` has no `:`", "its value follows at once: leave it out",
        r"\1 ",
    ),
    Slip(
        "E004", re.compile(r"\b(input|target|param|state)\s*:\s*([^\W\d]\w*)\s*(?=\[)"), r"`\1` is followed by its name",
        fix=r"\1 \2: ",
    ),
    Slip(
        "E004", re.compile(r"\b(input|target)\s+\w+[ \t]*,"), r"each `\1` is a statement of its own",
        r"a name, `:` and its type: `\1 x: [4]`",
    ),
    *(
        Slip(
            "E004", re.compile(rf"\b(input|target|param|state)(\s+\w+\s*:\s*)(\d+){more}(?!\w|{_BY_SIZE})"),
            "a shape stands in square brackets",
            fix=rf"\1\2[\3{sizes}]",
        )
        for more, sizes in (("", ""), (_BY_SIZE, r", \4"), (_BY_SIZE * 2, r", \4, \5"))
    ),
    Slip(
        "E004", re.compile(r"\b(optimizer|schedule|penalty|clip)[ \t]+([^\W\d]\w*)[ \t]+(\d[\d.]*(?:e-?\d+)?)"),
        r"`\2` has its arguments in round brackets", fix=r"\1 \2(\3)",
    ),
    Slip(
        "E004", re.compile(r"->[ \t]*([^\W\d]\w*)[ \t]+(\d[\d.]*)"), r"`\1` has its arguments in round brackets", fix=r"-> \1(\2)",
    ),
    Slip(
        "E004", re.compile(r"\b(?:stop|early_stopping)[ \t]+(?:[^\W\d]\w*[ \t]+)?\d\w*"), r"`\g<0>` does not say what is watched",
        "write for example `stop early(val.loss, patience = 3)`",
    ),
    Slip(
        "E004", re.compile(r"\[\s*\?\s*,\s*"), "the batch is not written: a shape is that of one example", "leave the first size out", "[",
        safe=False,
    ),
    Slip(
        "E004", re.compile(r"\bscan\s+[^\W\d]\w*(?:\s*,\s*[^\W\d]\w*)+(?=\s+in\b)"), "a `scan` walks one sequence",
        "several stand side by side, `scan e in concat(a, b, axis = 1) with ..`: `e[:n]` is then of the first, where that is [T, n]",
    ),
    Slip(
        "E004", re.compile(r"->\s*(?P<place>scan)\s+[^\W\d]\w*\s+in\b"), "a `scan` is no stage of a pipeline",
        "it says itself what it walks: `hs = scan e in x with h = h0 { .. }`",
    ),
    Slip("E004", re.compile(r"-[ \t]+>"), "the arrow `->` is one sign", fix="->"),
    Slip(
        "E004", re.compile(r"(?<=[=(,\[])[ \t]*(?P<place>->)"), "a pipeline begins with the value that goes through it",
        "write it before the arrow: `x -> dense(8) -> relu`",
    ),
    _sign(r":=", "a name gets its value by `=`", "="),
    _sign(r"(?<![=!<>~])==(?!=)", "`==` compares two values; a name gets its value by `=`", "="),
    Slip("E004", re.compile(r"\b(fn|layer|init|schedule)\b([^\n{}>]*?)\s*=>"), "a formula follows `=`, not `=>`", fix=r"\1\2 ="),
    _sign(r"=>|→|⟶|⇒|\|>|>>", "a value goes on to the next stage by `->`", "->"),
    _sign(r"←", "a state is updated by `<-`", "<-"),
    _sign(r";+", "a statement ends by itself: leave it out", ""),
    Slip(
        "E004", re.compile(r"//"), f"`//` is {_OWN_SIGN}", "a comment starts with `#`; a quotient is rounded by `floor(a / b)`", "#",
        safe=False,
    ),
    _sign(r"/\*", "a comment starts with `#` and ends with its line"),
    _sign(r"&&?", "both conditions hold: `a and b`", "and"),
    _sign(r"\|\|", "one of the conditions holds: `a or b`", "or"),
    _sign(r"\|", "one of two conditions is `a or b`, an absolute value `abs(a)`, and a value goes on to the next stage by `->`"),
    _sign(r"(?<![\w)\]])!(?!=)", "the opposite of a condition: `not a`", "not "),
    _sign(r"\*\*", "a power is written `x ^ 2`", "^"),
    Slip(
        "E004", re.compile(r"\b([^\W\d]\w*)[ \t]*([-+*/])=[ \t]*"), rf"`\2=` is {_OWN_SIGN}",
        r"write the name on both sides: `\1 = \1 \2 ...`, or `\1 <- \1 \2 ...` where it is a state or the `w` of an optimizer",
    ),
    _sign(r"(\+|-|\*|/)=", r"write the name on both sides: `h = h + 1`"),
    Slip("E004", re.compile(r"--(?=[ \t]+\S)(?!>)"), f"`--` is {_OWN_SIGN}", "a comment starts with `#`", "#", safe=False),
    _sign(r"\+\+|--(?!>)", "write the name on both sides: `h = h + 1`"),
    _sign(r"\?", "a choice is written `if c then a else b`"),
    _sign(r"\\", "line breaks mean nothing: leave it out", ""),
    _sign(r"[×·⋅∗⊙]", "a product is written `*`", "*"),
    _sign(r"÷", "a quotient is written `/`", "/"),
    _sign(r"<>", "write `!=`", "!="),
    Slip("E004", re.compile(r"(?<=\[)[^\[\]\n]*(?:::|\.\.\.)[^\[\]\n]*(?=\])"), r"`\g<0>` is no part of a value",
        "a stretch of a value is `x[0:2]`, and rows here and there are `take(x, [0, 2])`"),
    Slip("E004", re.compile(r"\.{2,}"), r"`\g<0>` stands for nothing", "what is left out is written: nothing is guessed"),
    Slip("E004", re.compile(r"(?<![\w.])(\d+(?:\.\d+)?[eE])[−–—](\d+)"), r"`\g<0>` has another minus than `-`", fix=r"\1-\2"),
    _sign(r"−|–|—", "a difference is written `-`", "-"),
    _sign(r"≤", "write `<=`", "<="),
    _sign(r"≥", "write `>=`", ">="),
    _sign(r"≠", "write `!=`", "!="),
    Slip("E004", re.compile(r"^[ \t]*(`{3,}[^\n`]*)$", re.M), "this is a fence of Markdown", fix=""),
    Slip("E004", re.compile(rf"[{_QUOTES}]([^{_QUOTES}\n]*)[{_QUOTES}]"), r"`\g<0>` is in other quotes than the language has", fix=r'"\1"'),
    Slip("E004", re.compile(rf"[{_QUOTES}]"), r"`\g<0>` is another quote than the language has", 'a text stands in `" "`'),
    Slip("E004", re.compile(r":\s*\(([^()\n]*)\)"), "a shape stands in square brackets", fix=r": [\1]"),
    Slip(
        "E004", re.compile(r"(?<![\w)\]])(?<![\w)\]][ \t])\(([^()=:\n]*,[^()=:\n]*)\)"), "a list stands in square brackets", fix=r"[\1]",
    ),
    Slip("E005", re.compile(r"\blambda\b[^:()\n]*:"), "`lambda` is a word of other languages",
        "a formula has a name, `fn f(x) = ...`, by which it goes: `x -> f`"),
    Slip("E004", re.compile(r"\b([^\W\d]\w*)\{([^{}=\n]*)\}"), "arguments stand in round brackets", fix=r"\1(\2)"),
    Slip("E004", re.compile(r"(?<![\w.])\.(\d+)"), r"`\g<0>` has no digit before its point", fix=r"0.\1"),
    Slip("E007", re.compile(r"\b(\d+)([^\W\d]\w*)(?=\s*=)"), r"`\g<0>` cannot be a name: a name begins with a letter", fix=r"\2\1"),
    Slip(
        "E007",
        re.compile(r"^(?:model|layer|fn|optimizer|schedule|init)[ \t]+(?P<place>([^\W\d]\w*)(?:-|[ \t]+)([^\W\d]\w*))(?=[ \t]*[({])", re.M),
        r"`\g<place>` cannot be a name: a name is one word", fix=r"\2_\3",
    ),
    Slip(
        "E007", re.compile(r"(?<=\s)([^\W\d]\w*)-([^\W\d]\w*)(?=\s*=[^=])"), r"`\g<0>` cannot be a name: it is a difference",
        fix=r"\1_\2",
    ),
    Slip(
        "E007", re.compile(r"\b(loss|metric|output|expect|return)\s*=(?!=)"), r"`\1` begins a statement, and cannot be a name",
        "its formula follows without `=`; or choose another name", r"\1", safe=False,
    ),
    Slip(
        "E007", re.compile(r"\b(input|target|param|state|share)\s*=(?!=)"), r"`\1` begins a statement, and cannot be a name",
        "choose another name",
    ),
    Slip(
        "E005", re.compile(r"(?<=\n)[ \t]*(?:- *\w+|\w+[ \t]*:[ \t]*\n[ \t]*- *\w).*"),
        "the language has no lists of this kind",
        "stages follow each other by `->`: `x -> dense(8) -> relu`",
    ),
    Slip(
        "E004", re.compile(r"\bif\b(?![^\n]*(?:\bthen\b|\{))[^\n]*"), "the parts of a choice stand in another order",
        "write `if c then a else b`",
    ),
)  # fmt: skip
"""Those whose match covers the place."""

BEFORE = (
    Slip(
        "E004", re.compile(r"^(fn|layer)\b([^\n{}]*?)\s*=\s*\{(?=[^{}]*\Z)", re.M), r"`\g<0>` has a sign too many", fix=r"\1\2 {",
    ),
    Slip(
        "E004", re.compile(r"^(schedule|init)\b([^\n{}]*?)\s*=\s*\{(?=[^{}]*\Z)", re.M), r"`\1` is one formula, without braces",
        r"write `\1\2 = ...`",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<![=!<>~])=|[\[,(])\s*(?P<place>\{)(?=[^{}]*\Z)"), "a value stands here without braces",
        "leave them out: `share e = dense(4) -> relu`, `[identity, dense(4) -> relu]`",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=[-+*/@%^<])|(?<=[-+*/@%^<] )|(?<=\bnot )|(?<=\band )|(?<=\bor ))(?<!<-)(?<!<- )(if|scan)\b"
                           r"(?=\s*(?:\([^()\n]*\)|\s[^\W\d]\w*)?\s*\Z)"),
        r"`\1` stands in parentheses inside of a formula", r"write `(\1 ...)`",
    ),
    *BEHIND,
    Slip(
        "E004", re.compile(r"(\d+)\s*%(?=\s*(?:[^\W\d]\w*\s*)?\Z)"), r"`\g<0>` is no share: `%` gives the rest of a division",
        "a share is a number from 0 to 1, such as 0.1",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=\bvalidation )|(?<=\btest ))(\d+)\s*%(?=\s[^\n%]*\n?[^\n%]*\Z)"),
        r"`\g<0>` is no share: `%` gives the rest of a division", "a share is a number from 0 to 1, such as 0.1",
    ),
    Slip("E004", re.compile(r"(?<![\w.])(\d+)\.(?=(?:\s+[^\W\d]\w*){0,2}\s*\Z)"), r"`\g<0>` has no digit after its point", fix=r"\1.0"),
    Slip(
        "E004", re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)((?![eExXbBoO]?\d|[eE]\b)[^\W\d_]\w*)(?=\s*\Z)"), r"`\g<0>` is no number",
        r"a product is written `\1 * \2`, a number `10`, `0.5` or `1e-3`", r"\1 * \2", safe=False,
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=:)|(?<=: ))class(?=\s*(?:[^\W\d]\w*\s*)?\Z)"), "a class says how many there are",
        "write for example `class(10)`, a number from 0 to 9",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=:)|(?<=: ))(int|float|bool)(?=\s*(?:[^\W\d]\w*\s*)?\Z)"), "a type has a shape",
        r"one number is `\1[]`, a row of four `\1[4]`, and a number that stands for a class `class(10)`",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=:)|(?<=: ))(?:label|category|categorical|string|str)(?=\s*(?:[^\W\d]\w*\s*)?\Z)"),
        r"`\g<0>` is no type", "what is one of ten classes is `class(10)`",
    ),
    Slip(
        "E004", re.compile(r"(?:(?<=:)|(?<=: ))(?:[Tt]ensor|Any|array|ndarray|number)(?=\s*(?:[^\W\d]\w*\s*)?\Z)"),
        r"`\g<0>` is no type", "a type has a shape, such as `[n]`; an argument without one may be anything: `fn f(x) = ...`",
    ),
    Slip(
        "E004", re.compile(rf"(?<![\w.])(?!{_NUMBER}\s*\Z)\d[\d_.]*[^\W\d]\w*(?=\s*\Z)"), r"`\g<0>` is no number",
        "a number is written `10`, `0.5` or `1e-3`",
    ),
)  # fmt: skip
"""Those that show only a little further on."""

WORDS = {
    "def": "a formula is written `fn f(x) = ...`, a layer `layer l(x) { ... }`",
    "function": "a formula is written `fn f(x) = ...`, a layer `layer l(x) { ... }`",
    "lambda": "a formula is written `fn f(x) = ...`",
    "class": "a network is written `model Name { ... }`",
    "network": "a network is written `model Name { ... }`",
    "import": '`import "blocks.nn"` brings definitions; the library is always there',
    "from": '`import "blocks.nn"` brings definitions; the library is always there',
    "for": "`repeat(n) { p }` repeats a stage, and `scan x_t in x with h = h0 { ... }` walks a sequence",
    "while": "`repeat(n) { p }` repeats a stage, and `scan x_t in x with h = h0 { ... }` walks a sequence",
    "print": "a value is shown when it is an `output`",
    "var": "a name gets its value by `=` alone: `h = ...`",
    "const": "a name gets its value by `=` alone: `h = ...`",
    "self": "a layer speaks of its parameters by their names alone",
    "elif": "write `else if c { ... }`",
}
"""Words that begin a line in other languages."""


def decimal(source: Source, text: str, start: int) -> tuple[str, list[Diagnostic]]:
    """The text from `start` on with other programs' numbers to the base of 16, 8 or 2 in its own; a name may go on behind their 0."""
    found: list[Diagnostic] = []

    def read(m: re.Match[str]) -> str:
        if not m["number"]:
            return m[0]
        span, ten = Span(source, start + m.start(), start + m.end()), str(int(m[0], 0))
        found.append(Diagnostic("E004", f"`{m[0]}` is no number", span, help=f"write `{ten}`", fix=Fix(span, ten)))
        return ten.ljust(len(m[0]))[: len(m[0])]

    return OF_ANOTHER_BASE.sub(read, text), found


def slip_at(source: Source, at: int, accepted: Set[str]) -> Diagnostic | None:
    """The slip around a place where something else can stand, where there is one."""
    start, end = source.code.rfind("\n", 0, at), _end_of_line(source.code, at)
    near = max(start, at - MAX_LOOK_BACK, 0), min(_end_of_line(source.code, end + 1), at + MAX_LOOK_BACK)
    found = (slip.at(source, at, near, accepted) for slip in HERE)
    return next((d for d in found if d), None) or _word(source, start + 1, end)


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def slip_before(source: Source, at: int) -> Diagnostic | None:
    """A slip that makes itself felt only at the place, a little further on."""
    found = ((slip, slip.pattern.search(source.code, max(0, at - MAX_LOOK_BACK), at)) for slip in BEFORE)
    return next((slip.diagnostic(source, m) for slip, m in found if m), None)


def _word(source: Source, start: int, end: int) -> Diagnostic | None:
    first = re.compile(r"[ \t]*([^\W\d]\w*)").match(source.code, start, end)
    if not first or first[1] not in WORDS:
        return None
    return Diagnostic("E005", f"`{first[1]}` is a word of other languages", Span(source, *first.span(1)), help=WORDS[first[1]])
