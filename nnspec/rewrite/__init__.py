"""Graph to graph, same meaning: rules written in the language."""

from nnspec.rewrite.rules import Rule, load_rules, rewrite

BEFORE_GRADIENTS = ("stability", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast")
FOR_EXPORT = ("export",)

__all__ = ["AFTER_GRADIENTS", "BEFORE_GRADIENTS", "FOR_EXPORT", "Rule", "load_rules", "rewrite"]
