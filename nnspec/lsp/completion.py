"""One word that is offered, and those of the library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nnspec.doc import entries
from nnspec.record import dataclass


@dataclass(frozen=True)
class Completion:
    """A word with what it is, and what is written for it."""

    label: str
    kind: str
    detail: str = ""
    doc: str = ""
    insert: str = ""


def library(*kinds: str) -> Iterator[Completion]:
    for e in entries():
        if e.kind in kinds:
            yield Completion(e.name, e.kind, e.signature, e.doc)


def arguments(names: Iterable[str]) -> Iterator[Completion]:
    """Names that are given a value."""
    return (Completion(n, "argument", n, insert=f"{n} = ") for n in names)
