"""The primitives of the language: what no formula can say. Each row is its signature and the function that builds it."""

from __future__ import annotations

from functools import cache

from nnspec.elaborate.primitives import choosing, derivatives, images, joining, reductions, shapes, table
from nnspec.elaborate.primitives.chance import SEED, STEP
from nnspec.elaborate.primitives.table import Arguments, make_builtin
from nnspec.elaborate.values import Value

__all__ = ["SEED", "STEP", "Arguments", "builtins", "choosing", "derivatives", "images", "joining", "make_builtin", "reductions", "shapes"]


@cache
def builtins() -> dict[str, Value]:
    """Every name that is there before the library: functions, constants and choices."""
    return table.named_rows()
