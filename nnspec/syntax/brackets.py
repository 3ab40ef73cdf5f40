"""Brackets that do not match: the indentation tells which one is at fault, and where its fellow is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Fix, Source, Span
from nnspec.record import dataclass
from nnspec.syntax.lalr import MAX_NESTING
from nnspec.syntax.recovery import blanked, indent, statement_around
from nnspec.syntax.words import DEFINITION_WORDS, SETTING_WORDS

_LEXED = re.compile(rf'"[^"\n]*"|#[^\n]*|[\[\](){{}}]|^(?:{"|".join(DEFINITION_WORDS)})\b', re.M)
_HEADER = re.compile(rf"[ \t]*(?:(?:{'|'.join(DEFINITION_WORDS)}|if|scan|repeat)\b|.*\b(?:else|scan|repeat)\b)")
_WHOLE = re.compile(r"(?:let|import)\b|\w++\s++\w++\s*+(?:\([^()]*+(?:\([^()]*+\)[^()]*+)*+\))?\s*+=")
"""How a line begins that defines something without braces."""
_OF_BODY = re.compile(rf"(?:input|target|{'|'.join(SETTING_WORDS)})\b")
"""How the first lines of a model and of a training begin."""
_CALLED = re.compile(r"[^\W\d]\w*\Z")
_OPENER = {")": "(", "]": "[", "}": "{"}
_CLOSER = {opener: closer for closer, opener in _OPENER.items()}


@dataclass(frozen=True)
class _Problem:
    """What is wrong, and the text without it, as long as before."""

    diagnostic: Diagnostic
    repaired: str


def balanced(source: Source, text: str, offset: int, most: int) -> tuple[str, list[Diagnostic]]:
    """The text with brackets that match, each in its old place, and what was wrong with them."""
    found: list[Diagnostic] = []
    while len(found) < most and (problem := _Brackets(source, text, offset).problem()):
        found.append(problem.diagnostic)
        text = problem.repaired
    return text, found


class _Brackets:
    """The brackets of one text; positions are in the text, which begins at `offset` of the source."""

    def __init__(self, source: Source, text: str, offset: int) -> None:
        self.source, self.text, self.offset = source, text, offset

    def problem(self) -> _Problem | None:
        """The first that is wrong; in a text whose brackets match, however it is laid out, nothing."""
        open_: list[int] = []
        for at, char in self._all():
            if char in _CLOSER:
                open_.append(at)
                if len(open_) > MAX_NESTING:
                    message = f"brackets are nested deeper than {MAX_NESTING}"
                    return _Problem(Diagnostic("E003", message, self._span(at)), blanked(self.text, 0, len(self.text)))
            elif char in _OPENER and not (open_ and self.text[open_.pop()] == _OPENER[char]):
                return self._suspect()
        return self._suspect() if open_ else None

    def _suspect(self) -> _Problem:
        """What is at fault, judged by the lines on which brackets open and close."""
        open_: list[int] = []
        for at, char in self._all():
            if char in _CLOSER:
                open_.append(at)
            elif char in _OPENER:
                if problem := self._closed(open_, at, char):
                    return problem
                open_.pop()
            elif open_:  # a definition begins inside of another
                return self._unclosed(open_[-1])
        return self._unclosed(open_[-1])

    def _closed(self, open_: list[int], at: int, char: str) -> _Problem | None:
        opener = self.text[open_[-1]] if open_ else ""
        if opener != _OPENER[char]:
            return self._unclosed(open_[-1], at) if opener in ("(", "[") else self._closes_nothing(at, char)
        if char != "}" or self._line_start(at) == self._line_start(open_[-1]):
            return None
        if self._is_first(at):
            deeper = self._indent(at) - self._indent(open_[-1])
            return self._unclosed(open_[-1]) if deeper < 0 else self._closes_nothing(at, char) if deeper > 0 else None
        return self._closes_nothing(at, char) if self._is_last(open_[-1]) else None

    def _all(self) -> Iterator[tuple[int, str]]:
        """Brackets, and the words that begin a definition on a line."""
        return ((m.start(), m[0]) for m in _LEXED.finditer(self.text) if m[0][0] not in '"#')

    # ---- what is said

    def _unclosed(self, opener: int, closer: int | None = None) -> _Problem:
        char = self.text[opener]
        if char == "{" and self._is_last(opener) and (again := self._again(opener)):
            return again
        if char == "{" and self._is_last(opener):
            place = self._end_of_block(opener)
            note = (self._span(opener), "opened here")
            fix = Fix(Span(self.source, self.offset + place, self.offset + place), "}\n")
            label = f"a `}}` is missing {'before this' if self.text[place : self._line_end(place)].strip() else 'here'}"
            d = Diagnostic("E002", "`{` is never closed", fix.span, label, (note,), fix=fix)
            return _Problem(d, self._with_sign(place - 1, "}"))
        notes = ((self._span(closer), f"`{self.text[closer]}` comes first"),) if closer is not None else ()
        d = Diagnostic("E002", f"`{char}` is never closed", self._span(opener), self._ends_with(opener), notes)
        if char == "{":
            return _Problem(d, self._with_sign(self._line_end(opener), "}"))
        return _Problem(d, blanked(self.text, *statement_around(self.text, opener)))

    def _again(self, opener: int) -> _Problem | None:
        """A line that begins a body and stands there twice."""
        start, end = self._line_start(opener), self._line_end(opener) + 1
        if self.text[start : end - 1].strip() != self.text[end : self._line_end(end)].strip():
            return None
        line = Span(self.source, self.offset + start, self.offset + end)
        label, help_ = "the line below is the same", "leave one of them out"
        d = Diagnostic("E002", "`{` is never closed", self._span(opener), label, help=help_, fix=Fix(line, ""))
        return _Problem(d, blanked(self.text, start, end))

    def _closes_nothing(self, at: int, char: str) -> _Problem:
        header = self._header(at) if char == "}" and self._is_first(at) else None
        if header is not None:
            end = self._code_end(header)
            fix = Fix(Span(self.source, self.offset + end, self.offset + end), " {")
            d = Diagnostic(
                "E002", "a `{` is missing", fix.span, "what ends below begins with `{`", ((self._span(at), "it ends here"),), fix=fix
            )
            return _Problem(d, self._with_sign(end, "{"))
        if char == "}" and self._is_first(at) and (first := self._first_of_body(at)):
            return self._without_beginning(first, at)
        d = Diagnostic("E002", f"`{char}` closes nothing", self._span(at), f"no `{_OPENER[char]}` is open here")
        start, end = (at, at + 1) if self._is_first(at) else statement_around(self.text, at)
        return _Problem(d, blanked(self.text, min(start, at), max(end, at + 1)))

    def _without_beginning(self, first: re.Match[str], closer: int) -> _Problem:
        """The lines above a `}`, as they stand in a model or a training, without the line with which that begins."""
        place = Span(self.source, self.offset + first.start(), self.offset + first.end())
        label = f"`{'train' if first[0] in SETTING_WORDS else 'model NAME'} {{` is missing above this"
        d = Diagnostic("E002", "`}` closes nothing", place, label, ((self._span(closer), "it ends here"),))
        return _Problem(d, blanked(self.text, first.start(), closer + 1))

    def _ends_with(self, opener: int) -> str:
        char, closer = self.text[opener], _CLOSER[self.text[opener]]
        if char == "(" and (called := _CALLED.search(self.text, max(0, opener - 80), opener)):
            return f"the arguments of `{called[0]}` end with `)`"
        return f"opened here, and ends with `{closer}`"

    # ---- lines

    def _span(self, at: int) -> Span:
        return Span(self.source, self.offset + at, self.offset + at + 1)

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _indent(self, at: int) -> int:
        return indent(self.text, self._line_start(at))

    def _is_first(self, at: int) -> bool:
        return not self.text[self._line_start(at) : at].strip()

    def _is_last(self, at: int) -> bool:
        """Whether nothing but a comment follows on the line."""
        return self._code_end(at) == at + 1

    def _code_end(self, at: int) -> int:
        """Where the line ends, without its comment."""
        start, end = self._line_start(at), self._line_end(at)
        comment = next((m.start() for m in _LEXED.finditer(self.text, start, end) if m[0][0] == "#"), end)
        return start + len(self.text[start:comment].rstrip())

    def _end_of_block(self, opener: int) -> int:
        """Where the line begins after all those that are indented more than the one of the opener."""
        end = at = self._line_end(opener)
        while at < len(self.text):
            start, at = at + 1, self._line_end(at + 1)
            if self.text[start:at].strip():
                if self._indent(start) <= self._indent(opener):
                    break
                end = at
        return end + 1

    def _header(self, closer: int) -> int | None:
        """The line as far indented as this `}` that looks as if a body began there, and lacks its `{`."""
        start = self._line_start(closer)
        while start > 0:
            end, start = start - 1, self._line_start(start - 1)
            line = self.text[start:end]
            if line.strip() and self._indent(start) <= self._indent(closer):
                return start if _HEADER.match(line) and "{" not in line and not _WHOLE.match(line) else None
        return None

    def _first_of_body(self, closer: int) -> re.Match[str] | None:
        """The word that begins the lines above a `}` that are indented more, where a model or a training begins so."""
        start, body = self._line_start(closer), closer
        while start > 0:
            line = self._line_start(start - 1)
            code = self.text[line:start].split("#")[0]
            if code.strip() and self._indent(line) <= self._indent(closer):
                break
            start, body = line, line + len(code) - len(code.lstrip()) if code.strip() else body
        whole = self.text.count("{", body, closer) == self.text.count("}", body, closer)
        return _OF_BODY.match(self.text, body) if whole else None

    def _with_sign(self, at: int, sign: str) -> str:
        """The text with a sign in the place of the end of a line, and of the comment there."""
        at = self._code_end(min(at, len(self.text)))
        end = max(self._line_end(at), at + 1)
        return self.text[:at] + sign + re.sub(r"[^\n]", " ", self.text[at + 1 : end]) + self.text[end:]
