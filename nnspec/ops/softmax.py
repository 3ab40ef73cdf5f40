"""The kernels of the softmax family, for so many rows at a time that they stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, prod
from typing import Any

from nnspec.blas import Call, product
from nnspec.lazy import np
from nnspec.ops.aside import aside, aside_like
from nnspec.ops.columns import in_turn
from nnspec.ops.dense import ones
from nnspec.ops.totals import Axes, sum_into

PART = 1 << 17
"""Numbers of a part."""
FEW = 32
"""Fewer classes than this are better reduced across rows than along them."""
SAFE = 30.0
"""Where no number is larger, and none of a row as small as its negative, what is small beside the others of its row has all its digits."""


def softmax_into(out: Any, x: Any, axes: Axes) -> Call:
    return in_turn([_softmax(*part) for part in _parts(out, x, axes)])


def log_softmax_into(out: Any, x: Any, axes: Axes) -> Call:
    if x.size and axes == (x.ndim - 1,) and x.shape[-1] < FEW:
        return _log_softmax_of_columns(out.reshape(-1, x.shape[-1]).T, x.reshape(-1, x.shape[-1]).T)
    return in_turn([_log_softmax(*part) for part in _parts(out, x, axes)])


def _parts(out: Any, x: Any, axes: Axes) -> Iterator[tuple[Any, Any, Axes]]:
    """Parts along what stands before the axes, and these in them."""
    if not x.size:
        return
    if not (out.flags.c_contiguous and x.flags.c_contiguous):
        yield out, x, axes
        return
    ahead = min(axes)
    outs, xs = (a.reshape(-1, *a.shape[ahead:]) for a in (out, x))
    most = max(1, PART // prod(xs.shape[1:]))
    for start in range(0, len(xs), most):
        yield outs[start : start + most], xs[start : start + most], tuple(a - ahead + 1 for a in axes)


def _row(x: Any, axes: Axes) -> Any:
    """Memory for one number a row: x with the length 1 along axes."""
    return np.empty([1 if i in axes else n for i, n in enumerate(x.shape)], x.dtype)


def _largest(x: Any, axes: Axes, row: Any) -> Call:
    """The largest of each row; along the last axis by its position, which NumPy finds several times as fast."""
    if axes != (x.ndim - 1,) or not x.flags.c_contiguous:
        return lambda: np.maximum.reduce(x, axes, out=row, keepdims=True)
    numbers, rows = x.reshape(-1), x.reshape(-1, x.shape[-1])
    starts, at = np.arange(0, x.size, x.shape[-1]), np.empty(len(rows), np.intp)

    def run() -> None:
        rows.argmax(1, at)
        np.add(at, starts, at)
        numbers.take(at, out=row.reshape(-1), mode="clip")

    return run


def _softmax(out: Any, x: Any, axes: Axes) -> Call:
    """Where the exponentials can be taken as they are, nobody looks for the largest of each row: that takes as long as all the rest."""
    row = _row(x, axes)
    largest, total, least = _largest(x, axes, row), sum_into(row, out, axes, True), exp(-SAFE)

    def run() -> None:
        safe = np.maximum.reduce(x, None) <= SAFE
        if safe:
            np.exp(x, out)
            total()
        if not safe or not np.minimum.reduce(row, None) >= least:
            largest()
            np.exp(np.subtract(x, row, out), out)
            total()
        np.divide(out, row, out)

    return run


def _log_softmax(out: Any, x: Any, axes: Axes) -> Call:
    row, e = _row(x, axes), aside_like(out)
    largest, total = _largest(x, axes, row), sum_into(row, e, axes, True)

    def run() -> None:
        largest()
        np.exp(np.subtract(x, row, out), e)
        total()
        np.subtract(out, np.log(row, row), out)

    return run


def _log_softmax_of_columns(out: Any, x: Any) -> Call:
    """With few classes, a class a row: NumPy is slow at reducing short rows."""
    z, e, row = aside(x.shape, x.dtype, key="z"), aside(x.shape, x.dtype, key="e"), np.empty(x.shape[1], x.dtype)
    largest: Any = np.maximum.reduce
    total = product(ones(len(x), x.dtype), e, row)

    def run() -> None:
        np.copyto(z, x)
        largest(z, 0, None, row)
        np.subtract(z, row, z)
        np.exp(z, e)
        total()
        np.subtract(z, np.log(row, row), out)

    return run
