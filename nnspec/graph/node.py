"""What a graph is made of: nodes, and where each was made."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

from nnspec.diagnostics import Span
from nnspec.graph.op import Op
from nnspec.graph.types import Type
from nnspec.record import dataclass

Attributes = tuple[tuple[str, Any], ...]
ROLES = ("input", "param", "state", "forward", "loss", "backward", "update")


@dataclass(frozen=True)
class Node:
    """One operation; `inputs` are names of nodes, `role` says which part of a training step it belongs to.

    `kinds` are those of the values of its attributes, of which equal ones may be of several: 1, 1.0 and True; and the name of a
    node that is apart from others made alike.
    """

    op: Op
    inputs: tuple[str, ...]
    attrs: Attributes
    type: Type
    name: str
    span: Span | None = None
    role: str = "forward"
    kinds: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def is_apart(self) -> bool:
        return self.name in self.kinds

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.attrs)

    @property
    def constant(self) -> Any:
        """The number that it is, or nested tuples of numbers; None where it is computed."""
        return self.attributes["value"] if self.op.name == "const" else None


class Context(NamedTuple):
    """What a new node takes from where it is built."""

    role: str = "forward"
    span: Span | None = None
    scope: str = ""


class Made(NamedTuple):
    """One `add`: what was asked for, and the name of the node that is it."""

    op: Op
    inputs: tuple[str, ...]
    attrs: Attributes
    kinds: tuple[Any, ...]
    type: Type
    wish: str | None
    context: Context
    name: str


def kinds_of(attrs: Attributes) -> tuple[Any, ...]:
    """The kinds of their values."""
    return tuple([_kind(value) for _, value in attrs])


def _kind(value: Any) -> Any:
    """What tells values apart that are equal as keys."""
    return tuple(map(_kind, value)) if isinstance(value, tuple) else type(value)
