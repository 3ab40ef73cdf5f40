"""Another name for a thing, in all files that speak of it: its own, and those that import it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nnspec.diagnostics import Fault, Source, Span, fault
from nnspec.fixes import replaced
from nnspec.lsp.document import Document
from nnspec.syntax.names import Symbol
from nnspec.syntax.words import is_name

Places = dict[Document, list[Span]]


def renamed(document: Document, offset: int, new: str, others: Iterable[Document] = ()) -> Places:
    """The places where the name at one would be written anew; a Fault (E105, or the mistake it would make) when it cannot be.

    `others` are the files that may define the name for this one, or use it.
    """
    others = [d for d in others if d.path != document.path]
    home, symbol = _meant(document, offset, others)
    if not is_name(new):
        raise fault("E105", f"`{new}` cannot be a name", symbol.span)
    importing = [d for d in (document, *others) if home.path in d.imported]
    places = {home: home.names.of(symbol)}
    if home.names.definitions.get(symbol.name) is symbol:
        places |= {d: found for d in importing if (found := d.names.free(symbol.name))}
    _check(places, [home, *importing], symbol, new)
    return places


def _meant(document: Document, offset: int, others: list[Document]) -> tuple[Document, Symbol]:
    """What the name at a place stands for, and the file that defines it."""
    found = document.names.at(offset)
    if found is None:
        raise fault("E101", "there is no name here")
    if found.symbol:
        return document, found.symbol
    homes = (d for d in others if d.path in document.imported and found.name in d.names.definitions)
    home = next(homes, None)
    if home is None:
        raise fault("E101", f"`{found.name}` is not defined in this file, nor in one that it imports", found.span)
    return home, home.names.definitions[found.name]


def _check(places: Places, concerned: list[Document], symbol: Symbol, new: str) -> None:
    """All files mean the same with the new name: no other mistakes, no other name in its place."""
    texts = {d.path: replaced(d.source.text, places.get(d, []), new) for d in concerned}
    named = re.compile(rf"(?<!\w)({re.escape(symbol.name)}|{re.escape(new)})(?!\w)")
    for before in concerned:
        after = _with(before, texts)
        known = {(d.code, named.sub("", d.message)) for d in before.compilation.diagnostics}
        for d in after.compilation.diagnostics:
            if (d.code, named.sub("", d.message)) not in known:
                raise Fault(d)
        if after.names.groups() != before.names.groups():
            raise fault("E105", f"`{new}` is the name of something else in {before.source.name}", symbol.span)


def _with(document: Document, texts: Mapping[Path, str]) -> Document:
    """The document in a world where files have these texts."""
    return Document(Source(document.source.name, texts[document.path]), document.folder, {**document.opened, **texts})
