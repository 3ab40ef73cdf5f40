"""Graph to graph, same meaning: rules written in the language."""

from nnspec.rewrite.rules import Rule, load_rules, rewrite

__all__ = ["Rule", "load_rules", "rewrite"]
