"""Graph to graph, same meaning: rules written in the language, and what makes loops fast."""

from nnspec.graph import Graph
from nnspec.rewrite.factors import lighter
from nnspec.rewrite.loops import hoist, trim
from nnspec.rewrite.neighbours import join_in_loops
from nnspec.rewrite.rules import Rule, load_rules, rewrite

STABLE = ("stability", "algebra")
BEFORE_GRADIENTS = ("stability", "pooling", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast")
FOR_EXPORT = ("export",)


def rewrite_step(graph: Graph) -> Graph:
    """Loss and gradients, which nobody differentiates again, after the rules; their loops do and yield only what they must."""
    graph = hoist(trim(rewrite(graph, *AFTER_GRADIENTS)))
    return lighter(rewrite(trim(join_in_loops(graph)), *AFTER_GRADIENTS))


__all__ = ["AFTER_GRADIENTS", "BEFORE_GRADIENTS", "FOR_EXPORT", "STABLE", "Rule", "lighter", "load_rules", "rewrite", "rewrite_step"]
