"""A diagnostic is data: what is wrong, where, why, and what to write instead. `render` is the only place that lays one out."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from nnspec.lazy import regex
from nnspec.record import dataclass

MAX_SHOWN_WIDTH, MAX_SHOWN = 160, 1000
SHORT = (3, 4)
MAX_COMPARED = 300_000
"""Pairs of letters, one of a word and one of those it may be a slip of."""
LINE_ENDS = "\u2028\u2029"
INSIDE = (f"{Path(__file__).parent}{os.sep}", contextlib.__file__)
"""Where code lies that no warning is about."""
_COMMENT = regex(r'("[^"\n]*")|#[^\n]*')
"""A comment; or a string, which may have its sign in it."""


def uncommented(text: str) -> str:
    """A text of the language with blanks for its comments, so that all else stays where it is.

    >>> uncommented('csv("#1.csv") # mine')
    'csv("#1.csv")       '
    """
    return _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), text)


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Each comment of a text of the language, with the place where it begins.

    >>> list(comments('csv("#1.csv") # mine'))
    [(14, '# mine')]
    """
    return ((found.start(), found[0]) for found in _COMMENT.finditer(text) if not found[1])


@dataclass(frozen=True)
class Source:
    """A text with the name a person knows it by; `library` when it is ours and not the user's."""

    name: str
    text: str
    library: bool = False

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    @cached_property
    def code(self) -> str:
        """The text with blanks for its comments."""
        return uncommented(self.text)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset) - 1
        return line + 1, offset - self.line_starts[line] + 1

    def line(self, number: int) -> str:
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else None].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """A stretch of a source, from `start` up to `end`."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.begin[0]

    @property
    def begin(self) -> tuple[int, int]:
        """Line and column of the first character, both counted from 1."""
        return self.source.position(self.start)

    @property
    def after(self) -> tuple[int, int]:
        """Line and column of what follows."""
        return self.source.position(self.end)

    @property
    def region(self) -> dict[str, int]:
        """The place by lines and columns, for programs."""
        (line, column), (end_line, end_column) = self.begin, self.after
        return {"line": line, "column": column, "end_line": end_line, "end_column": end_column}

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def one_line(self) -> str:
        """The text without line breaks and comments."""
        return " ".join(uncommented(self.text).split())

    def part(self, start: int, end: int) -> Span:
        """A stretch of it, counted from where it begins."""
        return Span(self.source, self.start + start, self.start + end)

    def covers(self, other: Span) -> bool:
        return self.source is other.source and self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"

    @property
    def place(self) -> str:
        """The same without the folder, for what is to be alike wherever it is made."""
        return printable(str(self).replace("\\", "/").rpartition("/")[2])


@dataclass(frozen=True)
class Fix:
    """Replace the text of `span` by `text`; `safe` where that is hardly a matter of opinion."""

    span: Span
    text: str
    safe: bool = True


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning; `notes` say where the other half of a conflict came from."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[tuple[Span, str], ...] = ()
    help: str = ""
    fix: Fix | None = None
    level: str = "error"

    def as_json(self) -> dict[str, Any]:
        """The fields `nnspec check --json` promises."""
        return {
            "code": self.code,
            "level": self.level,
            "message": self.message,
            **_place(self.span),
            "label": self.label or None,
            "notes": [{"message": text, **_place(span)} for span, text in self.notes],
            "help": self.help or None,
            "fix": self.fix.text if self.fix else None,
            "fix_at": self.fix.span.region if self.fix else None,
            "fix_safe": self.fix.safe if self.fix else None,
        }


def _place(span: Span | None) -> dict[str, Any]:
    return {"file": span.source.name, **span.region} if span else dict.fromkeys(("file", "line", "column", "end_line", "end_column"))


class SpecError(Exception):
    """Raised by the Python API for a spec, data or file that is wrong; `diagnostics` says all of it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n" + render(self.diagnostics))


