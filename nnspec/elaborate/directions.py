"""Which way a number that is watched is better, as far as the library or the author says."""

from __future__ import annotations

from nnspec.elaborate.library import of_library

LOW, HIGH = "low", "high"
DIRECTIONS = (LOW, HIGH)
FILES = {"std/losses.nn": LOW, "std/metrics.nn": HIGH}
ERRORS = ("rmse", "perplexity")
"""Those metrics of the library that are better when lower."""


def direction(*names: str | None) -> str | None:
    """By the first of these names that the library has for a loss or a metric.

    >>> direction("error", "rmse"), direction("accuracy"), direction("mape")
    ('low', 'high', None)
    """
    found = (LOW if name in ERRORS else _by_file(name) for name in names if name)
    return next(filter(None, found), None)


def _by_file(name: str) -> str | None:
    function = of_library("fn", name)
    return FILES.get(function.definition.span.source.name) if function else None
