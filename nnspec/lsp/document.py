"""A file as an editor has it open: its text, what it means, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fault, Source, Span, uncommented
from nnspec.elaborate.model import Model
from nnspec.lsp.inside import Inside, insides
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.names import Names, names_of

ALLOWS = "nnspec:"
"""What is in a comment that checks read."""


@dataclass(frozen=True, eq=False)
class Document:
    """One version of a text; `folder` is where the files lie that it imports, `opened` are those of them that are open, too.

    Nothing is wrong with one whose code is `right` already; what was `kept` of the versions before it saves time.
    """

    source: Source
    folder: Path
    opened: Mapping[Path, str] = field(default_factory=dict)
    right: bool = False
    kept: dict[Any, Any] = field(default_factory=dict)

    def edited(self, text: str, opened: Mapping[Path, str]) -> Document:
        """The next version; where only comments and empty lines are others, nothing is wrong with it if nothing was."""
        right = opened == self.opened and _code(text) == _code(self.source.text) and self.is_right
        return Document(Source(self.source.name, text), self.folder, opened, right, self.kept)

    @cached_property
    def is_right(self) -> bool:
        """Whether nothing is wrong with its code, and no other file has a part in that."""
        spec = self.compilation
        return self.right or not (self.mistakes or spec.imports.texts or (spec.models and spec.saved))

    @cached_property
    def path(self) -> Path:
        return (self.folder / self.source.name).resolve()

    @cached_property
    def imported(self) -> set[Path]:
        """The files that it imports, and those that they do."""
        return {(self.folder / name).resolve() for name in self.compilation.imports.texts}

    @cached_property
    def compilation(self) -> Compilation:
        return Compilation(self.source, {}, folder=self.folder, opened=self.opened, kept=self.kept)

    @cached_property
    def names(self) -> Names:
        return names_of(self.compilation.parsed[0], self.compilation.imported)

    @cached_property
    def insides(self) -> list[Inside]:
        """What names are in the definitions and loops that its models use."""
        return insides(self.compilation)

    def is_code(self, offset: int) -> bool:
        """Whether a place is in no comment, and in no text in quotes."""
        line = self.source.text[:offset].rpartition("\n")[2]
        code = uncommented(f"{line}.")
        return code.endswith(".") and code.count('"') % 2 == 0

    @property
    def first_mistakes(self) -> list[Diagnostic]:
        """Those of them that are found first."""
        return [] if self.right or self.compilation.is_library else self._here(self.compilation.first_diagnostics)

    @property
    def mistakes(self) -> list[Diagnostic]:
        """All mistakes and warnings, each at a place of this file; those of an imported file at its import."""
        if self.right:
            return []
        spec = self.compilation
        return self._here(spec.mistakes_of_library if spec.is_library else (*spec.diagnostics, *spec.warnings))

    def _here(self, found: Sequence[Diagnostic]) -> list[Diagnostic]:
        return [d for d in found if d.span is None or d.span.source is self.source] + [
            Diagnostic(d.code, f"{d.span}: {d.message}", self._import(d.span.source.name), help=d.help, level=d.level)
            for d in found
            if d.span is not None and d.span.source is not self.source
        ]

    def _import(self, name: str) -> Span | None:
        wishes = [d for d in self.compilation.parsed[0].definitions if isinstance(d, ast.Import)]
        return next((w.span for w in wishes if w.path == name), wishes[0].span if wishes else None)

    @property
    def fixes(self) -> Iterator[tuple[Diagnostic, Span, str]]:
        """The mistakes that can be mended by replacing a piece of this text."""
        return ((d, d.fix.span, d.fix.text) for d in self.mistakes if d.fix and d.fix.span.source is self.source)

    def model_at(self, offset: int) -> Model | None:
        """The model around a place, as in use; None outside of models, and in one that cannot stand alone."""
        around = [d for d in self.compilation.models if d.span.source is self.source and d.span.start <= offset]
        if not around or any(p.default is None for p in around[-1].parameters):
            return None
        try:
            return self.compilation.elaborated(around[-1].name.id)[0]
        except Fault:
            return None


def _code(text: str) -> list[str]:
    """The lines of a text without comments, and without those that are empty then; all lines where checks read comments, and those."""
    lines = [line.rstrip() for line in uncommented(text).split("\n")]
    if ALLOWS not in text:
        return [*filter(None, lines)]
    return [whole if ALLOWS in whole else code or whole[: whole.find("#") + 1] for whole, code in zip(text.split("\n"), lines, strict=True)]
