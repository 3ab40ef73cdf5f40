"""What is right by the rules and probably not meant: each check a function from a network to diagnostics, with a page that shows why."""

from nnspec.lint.allow import allowed
from nnspec.lint.checks import CHECKS, warnings
from nnspec.lint.network import Network

__all__ = ["CHECKS", "Network", "allowed", "warnings"]
