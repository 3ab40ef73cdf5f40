"""Elementwise operations with a row that is laid over many, such as a bias: in long rows, because NumPy is slow from row to row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.ops.dense import LONG, divisor, in_memory_order, memory_order
from nnspec.record import dataclass

WORTH_IT = 1 << 14
"""Elements of an output for which it pays to repeat a row first."""


@dataclass(frozen=True)
class LongRows:
    """An operation over [m, n] with long rows; the copies that fill repeated rows come first."""

    out: Array
    inputs: list[Array]
    copies: list[Call]


def in_long_rows(out: Array, inputs: Sequence[Array]) -> LongRows | None:
    """The same operation with its short rows repeated; None where it has none, or its inputs lie otherwise."""
    laid = in_memory_order(out) if out.size >= WORTH_IT else None
    if laid is None:
        return None
    order = memory_order(out)
    views = [np.broadcast_to(x, out.shape).transpose(order) for x in inputs]
    rows = [v for v in views if v.strides != laid.strides and any(v.strides)]
    first = min((_first_varying(v) for v in rows), default=0)
    width, above = prod(laid.shape[first:]), prod(laid.shape[:first])
    if not rows or width >= LONG or above == 1:
        return None
    times = divisor(above, -(-LONG // width))
    copies: list[Call] = []
    return LongRows(laid.reshape(-1, times * width), [_long(v, laid, first, times, copies) for v in views], copies)


def _first_varying(view: Array) -> int:
    return next(i for i, s in enumerate(view.strides) if s)


def _long(view: Array, like: Array, first: int, times: int, copies: list[Call]) -> Array:
    """One input as a matrix of long rows, or as one such row."""
    width = prod(like.shape[first:])
    if not any(view.strides):
        return np.asarray(view[(0,) * view.ndim + (...,)])
    if view.strides == like.strides:
        return view.reshape(-1, times * width)
    row = np.empty((times, *like.shape[first:]), view.dtype)
    copies.append(partial(np.copyto, row, view[(0,) * first]))
    return row.reshape(-1)
