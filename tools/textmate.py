"""Writes the TextMate grammar of the VS Code extension from the package's table of words: python tools/textmate.py"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nnspec.syntax.highlight import RULES

OUTPUT = Path(__file__).parent / "vscode" / "syntaxes" / "nn.tmLanguage.json"
SCOPES = {
    "comment": "comment.line.number-sign", "string": "string.quoted.double", "number": "constant.numeric", "statement": "keyword.control",
    "word": "keyword.control", "operator word": "keyword.operator.logical", "constant": "constant.language",
    "call": "entity.name.function", "argument": "variable.parameter", "name": "variable.other", "operator": "keyword.operator",
    "bracket": "punctuation",
}  # fmt: skip


def grammar() -> str:
    """The text of the file."""
    rules = [_rule(kind, pattern) for kind, pattern in RULES]
    whole = {"name": "nnspec", "scopeName": "source.nn", "fileTypes": ["nn"], "patterns": rules}
    return json.dumps(whole, indent=2) + "\n"


def _rule(kind: str, pattern: str) -> dict[str, Any]:
    if kind == "definition":
        return {"match": pattern, "captures": {"1": {"name": "storage.type.nn"}, "3": {"name": "entity.name.type.nn"}}}
    return {"match": pattern, "name": f"{SCOPES[kind]}.nn"}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUTPUT.write_text(grammar(), "utf-8")
