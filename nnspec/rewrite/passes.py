"""What passes written as Python share: a graph made anew, node by node, with something better in the place of some."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from itertools import takewhile

from nnspec.graph import Graph, Node, Var
from nnspec.graph.types import Size, Sized, count, size_names

# A value with more elements than that is not a constant if it is made of fewer: nobody wants it laid out in advance.
LARGEST_SPREAD = 1 << 16


def scope_of(node: Node) -> str:
    """The layer that a node belongs to, by its path."""
    return node.name.rpartition("/")[0]


class Constants(Collection[str]):
    """The values of a graph that are the same for every input, whatever is added to it meanwhile."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._known = graph, dict[str, bool]()

    def __contains__(self, name: object) -> bool:
        if name not in self._known:
            added = list(takewhile(lambda node: node.name not in self._known, reversed(self.graph.nodes.values())))
            for node in reversed(added):
                self._known[node.name] = _computable(node) and all(self._known[i] for i in node.inputs) and not self._spreads(node)
        return self._known[str(name)]

    def __iter__(self) -> Iterator[str]:
        return (n for n in self.graph.nodes if n in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _spreads(self, node: Node) -> bool:
        size, made_of = (count(d for n in names for d in self.graph[n].type.shape) for names in ((node.name,), node.inputs))
        assert not isinstance(size, Size) and not isinstance(made_of, Size)
        return not node.op.is_source and size > max(LARGEST_SPREAD, made_of)


def _computable(node: Node) -> bool:
    """Whether it is known when all its inputs are."""
    sized = any(size_names(v) or isinstance(v, Sized) for v in (node.type.shape, *node.attributes.values()))
    return node.op.name != "input" and not sized


class Pass(ABC):
    """In the new graph a value knows whether it is constant, and whether anything but one operation reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.readers()
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
