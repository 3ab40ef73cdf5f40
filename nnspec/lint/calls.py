"""Models that are called from another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Span
from nnspec.lint.network import Network, uncommented


def weights_of_their_own(network: Network) -> Iterator[Diagnostic]:
    """W122: a model that is called several times, and has other weights each time; calls that have a name of their own are meant so."""
    for kind, name in network.definitions.own:
        calls = _calls(network, name) if kind == "model" else []
        yield from (_apart(name, calls[0], other) for other in calls[1:])


def _calls(network: Network, name: str) -> list[Span]:
    """Where a model is called that gets parameters there; each place once, as those in a `repeat` are meant to be apart."""
    owners = (row.span for row in network.model.rows if any(re.match(rf"{name}(_\d+)?\.", owned) for owned in row.owned))
    said = ((span, uncommented(span.text)) for span in dict.fromkeys(owners))
    return [Span(s.source, s.start + m.start(), s.start + m.end()) for s, text in said for m in re.finditer(rf"\b{name}\b", text)]


def _apart(name: str, first: Span, other: Span) -> Diagnostic:
    shared = name.lower() if name.lower() != name else f"one_{name}"
    message = f"this call of `{name}` has weights of its own: it learns nothing of what the other does"
    help_ = f"`share {shared} = {name}` gives all calls of `{shared}` the same; where they are to differ, name them: `{name} as other`"
    return Diagnostic("W122", message, other, notes=((first, "the other call"),), help=help_, level="warning")
