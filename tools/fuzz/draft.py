"""A random spec while it is still in parts, so that it can be written, translated and made smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nnspec.gradcheck import EXAMPLES

MANY = 9
Shape = tuple[int, ...]
Torch = Callable[..., Any]
"""What PyTorch computes: of its parameters by public name, and the values that the line reads."""


@dataclass(frozen=True)
class Line:
    """`name = text`, where {0}, {1} stand for the values it reads; `sequence` where the first axis is T."""

    name: str
    text: str
    uses: tuple[str, ...]
    shape: Shape
    sequence: bool = False
    torch: Torch | None = None
    before: str = ""

    def written(self) -> str:
        before = f"{filled(self.before, *self.uses)}\n  " if self.before else ""
        return f"{before}{self.name} = {filled(self.text, *self.uses)}"


@dataclass(frozen=True)
class Loss:
    """`loss text` of a value {0} and the target y of a type; PyTorch's is of parameters, value and target, a number an example or all."""

    text: str
    target: str
    torch: Torch | None = None


@dataclass(frozen=True)
class Draft:
    """A model of lines, the first of them its input; what its last value is trained for, and how."""

    seed: int
    input: str
    lines: tuple[Line, ...]
    loss: Loss
    beside: str = ""
    training: tuple[str, ...] = ("optimizer sgd(0.1)",)

    @property
    def examples(self) -> int:
        """In a batch: few, or so many that loops lay them innermost."""
        return EXAMPLES if self.seed % 3 else MANY

    @property
    def text(self) -> str:
        last, values = self.lines[-1], "\n".join(f"  {line.written()}" for line in self.lines[1:])
        shapes = "\n".join(f"  expect shape({line.name}) == {shown(line)}" for line in self.lines[1:] if not line.sequence)
        second = f"  loss beside = 0.01 * mean({self.beside}^2)\n" if self.beside else ""
        settings = "\n".join(f"  {s}" for s in ("epochs 1", "batch 4", *self.training))
        return (
            f"model Fuzz {{\n  input x: {self.input}\n  target y: {self.loss.target}\n{values}\n  output out = 1 * {last.name}\n"
            f"  loss {filled(self.loss.text, last.name)}\n{second}{shapes}\n}}\n\ntrain {{\n{settings}\n}}\n"
        )

    def by_name(self) -> Mapping[str, Line]:
        return {line.name: line for line in self.lines}

    def live(self) -> Draft:
        """Without the lines that nothing reads."""
        needed, kept = {self.lines[0].name, self.lines[-1].name, self.beside}, []
        for line in reversed(self.lines):
            if line.name in needed:
                needed |= set(line.uses)
                kept.append(line)
        return replace(self, lines=tuple(reversed(kept)))


def shown(line: Line) -> str:
    return f"[{', '.join(map(str, line.shape))}]"


def filled(text: str, *values: str) -> str:
    """The text with its values for {0}, {1}; other braces are the language's."""
    for number, value in enumerate(values):
        text = text.replace(f"{{{number}}}", value)
    return text
