"""Modules imported when first used: a spec is checked without NumPy and the kernels, though the op rows name their functions.

And regular expressions compiled when first used: most look for what a person may have written, and did not.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["Module", "np", "real", "regex"]


class _Deferred:
    """A function of a module that is not imported yet."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def resolve(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(importlib.import_module(self.module), self.name)
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.resolve()(*args, **kwargs)


class Module:
    """A module that is not imported before one of its functions is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        loaded = sys.modules.get(self._name)
        if not loaded:
            return _Deferred(self._name, attribute)
        found = self.__dict__[attribute] = getattr(loaded, attribute)  # a kernel looks here at every run: let it be found at once
        return found


def real(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, once its module may be imported."""
    return function.resolve() if isinstance(function, _Deferred) else function


class _Regex:
    """What takes the place of a regular expression."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._source = pattern, flags

    def __getattr__(self, attribute: str) -> Any:
        found = self.__dict__[attribute] = getattr(re.compile(*self._source), attribute)
        return found


if TYPE_CHECKING:
    from re import compile as regex

    import numpy as np
else:
    np, regex = Module("numpy"), _Regex
