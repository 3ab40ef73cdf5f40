"""The slope of a function by differences, with what is known of it: how far rounding hides it, and whether the function bends there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from nnspec.record import dataclass

STEPS = (1e-5, 1e-4, 1e-3, 1e-2)
"""From where rounding weighs most to where the curve does."""
LASTING = 2.0
"""A jump that is the same at all steps, within this factor: that of a curve shrinks with them, that of rounding grows."""


@dataclass(frozen=True)
class Slope:
    """`jump` is by how much it differs from one side to the other, 0 where it does not."""

    value: float
    uncertainty: float
    jump: float


def slope(f: Callable[[float], float]) -> Slope:
    """That of a function at 0, of the step at which two neighbouring ones agree best (Ridders 1982).

    >>> found = slope(lambda t: 1e9 + 3 * t)
    >>> abs(found.value - 3) < 10 * found.uncertainty < 1e-3
    True
    >>> slope(lambda t: 2 * max(t, 0)).jump
    2.0
    """
    found = [(8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h) for h in STEPS]
    apart = [abs(b - a) for a, b in pairwise(found)]
    unsure = [max(apart[i] * STEPS[i] / h for i in range(k + 1)) for k, h in enumerate(STEPS[: len(apart)])]  # rounding shrinks with 1 / h
    best = min(range(len(unsure)), key=unsure.__getitem__)
    return Slope(found[best], unsure[best], _jump(f))


def _jump(f: Callable[[float], float]) -> float:
    """The slope on the right less that on the left, where it lasts."""
    here = f(0.0)
    jumps = [(4 * (f(h) + f(-h)) - f(2 * h) - f(-2 * h) - 6 * here) / (2 * h) for h in STEPS[:3]]
    small, large = sorted((min(jumps), max(jumps)), key=abs)
    return jumps[0] if small * large > 0 and abs(large) < LASTING * abs(small) else 0.0
