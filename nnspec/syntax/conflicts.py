"""Conflicts that a merge has left in a text: each is one mistake, and the text is read on with what stands first in it."""

from __future__ import annotations

import re

from nnspec.diagnostics import Diagnostic, Source, Span
from nnspec.syntax.recovery import blanked

_MARKER = re.compile(r"^(?P<sign>[<=>|])(?P=sign){6}(?=\s|\Z)[^\n]*", re.M)
_HELP = "leave one of the two, and take out the lines of `<<<<<<<`, `=======` and `>>>>>>>`"


def resolved(source: Source, text: str, start: int) -> tuple[str, list[Diagnostic]]:
    """The text from `start` on with the first side of each conflict, in its old place, and what was said of them."""
    found, kept, read = list[Diagnostic](), list[str](), 0
    opened: list[re.Match[str]] = []
    for marker in _MARKER.finditer(text):
        if marker["sign"] == "<":
            opened = [marker]
        elif opened:
            opened.append(marker)
        if marker["sign"] == ">" and len(opened) > 2:
            first, middle = opened[:2]
            kept += text[read : first.start()], _blank(first[0]), text[first.end() : middle.start()]
            kept.append(_blank(text[middle.start() : marker.end()]))
            place, end = (Span(source, start + m.start(), start + m.end()) for m in (first, marker))
            found.append(Diagnostic("E001", "a merge conflict is not resolved", place, notes=((end, "it ends here"),), help=_HELP))
            opened, read = [], marker.end()
    return "".join((*kept, text[read:])), found


def _blank(text: str) -> str:
    return blanked(text, 0, len(text))
