"""A file as an editor has it open: its text, what it means, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from nnspec.compile import Compilation
from nnspec.diagnostics import Diagnostic, Fault, Source, Span, fault
from nnspec.elaborate.model import Model
from nnspec.lsp.names import Names, Symbol, names_of
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.words import DEFINITION_WORDS, OTHER_WORDS, STATEMENT_WORDS


@dataclass(frozen=True, eq=False)
class Document:
    """One version of a text; `folder` is where the files lie that it imports."""

    source: Source
    folder: Path

    @cached_property
    def compilation(self) -> Compilation:
        return Compilation(self.source, {}, folder=self.folder)

    @cached_property
    def names(self) -> Names:
        return names_of(self.compilation.parsed[0])

    @property
    def mistakes(self) -> list[Diagnostic]:
        """All mistakes and warnings, each at a place of this file; those of an imported file at its import."""
        found = [*self.compilation.diagnostics, *self.compilation.warnings]
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

    def renamed(self, offset: int, new: str) -> list[Span]:
        """The places where the name at one would be written anew; a Fault (E105, or the mistake it would make) when it cannot be."""
        found = self.names.at(offset)
        if found is None or found.symbol is None:
            what = f"`{found.name}` is not defined in this file" if found else "there is no name here"
            raise fault("E101", what, found.span if found else None)
        if not new.isidentifier() or new in (*DEFINITION_WORDS, *STATEMENT_WORDS, *OTHER_WORDS):
            raise fault("E105", f"`{new}` cannot be a name", found.span)
        spans = self.names.of(found.symbol)
        self._check_renamed(found.symbol, spans, new)
        return spans

    def _check_renamed(self, symbol: Symbol, spans: list[Span], new: str) -> None:
        """The text means the same with the new name: no other mistakes, no other name in its place."""
        text = self.source.text
        for span in sorted(spans, key=lambda s: -s.start):
            text = text[: span.start] + new + text[span.end :]
        after = Document(Source(self.source.name, text), self.folder)
        known = {(d.code, d.message.replace(symbol.name, new)) for d in self.compilation.diagnostics}
        for d in after.compilation.diagnostics:
            if (d.code, d.message) not in known:
                raise Fault(d)
        if after.names.groups() != self.names.groups():
            raise fault("E105", f"`{new}` is the name of something else here", spans[0])
