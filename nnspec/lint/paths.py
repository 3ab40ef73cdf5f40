"""Paths of a training that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from nnspec.diagnostics import Diagnostic, Span, instead
from nnspec.elaborate.training import Training
from nnspec.lint.network import Network


def paths_nearly_right(network: Network) -> Iterator[Diagnostic]:
    """W548: a path of data or of a run where there is nothing, beside something that is called nearly so; data may well lie elsewhere."""
    for path, span in (named for training in network.trainings for named in _paths(training)):
        if near := network.nearly(path):
            message = f"there is no `{path}` in the folder of the spec"
            meant = str(PurePath(path).with_name(near))
            yield Diagnostic("W548", message, span, level="warning", **instead(meant, _written(path, span), safe=False))


def _paths(training: Training) -> Iterator[tuple[str, Span]]:
    yield from ((s.path, s.span) for s in training.sources if s.path)
    if training.start:
        yield training.start.text, training.start.span


def _written(path: str, span: Span) -> Span | None:
    """The path itself in the place of what names it, unless a `let` holds it."""
    at = span.text.find(f'"{path}"') + 1
    return span.part(at, at + len(path)) if at else None
