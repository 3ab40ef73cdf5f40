"""What the passes of an export share: a graph made anew, node by node, with something better in the place of some."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

from nnspec.graph import Graph, Node, Var
from nnspec.interchange.constants import Constants, scope_of


class Pass(ABC):
    """In the new graph a value knows whether it is constant, and whether anything but one operation reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = Counter([*(i for n in graph for i in n.inputs), *graph.outputs.values()])
        self.shared: set[str] = set()
        self.constants = Constants(graph)

    def run(self) -> Graph:
        return self.graph.rebuilt(self._rule)

    def _rule(self, new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        self.constants = self.constants if self.constants.graph is new else Constants(new)
        with new.at(scope=scope_of(node)):
            better = self.better(node, [new.var(i) for i in inputs])
        made = better.name if better and better.type == node.type else new.copy_node(node, inputs)
        if self.readers[node.name] > 1:
            self.shared.add(made)
        return made

    @abstractmethod
    def better(self, node: Node, inputs: list[Var]) -> Var | None:
        """What says the same as a node of these inputs, if there is anything."""

    def parts(self, x: Var) -> list[Var]:
        """The inputs of a value; none where another operation reads it too, so that taking it apart would compute it twice."""
        return [] if x.name in self.shared else [x.graph.var(i) for i in x.node.inputs]
