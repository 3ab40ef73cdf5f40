"""What could be written at a place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from nnspec.doc import CALLED, entries
from nnspec.elaborate.phases import PHASE_SETTINGS
from nnspec.elaborate.training import Training
from nnspec.elaborate.values import Builtin, Function
from nnspec.lsp.document import Document
from nnspec.record import dataclass
from nnspec.syntax.words import DEFINITION_WORDS, STATEMENT_WORDS

LOOK_BACK = 2000
_WORD = re.compile(r"[^\W\d]\w*\Z")
_STAGE = re.compile(r"->\s*\Z|[\[{,]\s*\Z")
_CALL = re.compile(r"([^\W\d]\w*)\s*\Z")
_NAMED = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
_OPENS = re.compile(rf"^({'|'.join(DEFINITION_WORDS)})\b[^{{}}]*\{{", re.M)
SETTINGS = (*(f.name for f in fields(Training) if f.name not in ("span", "name", "phases", "spans")), *PHASE_SETTINGS)
OF_WORD = {"optimizer": ("optimizer",), "schedule": ("schedule",), "~": ("init",)}


@dataclass(frozen=True)
class Completion:
    """A word with what it is, and what is written for it."""

    label: str
    kind: str
    detail: str = ""
    doc: str = ""
    insert: str = ""


def completions(document: Document, offset: int) -> list[Completion]:
    """The likely ones first by their kind: arguments in a call, stages after an arrow, words where a statement begins."""
    before = _WORD.sub("", document.source.text[max(0, offset - LOOK_BACK) : offset])
    kinds = next((kinds for word, kinds in OF_WORD.items() if before.rstrip().endswith(word)), None)
    if kinds:
        return list(_library(*kinds))
    if before.rsplit("\n", 1)[-1].strip() == "" and not before.rstrip().endswith(("->", "(", ",", "=", "[")):
        return list(_words(before))
    names = [Completion(n, s.kind) for n, s in document.names.visible(offset).items()]
    if _STAGE.search(before):
        called = [c for c in names if c.kind in (*CALLED, "model", "share", "argument")]
        return [*_arguments(document, before), *called, *_library(*CALLED)]
    return [*_arguments(document, before), *names, *_library(*CALLED, "constant", "choice")]


def _words(before: str) -> Iterator[Completion]:
    """What begins a definition, a statement, or a setting of a train block."""
    opened = [m for m in _OPENS.finditer(before) if before.count("{", m.start()) > before.count("}", m.start())]
    if opened and opened[-1][1] == "train":
        yield from (Completion(name, "setting") for name in SETTINGS)
    else:
        inner = [w for w in STATEMENT_WORDS if w not in DEFINITION_WORDS]
        yield from (Completion(word, "word") for word in (inner if before.count("{") > before.count("}") else DEFINITION_WORDS))


def _library(*kinds: str) -> Iterator[Completion]:
    for e in entries():
        if e.kind in kinds:
            yield Completion(e.name, e.kind, e.signature, e.doc)


def _arguments(document: Document, before: str) -> Iterator[Completion]:
    """The arguments of the call around the place that it does not have yet; a pipeline gives the first."""
    opened = _open_bracket(before)
    call = _CALL.search(before, 0, opened) if opened is not None else None
    if opened is None or call is None:
        return
    callee = document.compilation.definitions.meaning(call[1])
    if isinstance(callee, Function | Builtin):
        written = set(_NAMED.findall(before[opened:]))
        given = _unnamed(before[opened + 1 :]) + before[: call.start()].rstrip().endswith("->")
        for p in callee.parameters[given:]:
            if p.name not in written:
                default = f"{p.name} = {p.default.span.text}" if p.default else p.name
                yield Completion(p.name, "argument", default, insert=f"{p.name} = ")


def _unnamed(written: str) -> int:
    """How many arguments are written whole and without their names."""
    depth, arguments = 0, [""]
    for character in written:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            arguments.append("")
        arguments[-1] += character
    return sum(not _NAMED.search(argument) for argument in arguments[:-1])


def _open_bracket(before: str) -> int | None:
    """The last parenthesis that is still open."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += (before[at] in ")]}") - (before[at] in "([{")
        if depth < 0:
            return at if before[at] == "(" else None
    return None
