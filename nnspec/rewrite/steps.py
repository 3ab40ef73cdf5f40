"""All that is done to a step, which nobody differentiates again."""

from __future__ import annotations

from nnspec.graph import Graph, Node
from nnspec.graph.loop import with_bodies
from nnspec.rewrite import AFTER_GRADIENTS
from nnspec.rewrite.factors import lighter
from nnspec.rewrite.loops import hoist, start_with, trim
from nnspec.rewrite.neighbours import join_neighbours
from nnspec.rewrite.rows import rows_first
from nnspec.rewrite.rules import rewrite
from nnspec.rewrite.slopes import with_slopes


def rewrite_step(graph: Graph) -> Graph:
    """Loss and gradients after the rules, their loops as short as can be."""
    graph = start_with(hoist(trim(rewrite(graph, *AFTER_GRADIENTS))))
    return lighter(rewrite(with_slopes(rows_first(rewrite(trim(_in_loops(graph)), *AFTER_GRADIENTS))), "slopes"))


def _in_loops(graph: Graph) -> Graph:
    """The same with bodies that compute neighbouring pieces in one go."""

    def rule(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        attrs = with_bodies(node, lambda body: rewrite(join_neighbours(_in_loops(body)), "loops", "stopped"))
        return new.add(node.op, inputs, attrs, node.type, node.name)

    return graph.rebuilt(rule)
