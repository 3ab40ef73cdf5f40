"""What could be written at a place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from nnspec.diagnostics import Source
from nnspec.doc import CALLED, named
from nnspec.elaborate.arguments import parameter_text
from nnspec.elaborate.expectations import FUNCTIONS, MEASURES
from nnspec.elaborate.model import TYPES
from nnspec.elaborate.phases import PHASE_SETTINGS, paths
from nnspec.elaborate.training import Training, watchable
from nnspec.elaborate.values import KNOWN, Builtin, Function
from nnspec.lsp.completion import Completion, arguments, library
from nnspec.lsp.document import Document
from nnspec.lsp.settings import is_due, model_of, of_setting
from nnspec.syntax import ast
from nnspec.syntax.words import DEFINITION_WORDS, STATEMENT_WORDS

LOOK_BACK = 2000
NAME = "_"
_WORD = re.compile(r"[^\W\d]\w*\Z")
_STAGE = re.compile(r"->\s*\Z|[\[{,]\s*\Z")
_CALL = re.compile(r"([^\W\d]\w*)\s*\Z")
_NAMED = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
_VALUE = re.compile(r"([^\W\d]\w*)\s*=\s*\Z")
_EXPECT = re.compile(r"\bexpect\b[^{}\n]*\Z")
_OPENS = re.compile(rf"^({'|'.join(DEFINITION_WORDS)})\b[^{{}}]*\{{", re.M)
_DOTTED = re.compile(r"(?<![\w.])([^\W\d][\w.]*)\.\Z")
_STEPS = re.compile(r"\bsteps\s+\S+\s+with\s*\Z")
_GIVEN = re.compile(r"\bgiven(?:\s[^{}]*,)?\s*\Z")
_OUTPUT = re.compile(r"^[ \t]*output\s+(?:\w+\s*,\s*)*\Z", re.M)
_TYPE = re.compile(r"^[ \t]*(?:input|target)\s+\w+\s*:\s*\Z", re.M)
_ONE_LINE = re.compile(r"^(schedule|init)\b[^={}]*=", re.M)
SETTINGS = (*(f.name for f in fields(Training) if f.name not in ("span", "name", "phases", "spans")), *PHASE_SETTINGS)
OF_WORD = {"optimizer": "optimizer", "schedule": "schedule", "~": "init"}


def completions(document: Document, offset: int) -> list[Completion]:
    """The likely ones first by their kind: arguments in a call, stages after an arrow, words where a statement begins."""
    before = _WORD.sub("", document.source.text[max(0, offset - LOOK_BACK) : offset])
    line = before.rpartition("\n")[2]
    if not document.is_code(offset):
        return []
    if kind := _after_word(before):
        return list(_of_kind(document, offset, kind))
    if _TYPE.search(before):
        return [Completion(type, "word") for type in TYPES]
    opened = [m for m in _OPENS.finditer(before) if before.count("{", m.start()) > before.count("}", m.start())]
    if not line.strip() and not before.rstrip().endswith(("->", "(", ",", "=", "[")):
        return list(_words(before, opened[-1][1] if opened else ""))
    whole = _with_a_name(document, offset)
    if dotted := _DOTTED.search(before):
        return list(_members(whole, offset, dotted[1]))
    if opened and opened[-1][1] == "train":
        block = before[opened[-1].end() :]
        if is_due(block):
            return list(_words(before, "train"))
        if (values := of_setting(whole, block)) is not None:
            return list(values)
    if _STEPS.search(before):
        return list(library("optimizer"))
    return _in_formula(whole, offset, before, opened[-1][1] if opened else "")


def kind_due(document: Document, offset: int) -> str:
    """The kind that the word, argument or setting before a place asks for, such as `optimizer` of what stands behind it."""
    before = document.source.text[max(0, offset - LOOK_BACK) : offset]
    return _after_word(before) or _kind_wanted(document, before)


def _after_word(before: str) -> str:
    return next((kind for word, kind in OF_WORD.items() if before.rstrip().endswith(word)), "")


def _with_a_name(document: Document, offset: int) -> Document:
    """The document with a name at the place where one is missing: without it the statement around it has no meaning."""
    text = document.source.text
    if _WORD.search(text, 0, offset) or not document.compilation.parsed[1]:
        return document
    return Document(Source(document.source.name, f"{text[:offset]}{NAME} {text[offset:]}"), document.folder, document.opened)


def _in_formula(document: Document, offset: int, before: str, kind: str) -> list[Completion]:
    given = _GIVEN.search(before) and model_of(document)
    if given:
        return list(arguments([*given.inputs, *given.targets]))
    kind = kind or next((found[1] for found in _ONE_LINE.finditer(before) if "\n" not in before[found.end() :]), "")
    kinds = dict.fromkeys(KNOWN.get(kind, ()), "value") | {n: s.kind for n, s in document.names.visible(offset).items() if n != NAME}
    names = [Completion(n, k) for n, k in kinds.items()]
    if _OUTPUT.search(before):
        return names
    if wanted := _kind_wanted(document, before):
        return list(_of_kind(document, offset, wanted))
    if _EXPECT.search(before):
        names = [*_askable(kind), *names]
    if _STAGE.search(before):
        called = [c for c in names if c.kind in (*CALLED, "model", "share", "argument")]
        others = [] if before.rstrip().endswith("->") else [c for c in names if c not in called]
        return [*_arguments(document, before), *called, *others, *library(*CALLED)]
    return [*_arguments(document, before), *names, *library(*CALLED, "constant", "choice")]


def _of_kind(document: Document, offset: int, kind: str) -> Iterator[Completion]:
    """What is of a kind: the file's own, an argument that may stand for one, and the library's."""
    visible = document.names.visible(offset)
    yield from (Completion(n, s.kind) for n, s in visible.items() if s.kind in (kind, "argument") and n != NAME)
    yield from library(kind)


def _askable(kind: str) -> Iterator[Completion]:
    """What expectations ask of a model, and in a test of the example that is given."""
    if kind == "test":
        yield Completion("loss", "value")
    if kind == "model":
        yield from (Completion(name, "value") for name in MEASURES)
        yield from (Completion(signature.partition("(")[0], "fn", signature) for signature in FUNCTIONS)


def _members(document: Document, offset: int, owner: str) -> Iterator[Completion]:
    """The parameters and layers of a layer; what is judged of the data for validation."""
    model = document.model_at(offset) or model_of(document)
    known = {*paths(model.parameters), *watchable(model)} if model else set()
    inside = {name.removeprefix(f"{owner}.") for name in known if name.startswith(f"{owner}.")}
    return (Completion(name, "value", f"{owner}.{name}") for name in sorted(inside) if "." not in name)


def _words(before: str, kind: str) -> Iterator[Completion]:
    """What begins a definition, a statement, or a setting of a train block."""
    if kind == "train":
        yield from (Completion(name, "setting") for name in SETTINGS)
    else:
        inner = [w for w in STATEMENT_WORDS if w not in DEFINITION_WORDS]
        yield from (Completion(word, "word") for word in (inner if before.count("{") > before.count("}") else DEFINITION_WORDS))


def _arguments(document: Document, before: str) -> Iterator[Completion]:
    """The arguments of the call around the place that it does not have yet; a pipeline gives the first."""
    if called := _called(document, before):
        callee, call, opened = called
        written = set(_NAMED.findall(before[opened:]))
        given = _unnamed(before[opened + 1 :]) + before[: call.start()].rstrip().endswith("->")
        for p in callee.parameters[given:]:
            if p.name not in written:
                yield Completion(p.name, "argument", parameter_text(p), insert=f"{p.name} = ")


def _kind_wanted(document: Document, before: str) -> str:
    """The kind of the default of the argument whose value is due, where that is an init or a choice of a few words."""
    written, called = _VALUE.search(before), _called(document, before)
    if not written or not called:
        return ""
    default = next((p.default for p in called[0].parameters if p.name == written[1]), None)
    kinds = {e.kind for e in named(default.id)} if isinstance(default, ast.Name) else set()
    return next((kind for kind in ("init", "choice") if kind in kinds), "")


def _called(document: Document, before: str) -> tuple[Function | Builtin, re.Match[str], int] | None:
    """What the call around a place calls, where it is written, and where its parenthesis opens."""
    opened = _open_bracket(before)
    call = _CALL.search(before, 0, opened) if opened is not None else None
    callee = document.compilation.definitions.meaning(call[1]) if call else None
    return (callee, call, opened) if opened is not None and call and isinstance(callee, Function | Builtin) else None


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
