"""Arrays as matrices, by how they lie in memory: long inner loops are what NumPy is fast at."""

from __future__ import annotations

from functools import cache
from typing import Any

from nnspec.lazy import np

# Shorter rows spend their time on the way from one to the next.
LONG = 1024
# So few numbers are computed sooner than NumPy has found out how to lay one row over several.
FEW = 4096


def memory_order(x: Any) -> tuple[int, ...]:
    """The axes from the slowest to the fastest in memory; axes of length 1 stay where they are."""
    strides = [abs(s) for s in x.strides]
    for axis in reversed(range(x.ndim)):
        if x.shape[axis] == 1:
            strides[axis] = strides[axis + 1] * x.shape[axis + 1] if axis + 1 < x.ndim else x.itemsize
    return tuple(sorted(range(x.ndim), key=lambda axis: -strides[axis]))


def in_memory_order(x: Any) -> Any | None:
    """An array with its axes as they lie in memory, if it fills a stretch of it."""
    laid = x.transpose(memory_order(x))
    return laid if laid.flags.c_contiguous else None


def divisor(number: int, least: int) -> int:
    """The smallest divisor that is large enough, or the number itself."""
    return next((d for d in range(least, min(number, 8 * least) + 1) if number % d == 0), number)


def in_rows(*arrays: Any) -> list[Any] | None:
    """Arrays that lie alike in memory as matrices [m, n] with long rows, or as one vector."""
    laid = [in_memory_order(x) for x in arrays]
    if any(x is None for x in laid) or len({(memory_order(x), x.shape) for x in arrays}) > 1:
        return None
    size = arrays[0].size
    width = divisor(size, LONG) if size > FEW else max(1, size)
    return [x.reshape(-1) if width == size else x.reshape(-1, width) for x in laid if x is not None]


@cache
def ones(length: int, dtype: Any) -> Any:
    array = np.ones(length, dtype)
    array.flags.writeable = False
    return array
