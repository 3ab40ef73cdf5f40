"""Graph to graph, same meaning: rules written in the language, and what makes loops fast."""

from nnspec.rewrite.rules import Rule, load_rules, rewrite

STABLE = ("stability", "views", "algebra", "stopped")
BEFORE_GRADIENTS = ("stability", "views", "pooling", "algebra")
AFTER_GRADIENTS = ("algebra", "broadcast", "stopped")
FOR_EXPORT = ("export",)

__all__ = ["AFTER_GRADIENTS", "BEFORE_GRADIENTS", "FOR_EXPORT", "STABLE", "Rule", "load_rules", "rewrite"]
