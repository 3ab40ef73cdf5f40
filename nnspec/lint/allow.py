"""`# nnspec: allow W104`, with a reason after it, on the line of a warning or alone on the line above: it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from nnspec.diagnostics import Diagnostic, Source, Span, comments, instead, is_slip
from nnspec.lazy import regex
from nnspec.lint.network import Network
from nnspec.pages import codes

ALLOW = "allow"
_ALLOW = regex(r"#\s*nnspec:\s*allow\s+(W\d{3}\b(?:[\s,]+W\d{3}\b)*)")
_CODE = regex(r"W\d{3}")
_LIKE_A_CODE = r"[A-Za-z][\dOoIl]{3}\b"
_SAID = regex(rf"#\s*nnspec:\s*(?P<word>(?!{_LIKE_A_CODE})\w*)\s*(?P<codes>(?:{_LIKE_A_CODE}[\s,]*)*)")
_DIGITS = str.maketrans("OoIl", "0011")


def allowed(warning: Diagnostic) -> bool:
    """Whether a comment at its place says that it is meant."""
    return warning.span is not None and warning.code in _codes_at(warning.span)


def misread_comments(network: Network) -> Iterator[Diagnostic]:
    """W139: a comment that was to allow warnings, and does not."""
    model, own = network.model, network.definitions.own.values()
    spans = (model.span, *(f.definition.span for f in own), *(t.span for t in network.trainings))
    for source in dict.fromkeys(span.source for span in spans):
        for start, comment in comments(source.text) if "nnspec:" in source.text else ():
            if said := _SAID.search(comment):
                yield from _misread(source, start, said)


def _misread(source: Source, start: int, said: re.Match[str]) -> Iterator[Diagnostic]:
    word = Span(source, start + said.start("word"), start + said.end("word"))
    if word.text != ALLOW and (said["codes"] or is_slip(word.text, ALLOW)):
        wrong = f"`{word.text}` is nothing that a comment says" if word.text else "a comment does not say what to do with a warning"
        yield _doubt(wrong, word, ALLOW if is_slip(word.text, ALLOW) else None, "a warning that is meant: `# nnspec: allow W101`")
    elif word.text == ALLOW and not said["codes"]:
        yield _doubt("`allow` has no code of a warning behind it", word, None, "say which is meant: `# nnspec: allow W101`")
    at = start + said.start("codes")
    for m in re.finditer(_LIKE_A_CODE, said["codes"]):
        if m[0] not in codes() or m[0].startswith("E"):
            yield _no_warning(Span(source, at + m.start(), at + m.end()))


def _no_warning(code: Span) -> Diagnostic:
    written = code.text[0].upper() + code.text[1:].translate(_DIGITS)
    otherwise = "`nnspec explain CODE` says what a warning means"
    if written.startswith("E"):
        otherwise = "what it allows are warnings, and this is the code of an error"
    near = written if written in codes() and written.startswith("W") else None
    return _doubt(f"there is no warning `{code.text}`", code, near, otherwise)


def _doubt(wrong: str, place: Span, near: str | None, otherwise: str) -> Diagnostic:
    return Diagnostic("W139", wrong, place, **instead(near, place, otherwise), level="warning")


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
    while above := _hung_on(source)[number]:
        number = above
    return number


@lru_cache(maxsize=1)
def _hung_on(source: Source) -> list[int]:
    """For each line that before it which it continues, or 0: a line that is deeper than the one before, unless that one opens a block."""
    found, around = [0], list[tuple[int, int, bool]]()
    for number, line in enumerate(source.text.split("\n"), 1):
        if not line.strip():
            found.append(0)
            continue
        while around and around[-1][0] >= _depth(line):
            around.pop()
        _, above, opens = around[-1] if around else (0, 0, False)
        found.append(0 if opens else above)
        around.append((_depth(line), number, line.partition("#")[0].rstrip().endswith("{")))
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