class Fault(Exception):
    """Carries one diagnostic from where it is found to the statement that recovers from it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def fault(code: str, message: str, span: Span | None = None, **more: Any) -> Fault:
    """The exception for one diagnostic, to be raised."""
    return Fault(Diagnostic(code, message, span, **more))


@contextlib.contextmanager
def as_spec_error() -> Iterator[None]:
    """A fault inside as the SpecError that the Python API promises."""
    try:
        yield
    except Fault as error:
        raise SpecError([error.diagnostic]) from None


def warn(found: Diagnostic) -> None:
    """A warning of Python's, at the line outside of this package that led to it."""
    frame, level = sys._getframe(), 1  # as `skip_file_prefixes` does from Python 3.12 on
    while frame.f_back and frame.f_code.co_filename.startswith(INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(render([found]), stacklevel=level)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to a misspelt one, or None when none is near: what it begins first, then its letters in another order."""
    from difflib import get_close_matches  # only a mistake needs it

    by_lower = {k.lower(): k for k in known}
    lower = word.lower()
    swapped = [k for k in by_lower if len(k) == len(lower) and sorted(k) == sorted(lower)]
    near = [lower] if lower in by_lower else _begun(lower, by_lower) or swapped
    near = near or get_close_matches(lower, list(_comparable(lower, by_lower)), n=1, cutoff=_cutoff(lower))
    return by_lower[near[0]] if near else None


def _comparable(word: str, known: Collection[str]) -> Collection[str]:
    """The known words; those nearest in length where all would take long to compare."""
    if len(word) * sum(map(len, known)) <= MAX_COMPARED:
        return known
    ordered = sorted(known, key=lambda k: (abs(len(k) - len(word)), k))
    letters = accumulate(map(len, ordered))
    return [k for k, so_far in zip(ordered, letters, strict=True) if len(word) * so_far <= MAX_COMPARED]


def _begun(word: str, known: Iterable[str]) -> list[str]:
    """The word that this one begins, if all others that it begins go on from there: `dropout` for `drop`, nothing for `multi`."""
    begun = sorted(k for k in known if len(word) >= min(SHORT) and k.startswith(word))
    return begun[:1] if begun and all(k.startswith(begun[0]) for k in begun) else []


def _cutoff(word: str) -> float:
    """How like another a word must be; of three or four letters, all but one stay."""
    return 0.76 if len(word) in SHORT else 0.6 if len(word) < min(SHORT) else 0.7


def is_slip(word: str, meant: str) -> bool:
    """Whether two words differ by case and `_` alone, or, if they are not short, by one letter or two that changed places."""
    a, b = word.lower().replace("_", ""), meant.lower().replace("_", "")
    i = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if a == b or len(a) <= SHORT[0] or (a[i : i + 1] + b[i : i + 1]).isdigit():
        return a == b  # `conv_2` is not `conv_3`
    swapped = a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :]
    return swapped or a[i + 1 :] in (b[i:], b[i + 1 :]) or a[i:] == b[i + 1 :]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    near = suggest(word, known)
    return f"did you mean `{near}`?" if near else ""


def meant(word: str, known: Iterable[str], span: Span | None = None, otherwise: str = "") -> dict[str, Any]:
    """Help and fix of a diagnostic about a misspelt word at its place: the known word nearest to it, or else other help."""
    near = suggest(word, known)
    return instead(near, span, otherwise, safe=bool(near and is_slip(word, near)))


def instead(near: str | None, span: Span | None, otherwise: str = "", safe: bool = True) -> dict[str, Any]:
    """Help and fix of a diagnostic about what stands at a place: what was probably meant, or else other help."""
    if near is None:
        return {"help": otherwise}
    return {"help": f"did you mean `{near}`?", "fix": Fix(span, near, safe) if span else None}


def render(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """Diagnostics as text for a person, in the order given; each code says once where more is said of it."""
    texts, known = [], set[str]()
    for d in diagnostics:
        texts.append(_render_one(d, color, more=d.code not in known))
        known.add(d.code)
    return "\n\n".join(texts)


def _render_one(d: Diagnostic, color: bool, more: bool) -> str:
    bold, red, off = ("\x1b[1m", "\x1b[31m" if d.level == "error" else "\x1b[33m", "\x1b[0m") if color else ("", "", "")
    out = [f"{red}{bold}{d.level}[{d.code}]{off}{bold}: {printable(d.message)}{off}"]
    labels = ([(d.span, d.label, "^")] if d.span else []) + [(span, text, "-") for span, text in d.notes]
    width = max((len(str(span.line)) for span, _, _ in labels), default=1)
    shown: Source | None = None
    for span, text, mark in labels:
        if span.source is not shown:
            out.append(f"{' ' * width}--> {printable(str(span))}")
            shown = span.source
        out += [f"{' ' * width} |", *_excerpt(span, text, mark, width)]
    if d.help:
        out.append(f"{' ' * width} = help: {printable(d.help)}")
    if more:
        out.append(f"{' ' * width} = for more: nnspec explain {d.code}")
    return "\n".join(out)


def _excerpt(span: Span, text: str, mark: str, width: int) -> list[str]:
    """The line with its mark; of a very long one the part around it."""
    number, column = span.begin
    line, start = span.source.line(number), column - 1
    first = max(0, start - MAX_SHOWN_WIDTH // 2) if len(line) > MAX_SHOWN_WIDTH else 0
    last = min(len(line), first + MAX_SHOWN_WIDTH)
    cut_before, cut_after = "..." * (first > 0), "..." * (last < len(line))
    marked = printable(line[start : min(start + span.end - span.start, last)])
    indent = columns(cut_before + printable(line[first:start]))
    shown = f"{cut_before}{printable(line[first:last])}{cut_after}"
    return [f"{number:>{width}} | {shown}", f"{' ' * width} | {' ' * indent}{mark * max(1, columns(marked))} {printable(text)}".rstrip()]


def printable(text: str) -> str:
    """Text as a message shows it: visible, on one line, and not too long."""
    return visible(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...")


def visible(text: str) -> str:
    """Text with every control, escape and direction character made visible, so that it cannot act on a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if c == "\t" else c if unicodedata.category(c)[0] != "C" and c not in LINE_ENDS else f"\\u{ord(c):04x}" for c in text
    )


def columns(text: str) -> int:
    """How many terminal columns a text takes: wide letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
