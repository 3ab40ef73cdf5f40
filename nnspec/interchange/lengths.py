"""Lengths that an exporter has written down: open in the data, and a number in a shape of the file."""

from __future__ import annotations

from collections.abc import Sequence

from nnspec.graph import Dim, Shape
from nnspec.graph.types import BATCH_NAME, show, size_names


def written_down(given: Shape, wanted: Sequence[Dim]) -> str:
    """What is said of elements that are to be laid in a shape without a length that they have; nothing where it has all of them."""
    lost = sorted(size_names(given) - size_names(tuple(wanted)) - {BATCH_NAME})
    if not lost:
        return ""
    return f"`{'`, `'.join(lost)}` is open in {show(given)}, and a number in {show(tuple(wanted))}, the shape that the file has for it"


HELP = "the exporter has written down the length of its example: give the input that length, or export the model so that it stays open"
BATCH_FIRST = "the first axis of an input is that of its examples: where it has the steps, export the model with `batch_first=True`"
