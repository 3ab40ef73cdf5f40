"""What could be the value of a setting of a training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nnspec.diagnostics import Fault
from nnspec.elaborate.model import Model
from nnspec.elaborate.phases import PHASE_SETTINGS, paths
from nnspec.elaborate.sources import SOURCES
from nnspec.elaborate.training import CLIPS, PENALTIES, STOPS, watchable
from nnspec.lsp.completion import Completion, arguments, library
from nnspec.lsp.document import Document
from nnspec.syntax.names import OF_DATA
from nnspec.syntax.words import SETTING_WORDS

_SETTING = re.compile(rf"(?<!\S)({'|'.join(sorted({*SETTING_WORDS, *PHASE_SETTINGS}))})\b(?!\s*[=,)])")
_CALLS = re.compile(r"([^\W\d]\w*)?\s*([({])[^(){}]*\Z")
_WHOLE = re.compile(r"[\w\"\])}]\s+\Z")
_GOES_ON = re.compile(r"\b(?:from|with)\s+\Z")
WORDS = {"penalty": PENALTIES, "clip": CLIPS, "start": ("from",)}
OF_LIBRARY = {"optimizer": "optimizer", "schedule": "schedule", "stop": "stop", **dict.fromkeys(OF_DATA, "source")}


def is_due(block: str) -> bool:
    """Whether the beginning of a train block ends where another setting may begin."""
    settings = _settings(block)
    value = block[settings[-1].end() :] if settings else ""
    return not settings or bool(_WHOLE.search(value) and _is_outside(value) and not _GOES_ON.search(value))


def of_setting(document: Document, block: str) -> Iterator[Completion] | None:
    """What could be written at the end of the beginning of a train block; None where its last setting says nothing of it."""
    settings = _settings(block)
    if not settings:
        return None
    setting, value = settings[-1][1], block[settings[-1].end() :]
    if called := _CALLS.search(value):
        return _of_call(document, setting, called[1] or "")
    if setting in (*PHASE_SETTINGS, "augment"):
        return _of_model(document, setting, value)
    if setting in OF_LIBRARY:
        return library(OF_LIBRARY[setting])
    return _words(setting, WORDS.get(setting, ()))


def _settings(block: str) -> list[re.Match[str]]:
    return [m for m in _SETTING.finditer(block) if _is_outside(block[: m.start()])]


def _is_outside(before: str) -> bool:
    """Whether no bracket is open where a text ends."""
    return all(before.count(opens) <= before.count(closes) for opens, closes in ("()", "{}", "[]"))


def _of_call(document: Document, setting: str, called: str) -> Iterator[Completion] | None:
    model = model_of(document)
    if setting == "stop" and called in STOPS:
        return iter([*arguments(STOPS[called][0]), *_words("value", watchable(model) if model else ())])
    if setting in OF_DATA:
        options = SOURCES[called].options if called in SOURCES else ()
        return arguments([*options, *(model.inputs if model else ()), *(model.targets if model else ())])
    return None


def _of_model(document: Document, setting: str, value: str) -> Iterator[Completion]:
    if setting == "augment" and "->" in value:
        return library("augmentation")
    model = model_of(document)
    if model is None:
        return iter(())
    if setting == "augment":
        return _words("input", model.ports if "," in value else model.inputs)
    return _words("value", model.losses if setting == "minimize" else sorted(paths(model.parameters)))


def _words(kind: str, words: Iterable[str]) -> Iterator[Completion]:
    return (Completion(word, kind) for word in words)


def model_of(document: Document) -> Model | None:
    """The model that a training is of, as far as it can be read."""
    try:
        return document.compilation.inference_model[0]
    except Fault:
        return None
