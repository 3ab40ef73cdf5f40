"""Colours: one table of words, from which Pygments' lexer and the grammar of VS Code are made."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import EntryPoint

from helpers import ROOT, tool
from pygments.token import Error, Keyword, Name

from nnspec.highlighter import NnLexer
from nnspec.syntax import words
from nnspec.syntax.tables import WORDS

TEXTS = [p.read_text("utf-8") for folder in ("specs", "nnspec/std") for p in sorted((ROOT / folder).glob("*.nn"))]


def test_the_words_are_those_of_the_grammar() -> None:
    assert {*words.DEFINITION_WORDS, *words.STATEMENT_WORDS, *words.OTHER_WORDS} == set(WORDS)


def test_every_text_is_lexed_whole_and_without_errors() -> None:
    for text in TEXTS:
        tokens = list(NnLexer(stripnl=False, ensurenl=False).get_tokens(text))
        assert "".join(value for _, value in tokens) == text
        assert not [value for kind, value in tokens if kind is Error]


def of_kind(text: str, kind: object) -> list[str]:
    return [value for found, value in NnLexer().get_tokens(text) if found in kind]  # type: ignore[operator]


def test_words_are_words_only_where_they_can_stand() -> None:
    text = 'schedule s(init = 1) = lr * step / steps\ntest "t" of M {\n  steps 3 with sgd(lr = 1)\n  expect not a or b\n}'
    assert of_kind(text, Keyword) == ["schedule", "test", "of", "steps", "with", "expect"]


def test_what_is_defined_is_a_name_of_its_own() -> None:
    assert of_kind("layer f(x) = x\ntrain pre { epochs 1 }\nlet ŷ = 2", Name.Class) == ["f", "pre", "ŷ"]


def test_pygments_is_told_of_the_lexer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (place,) = project["entry-points"]["pygments.lexers"].values()
    assert EntryPoint("nnspec", place, "pygments.lexers").load() is NnLexer


def test_the_grammar_of_vs_code_is_made_from_the_table() -> None:
    module = tool("textmate")
    assert module["OUTPUT"].read_text("utf-8") == module["grammar"](), "run `python tools/textmate.py`"


def test_the_extension_names_files_that_are_there() -> None:
    folder = ROOT / "tools" / "vscode"
    package = json.loads((folder / "package.json").read_text("utf-8"))
    contributes = package["contributes"]
    (language,), (grammar,) = contributes["languages"], contributes["grammars"]
    for name in (package["main"], language["configuration"], grammar["path"]):
        assert (folder / name).is_file()
    word = json.loads((folder / language["configuration"]).read_text("utf-8"))["wordPattern"]
    assert r"\p{" in word["pattern"] and word["flags"] == "u"  # without it \p means p, and the editor knows no words
    assert re.search(r'documentSelector: \[\{ language: "(\w+)" \}\]', (folder / "extension.js").read_text("utf-8"))[1] == language["id"]  # type: ignore[index]
