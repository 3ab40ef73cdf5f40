"""Small data sets that are computed: points of the plane in two classes, the same at every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nnspec.array import Array

Curve = Callable[[Array], Array]

NOISE_SEED = 0
INNER_RADIUS = 0.5


def xor() -> dict[str, Array]:
    """The four examples of exclusive or, which no linear model fits."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return {"x": x, "y": x[:, 0] ^ x[:, 1]}


def moons(n: int, noise: float) -> dict[str, Array]:
    """Two half circles of radius 1 that reach into each other."""
    return _two_curves(n, noise, lambda u: _polar(1, np.pi * u), lambda u: np.array([1, 0.5]) - _polar(1, np.pi * u))


def circles(n: int, noise: float) -> dict[str, Array]:
    """A circle of radius 1, and one of half of it inside."""
    return _two_curves(n, noise, lambda u: _polar(1, 2 * np.pi * u), lambda u: _polar(INNER_RADIUS, 2 * np.pi * u), closed=True)


def spirals(n: int, noise: float, turns: float) -> dict[str, Array]:
    """Two spirals around each other, evenly dense; the radius grows by 1 in a turn."""

    def arm(u: Array) -> Array:
        turned = turns * np.sqrt(u)
        return _polar(turned, 2 * np.pi * turned)

    return _two_curves(n, noise, arm, lambda u: -arm(u))


POINTS: Mapping[str, Callable[..., dict[str, Array]]] = {"moons": moons, "circles": circles, "spirals": spirals}


def _polar(radius: Array | float, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _two_curves(n: int, noise: float, first: Curve, second: Curve, closed: bool = False) -> dict[str, Array]:
    """n points evenly along the curves, half of them on each, moved by normal noise; the ends of a closed curve meet."""
    half = n // 2
    points = np.concatenate([first(np.linspace(0, 1, n - half, not closed)), second(np.linspace(0, 1, half, not closed))])
    moved = points + noise * np.random.default_rng(NOISE_SEED).standard_normal(points.shape)
    return {"x": moved, "y": np.repeat([0, 1], [n - half, half])}
