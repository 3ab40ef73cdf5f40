"""The body of a loop: a graph that one step runs, as an attribute of the `scan` that repeats it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from nnspec.graph.graph import Graph
from nnspec.graph.node import Node
from nnspec.graph.types import Dim, Sized, Type, size_names, with_batch
from nnspec.graph.var import Var
from nnspec.graph.walk import walk
from nnspec.record import dataclass

KINDS = ("carry", "item", "given")
STAND_IN = "/step"
"""What the names of sources begin with that stand for values of one step while its formulas are read."""


def with_bodies(node: Node, change: Callable[[Graph], Graph]) -> dict[str, Any]:
    """The attributes of a node, with the body of a loop changed."""
    return {k: Loop(change(v.body)) if isinstance(v, Loop) else v for k, v in node.attrs}


def is_stand_in(value: Var) -> bool:
    return value.name.startswith(STAND_IN)


@dataclass(frozen=True, eq=False)
class Loop(Sized):
    """One step. Its sources are `carry:I` as it was, `item:J` of this step, `given:K` of every step, as far as it reads them.

    Outputs: `carry:I` as it will be, and `out:J`, what the step yields; the first of those are the carries as they will be.
    """

    body: Graph = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, wherever they are written."""
        return isinstance(other, Loop) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @cached_property
    def _said(self) -> tuple[object, ...]:
        return tuple(replace(node, span=None) for node in self.body), tuple(self.body.outputs.items())

    def types(self, kind: str) -> list[Type]:
        """The types of the outputs of that kind, in order."""
        return [self.body[n].type for public, n in self.body.outputs.items() if public.startswith(kind)]

    @property
    def names(self) -> set[str]:
        return size_names(tuple((node.type.shape, *node.attributes.values()) for node in self.body))

    def bound(self, sizes: Mapping[str, int]) -> BoundLoop:
        return BoundLoop(self.body, sizes)

    def with_batch(self, batch: Dim) -> Loop:
        def rebuild(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
            type = replace(node.type, shape=with_batch(node.type.shape, batch))
            return new.add(node.op, inputs, {k: with_batch(v, batch) for k, v in node.attrs}, type, node.name)

        return Loop(self.body.rebuilt(rebuild))

    def __str__(self) -> str:
        return "{" + str(self.body).replace("\n", " | ") + "}"


@dataclass(frozen=True)
class BoundLoop:
    """A body for fixed sizes."""

    body: Graph = field(repr=False)
    sizes: Mapping[str, int]

    def types(self, kind: str) -> list[Type]:
        """The types of the outputs of that kind, in order."""
        return [type.bound(self.sizes) for type in Loop(self.body).types(kind)]

    def step(self, *values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The carries after a step and what it yields, from the carries before it, its items and what is given."""
        done, outputs = self.values(*values), self.body.outputs.items()
        return [done[n] for p, n in outputs if p.startswith("carry:")], [done[n] for p, n in outputs if p.startswith("out:")]

    def values(self, *values: Sequence[Any]) -> dict[str, Any]:
        """All values of a step, by the names of their nodes."""
        feeds = {f"{kind}:{i}": v for kind, group in zip(KINDS, values, strict=True) for i, v in enumerate(group)}
        return walk(self.body, feeds, self.sizes)
