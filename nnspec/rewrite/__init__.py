"""Graph to graph, same meaning: rules written in the language."""

from nnspec.rewrite.factors import lighter
from nnspec.rewrite.rules import Rule, load_rules, rewrite

BEFORE_GRADIENTS = ("stability", "pooling", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast")

__all__ = ["AFTER_GRADIENTS", "BEFORE_GRADIENTS", "Rule", "lighter", "load_rules", "rewrite"]
