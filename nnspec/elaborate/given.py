"""A model that is there already as a graph, for a definition to go on from with its loss and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnspec.elaborate.values import Owned, Row, Tensor
from nnspec.graph import Graph, Type
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.elaborate.answers import Answer, Continuation


@dataclass(frozen=True, eq=False)
class Given:
    """Outputs of the graph are called `output:NAME`; `words` are what formulas call them and the inputs, `weights` the arrays it owns.

    `labels` say, by input or target, what class numbers stand for, `answers`, by output, which target it says, `means`, by
    column, what missing values stand for, and `continuations`, by input, which output says what comes next.
    """

    graph: Graph
    inputs: Mapping[str, Type]
    words: Mapping[str, str]
    owned: Mapping[str, Owned]
    rows: tuple[Row, ...]
    weights: Mapping[str, Any]
    labels: Mapping[str, Sequence[str]]
    answers: Mapping[str, Answer]
    means: Mapping[str, Any]
    continuations: Mapping[str, Continuation]

    @property
    def batched(self) -> bool:
        """Whether it takes any number of examples."""
        return any(t.leads_with_batch for t in self.inputs.values())

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The node of each output, by the name the user knows it by."""
        return {public.removeprefix("output:"): node for public, node in self.graph.outputs.items()}

    def copy(self) -> Graph:
        return self.graph.only(self.graph.outputs)

    def names(self, graph: Graph) -> dict[str, Tensor]:
        """What formulas can speak of: inputs that are used, and outputs."""
        nodes = {n: n for n in self.inputs if n in graph.nodes} | self.outputs
        return {self.words[name]: tensor(graph, node) for name, node in nodes.items()}

    def rows_of(self, graph: Graph) -> list[Row]:
        """The layer table of a copy."""
        return [replace(row, value=tensor(graph, row.value.var.name)) for row in self.rows]


def tensor(graph: Graph, node: str) -> Tensor:
    """A node as the language sees it."""
    var = graph.var(node)
    return Tensor(var, var.type.leads_with_batch)
