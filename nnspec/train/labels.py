"""What class numbers stand for: learnt from the data, and known from an earlier training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nnspec.diagnostics import Source, fault
from nnspec.elaborate.sources import DataSource
from nnspec.graph import Type
from nnspec.syntax import ast
from nnspec.syntax.parser import parse
from nnspec.train.check import Whence, listing
from nnspec.train.sources import LABELLED

Labels = Mapping[str, Sequence[str]]
"""What the class numbers of a port stand for: the sorted texts of its column, or the characters of its text."""


def lists(labels: Labels | None) -> dict[str, list[str]]:
    """Labels that more can be learnt to."""
    return {port: list(texts) for port, texts in (labels or {}).items()}


def known_texts(source: DataSource, labels: Labels) -> Sequence[str]:
    """What the class numbers of a source stood for in an earlier training, or in another part."""
    named = LABELLED.get(source.name, ())
    return next((texts for port, texts in labels.items() if source.fields.get(port, port) in named), ())


def keep_labels(source: DataSource, named: Labels, ports: Mapping[str, Type], labels: dict[str, list[str]], spec: Source | None) -> None:
    """Add to the labels what a source has `named`; a Fault (E305) where that is not as many as the port of a spec has classes."""
    for port, type in ports.items():
        chosen = source.fields.get(port, port)
        if type.classes and isinstance(chosen, str) and chosen in named:
            texts = named[chosen]
            if type.classes != len(texts):
                message = f"`{port}` is class({type.classes}), and its data has {len(texts)} classes: {listing(texts)}"
                raise fault("E305", message, source.spans.get(port, source.span), help=_as_many(spec, port, len(texts)))
            labels[port] = list(texts)


def _as_many(spec: Source | None, port: str, classes: int) -> str:
    """How a port gets so many classes: by its declaration, or by the `let` that is named there."""
    written = parse(spec)[0].definitions if spec else ()
    lets = {d.name.id for d in written if isinstance(d, ast.Let)}
    ports = [s for d in written if isinstance(d, ast.Definition) for s in d.body if isinstance(s, ast.Port) and s.name.id == port]
    named = ports[-1].type.classes if ports else None
    if isinstance(named, ast.Name) and named.id in lets:
        return f"`{named.id}` says how many there are: `--set {named.id}={classes}`"
    return f"declare it class({classes})"


def refuse_learnt(source: DataSource, table: Path | None, before: Labels, now: Labels) -> None:
    """A Fault (E305) for texts of a class that had numbers in training, whose order nobody has said, unless they are these numbers."""
    for port, texts in now.items():
        if port not in before and texts != [str(number) for number in range(len(texts))]:
            place = Whence(table).said(source.fields.get(port, port))
            message = f"{place}`{port}` holds texts, {listing(texts)}, and class numbers in the data that was trained on"
            raise fault("E305", message, source.spans.get(port, source.span), help="give it class numbers here, or texts there, too")
