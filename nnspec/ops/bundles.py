"""Convolution in groups of few channels, several at a time as one group with zeros in between: products of narrow matrices take longer than
those, and so does laying out windows of few numbers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from nnspec.blas import Call
from nnspec.lazy import np
from nnspec.ops.windows import Numbers

WIDE = 16
"""Channels or units of a bundle."""


def size(weights: Numbers, groups: int) -> int:
    """How many groups of weights [u, d, *kernel] are computed as one."""
    widest = max(weights[0] // groups, weights[1])
    return max(n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * widest <= WIDE))


class Bundle:
    """Weights [u, d, *kernel] as [u, groups of a bundle * d, *kernel]; what lies between the groups stays zero."""

    def __init__(self, w: Any, groups: int) -> None:
        together = size(w.shape, groups)
        units, channels, *kernel = w.shape
        self.groups = groups // together
        laid = np.zeros((self.groups, together, units // groups, together, channels, *kernel), w.dtype)
        self.weights = laid.reshape(units, together * channels, *kernel)
        self.own = np.einsum("bgugd...->bgud...", laid)
        self.of = w.reshape(self.own.shape)

    def load(self) -> Call:
        return partial(np.copyto, self.own, self.of)

    def store(self) -> Call:
        return partial(np.copyto, self.of, self.own)
