"""Scratch memory of prepared operations. Those that never run at the same time can share it, and then find it in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

from nnspec.lazy import np
from nnspec.ops.dense import memory_order

_pool: ContextVar[dict[object, Any] | None] = ContextVar("pool", default=None)


@contextmanager
def shared() -> Iterator[None]:
    """What is prepared inside runs in turn, and has its scratch memory in common; with what is around, where that does, too."""
    around = _pool.get()
    token = _pool.set({} if around is None else around)
    try:
        yield
    finally:
        _pool.reset(token)


def aside(shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None, key: object = 0) -> Any:
    """An array for what nobody reads later, its axes in memory in this order, or as they come; of one key there is one at a time."""
    order = range(len(shape)) if order is None else order
    size, pool = prod(shape) * np.dtype(dtype).itemsize, _pool.get()
    memory = None if pool is None else pool.get(key)
    if memory is None or len(memory) < size:
        memory = np.empty(size, np.uint8)
        if pool is not None:
            pool[key] = memory
    laid = np.ndarray([shape[axis] for axis in order], dtype, memory)
    return laid.transpose([order.index(axis) for axis in range(len(shape))])


def aside_channels_last(shape: Sequence[int], dtype: Any, key: object) -> Any:
    """[n, c, *size] whose channels come last in memory."""
    return aside(shape, dtype, (0, *range(2, len(shape)), 1), key)


def aside_like(x: Any, dtype: Any = None, key: object = 0) -> Any:
    """One that lies as x does."""
    return aside(x.shape, x.dtype if dtype is None else dtype, memory_order(x), key)
