"""Graph to graph, same meaning: rules written in the language."""

from nnspec.rewrite.factors import lighter
from nnspec.rewrite.rules import Rule, load_rules, rewrite

STABLE = ("stability", "algebra")
BEFORE_GRADIENTS = ("stability", "pooling", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast")
FOR_EXPORT = ("export",)

__all__ = ["AFTER_GRADIENTS", "BEFORE_GRADIENTS", "FOR_EXPORT", "STABLE", "Rule", "lighter", "load_rules", "rewrite"]
