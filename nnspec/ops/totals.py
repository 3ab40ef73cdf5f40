"""Sums of many numbers, in stages: one after the other, each would be rounded to what the sum so far can hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isqrt, prod
from typing import Any

from nnspec.blas import product
from nnspec.lazy import np
from nnspec.ops.dense import in_memory_order, memory_order, ones

Axes = tuple[int, ...]
MANY, PART = (1 << 13, 1 << 16), (64, 1024)
"""Numbers from which on sums of sums take no longer, and how many are summed first or last at least: of columns, and of rows."""
MOST = 1 << 11
"""Sums of parts that are added up."""
FEW = (16, 4)
"""So few numbers of a sum are added sooner one after the other, each for all sums; and so few where they are neighbours in memory."""


def exactly(mean_or_sum: Any, x: Any, axes: Axes, keep: bool) -> Any:
    """NumPy's sum or mean, each float added to one of float64."""
    accurate = np.float64 if x.dtype.kind == "f" else None
    return np.asarray(mean_or_sum(x, axis=axes, keepdims=keep, dtype=accurate), x.dtype if accurate else None)


def sum_into(out: Any, x: Any, axes: Axes, keep: bool) -> Callable[[], Any]:
    factors = sums_as_product(x, axes)
    if factors and out.flags.c_contiguous:
        # A product with ones: NumPy's own sum takes up to five times as long.
        return _total(*factors, out.reshape(-1))
    apart = _apart(x, axes)
    number, distant = (prod(x.shape[a] for a in some) for some in (axes, apart))
    if x.size and x.dtype.kind == "f":
        sums = out.squeeze(axes) if keep else out
        if 1 < number <= FEW[0] and number <= FEW[1] * distant:
            return _one_by_one(sums, np.moveaxis(x, axes, range(len(axes))), len(axes))
        if distant >= MANY[0]:
            return _in_stages(sums, x, axes, max(apart, key=lambda a: x.shape[a]))
    return partial(np.add.reduce, x, axes, None, out, keep)


def _one_by_one(out: Any, x: Any, axes: int) -> Callable[[], Any]:
    """The sum over the first axes of x."""
    first, second, *others = (x[(*place, ...)] for place in np.ndindex(*x.shape[:axes]))

    def run() -> None:
        np.add(first, second, out)
        for other in others:
            np.add(out, other, out)

    return run


def sums_as_product(x: Any, axes: Axes) -> tuple[Any, Any] | None:
    """Two factors whose product is the sum over the axes, where they are the first or the last in memory and what is left has its order."""
    laid = in_memory_order(x)
    if laid is None or x.dtype.kind != "f" or not x.size:
        return None
    order = [a for a in memory_order(x) if x.shape[a] != 1]
    summed = [a for a in order if a in axes]
    left = [a for a in order if a not in axes]
    if not summed or left != sorted(left):
        return None
    length = prod(x.shape[a] for a in summed)
    if order[: len(summed)] == summed:
        return ones(length, x.dtype), laid.reshape(length, -1)
    if order[len(left) :] == summed:
        return laid.reshape(-1, length), ones(length, x.dtype)
    return None


def _total(a: Any, b: Any, out: Any) -> Callable[[], Any]:
    """a @ b, one of them ones; where they are many in two products, as of a sum of sums little is rounded away (Higham 2002, 4.2)."""
    length, rows = len(b), a.ndim == 2
    if length < MANY[rows]:
        return product(a, b, out)
    return _of_rows(a, out) if rows else _of_columns(b, out)


def _of_columns(b: Any, out: Any) -> Callable[[], Any]:
    """The numbers of a column that are left over are summed with the sums of the others."""
    part = max(PART[0], len(b) // MOST)
    several, rest = divmod(len(b), part)
    sums = np.empty((part + rest, out.size), out.dtype)
    first = product(ones(several, out.dtype), b[: several * part].reshape(several, -1), sums[:part].reshape(-1))
    return _after(first, sums[part:], b[several * part :], product(ones(len(sums), out.dtype), sums, out))


def _of_rows(a: Any, out: Any) -> Callable[[], Any]:
    part = max(PART[1], a.shape[1] // MOST)
    several, rest = divmod(a.shape[1], part)
    sums = np.empty((several + rest, len(a)), out.dtype)
    parts = a[:, : several * part].reshape(len(a), several, part)
    first = partial(np.matmul, parts, ones(part, out.dtype), sums[:several].T)
    return _after(first, sums[several:], a[:, several * part :].T, product(ones(len(sums), out.dtype), sums, out))


def _after(first: Callable[[], Any], to: Any, rest: Any, last: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        first()
        np.copyto(to, rest)
        last()

    return run


def _apart(x: Any, axes: Axes) -> Axes:
    """The axes whose numbers are not neighbours in memory: NumPy adds them one by one, and neighbours in pairs."""
    nearest = min((abs(s) for s in x.strides if s), default=0)
    return tuple(a for a in axes if abs(x.strides[a]) != nearest or not nearest)


def _in_stages(out: Any, x: Any, axes: Axes, longest: int) -> Callable[[], Any]:
    """NumPy's own sum, of parts of the longest axis first."""
    y, others = np.moveaxis(x, longest, 0), [a + (a < longest) for a in axes if a != longest]
    part = max(1, isqrt(total := prod(x.shape[a] for a in axes)) * len(y) // total)
    several, rest = divmod(len(y), part)
    parts, left = y[: several * part].reshape(several, part, *y.shape[1:]), y[several * part :]
    sums = np.empty((several + (rest > 0), *out.shape), out.dtype)
    add: Any = np.add.reduce

    def run() -> None:
        add(parts, (1, *(a + 1 for a in others)), None, sums[:several])
        if rest:
            add(left, (0, *others), None, sums[several])
        add(sums, 0, None, out)

    return run
