"""A spec on which something does not agree, made as small as it can be while that stays so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tools.fuzz.draft import Draft, Line, Loss
from tools.fuzz.productions import flattened


def shrink(draft: Draft, wrong: Callable[[Draft], bool]) -> Draft:
    """The first smaller draft that is still wrong, made smaller in turn."""
    for smaller in _smaller(draft):
        if wrong(smaller):
            return shrink(smaller, wrong)
    return draft


def _smaller(draft: Draft) -> Iterator[Draft]:
    """Less of the training, of the losses, and of the lines: cut after one, or one left out and what it read put in its place."""
    if len(draft.training) > 1:
        yield replace(draft, training=draft.training[:1])
    if draft.training != ("optimizer sgd(0.1)",):
        yield replace(draft, training=("optimizer sgd(0.1)",))
    if draft.beside:
        yield replace(draft, beside="").live()
    for number in range(1, len(draft.lines) - 1):
        yield from _cut(draft, number)
    for line in draft.lines[1:-1]:
        yield from _without(draft, line)


def _cut(draft: Draft, number: int) -> Iterator[Draft]:
    """Ending at this line, with the plainest of losses."""
    end = draft.lines[number]
    if end.sequence:
        return
    lines = draft.lines[: number + 1]
    if len(end.shape) != 1:
        made = flattened(None, end.shape, "")  # type: ignore[arg-type]  # it draws nothing
        lines += (Line("row", made.text, (end.name,), made.shape, torch=made.torch),)
    if len(lines) < len(draft.lines):
        yield replace(draft, lines=lines, beside="", loss=squares(lines[-1].shape[0])).live()


def squares(numbers: int) -> Loss:
    return Loss("mse({0}, y)", f"[{numbers}]", lambda P, z, y: ((z - y) ** 2).mean())


def _without(draft: Draft, line: Line) -> Iterator[Draft]:
    for used in line.uses:
        before = draft.by_name()[used]
        if (before.shape, before.sequence) == (line.shape, line.sequence):
            others = (replace(of, uses=tuple(used if u == line.name else u for u in of.uses)) for of in draft.lines if of is not line)
            beside = used if draft.beside == line.name else draft.beside
            yield replace(draft, lines=tuple(others), beside=beside).live()
