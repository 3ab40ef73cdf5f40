"""Values of a setting that stand side by side, where a comma parts them: to the grammar the second is the name of another setting."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Fix, Source, Span, suggest
from nnspec.syntax.words import DEFINITION, OTHER_WORDS, SETTING_WORDS

_VALUE = r"(?:\"[^\"\n]*\"|[^\W\d][\w.]*)"
_NEXT = rf"(?!(?:{'|'.join((*SETTING_WORDS, *OTHER_WORDS))})\b){_VALUE}(?![\w.]|[ \t]*[\d(=])"
_VALUES = re.compile(rf"(?<![\w.])(?:minimize|update|freeze)[ \t]+(?P<all>{_NEXT}(?:[ \t]*,[ \t]*{_VALUE}|[ \t]+{_NEXT})*)")
_GAP = re.compile(rf"(?<=[\w\"])[ \t]+(?P<value>{_VALUE})")


def parted(source: Source, text: str, start: int) -> tuple[str, list[Diagnostic]]:
    """The text from `start` on with the commas that are missing, each in the place of a space, and what is said of them."""
    found, chars = list[Diagnostic](), list(text)
    for gap in _gaps(text):
        at, value = Span(source, start + gap.start(), start + gap.start()), gap["value"]
        help_, word = "write `,` before it", Span(source, start + gap.start("value"), start + gap.end())
        found.append(Diagnostic("E006", f"`,` is missing before `{value}`", word, help=help_, fix=Fix(at, ",")))
        chars[gap.start()] = ","
    return "".join(chars), found


def _gaps(text: str) -> Iterator[re.Match[str]]:
    """The spaces before values that no comma parts from the one before, but for what may be a misspelt setting."""
    words = [*DEFINITION.finditer(text)]
    starts = [*(w.start() for w in words), len(text)]
    for word, end in zip(words, starts[1:], strict=True):
        for values in _VALUES.finditer(text, word.end(), end) if word[0] == "train" else ():
            gaps = _GAP.finditer(text, *values.span("all"))
            yield from (gap for gap in gaps if not suggest(gap["value"], SETTING_WORDS))
