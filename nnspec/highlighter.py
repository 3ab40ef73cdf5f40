"""Specs in colour wherever Pygments is: documentation, terminals, notebooks."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from nnspec.syntax.highlight import RULES

TOKENS = {
    "comment": Comment.Single, "string": String.Double, "number": Number, "statement": Keyword, "word": Keyword,
    "definition": bygroups(Keyword.Declaration, Whitespace, Name.Class), "operator word": Operator.Word, "constant": Keyword.Constant,
    "call": Name.Function, "argument": Name.Variable, "name": Name, "operator": Operator, "bracket": Punctuation,
}  # fmt: skip


class NnLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """The .nn language."""

    name = "nnspec"
    url = "https://github.com/nnspec/nnspec"
    aliases: ClassVar = ["nn", "nnspec"]
    filenames: ClassVar = ["*.nn"]
    mimetypes: ClassVar = ["text/x-nnspec"]
    tokens: ClassVar = {"root": [(r"\s+", Whitespace), *((pattern, TOKENS[kind]) for kind, pattern in RULES)]}
