"""One value of a derivation: its formula, and what a gradient of it comes to at all that it is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from nnspec.autodiff import pull_back
from nnspec.graph import Graph, Type
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.rewrite import AFTER_GRADIENTS, BEFORE_GRADIENTS, rewrite

LOSS, GRADIENT = "L", "gradient:"


@dataclass(frozen=True)
class Step:
    """One value and the formula for it: a graph from the values it reads to the output `value`; `written` is the call in the spec.

    Numbers that are `drawn` at random have a distribution and its parameters in place of the formula.
    """

    name: str
    written: str
    reads: tuple[str, ...]
    graph: Graph
    drawn: tuple[str, *tuple[float, ...]] | None = None

    @property
    def type(self) -> Type:
        return self.graph[self.graph.outputs["value"]].type

    def type_of(self, name: str) -> Type:
        """The type of a value that it reads."""
        return self.graph[name].type

    @cached_property
    def backward(self) -> Graph:
        """The outputs `gradient:NAME`: what a gradient of this value, the input `gradient`, comes to at each value that it reads."""
        graph = self.graph.only(self.graph.outputs)
        value = graph.var(graph.outputs["value"])
        sources = [n for n in self.reads if n in graph.nodes and graph[n].type.is_float]
        with graph.at(role="backward"):
            seed = graph.source(OPS["input"], "gradient", value.type)
            found = pull_back(graph, [(value.name, seed)], sources)
        graph.outputs |= {GRADIENT + n: g.name for n, g in zip(sources, found, strict=True)}
        return rewrite(graph, *AFTER_GRADIENTS)


def local(graph: Graph, value: str, names: Mapping[str, str]) -> Graph:
    """The formula of a value by the values that have names, as a graph of its own."""
    formula = Graph(graph.name, graph.dtype)
    known = {node: formula.source(OPS["input"], name, graph[node].type).name for node, name in names.items()}
    moved = formula.insert(graph, [value], known)
    formula.outputs = {"value": moved[value]}
    return rewrite(formula.swept(), *BEFORE_GRADIENTS)


def step_of(name: str, written: str, graph: Graph) -> Step:
    """The value of a graph under a name, read from those of the graph's sources that it is computed from."""
    needed = graph.needed(graph.outputs.values())
    return Step(name, written, tuple(n.name for n in graph if n.op.is_source and n.name in needed), graph)
