"""Elements by their number: every way of gathering is one row of a flat array, every way of scattering is its way back."""

from __future__ import annotations

from nnspec.graph import Dim, Var
from nnspec.graph.types import count
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import (
    aligned,
    as_kind,
    as_value,
    between,
    counting,
    elements,
    flat,
    from_start,
    full,
    gathered,
    number_of,
)
from nnspec.ops import pointwise as p
from nnspec.ops.arrange import expand, moved, reshape
from nnspec.ops.index import scatter, take


def _counted(c: Call, i: Var, length: Dim) -> Var:
    """Numbers of elements, the negative ones counted from the end; where they are known there is nothing to compute."""
    i = as_kind(i, "int64")
    known = c.builder.known(i)
    if known is None or known.dtype == object:
        return from_start(i, length)
    if (known >= 0).all():
        return i
    return c.builder.constant(known % length, "int64") if isinstance(length, int) else from_start(i, length)


def _gather(c: Call, x: Var, i: Var) -> Var:
    axis = c.axis_of(x, 0)
    numbers = _counted(c, i, x.type.shape[axis])
    known = c.builder.known(numbers)
    if known is not None and known.ndim == 0 and known.dtype != object:
        one = between(x, axis, int(known), int(known) + 1)
        return reshape(one, shape=(*x.type.shape[:axis], *x.type.shape[axis + 1 :]))
    return gathered(x, numbers, axis)


def _gather_elements(c: Call, x: Var, i: Var) -> Var:
    axis = c.axis_of(x, 0)
    return elements(x, _counted(c, i, x.type.shape[axis]), axis)


def _scatter_elements(c: Call, x: Var, i: Var, v: Var) -> Var:
    axis = c.axis_of(x, 0)
    numbers = flat(number_of(_counted(c, i, x.type.shape[axis]), x.type.shape, axis))
    return reshape(scatter(flat(x), numbers, flat(v), how=_how(c)), shape=x.type.shape)


def _tensor_scatter(c: Call, cache: Var, update: Var, first: Var | None = None) -> Var:
    """New elements of each example from its own place on, round about where they reach the end and the cache is circular."""
    axis, rank = c.axis_of(cache, -2), cache.type.rank
    at = aligned(counting(c.graph, update.type.shape[axis]), axis, rank)
    at = at if first is None else at + aligned(first, 0, rank)
    at = p.mod(at, as_value(c.graph, cache.type.shape[axis])) if c.attr("mode", "linear") == "circular" else at
    numbers = number_of(expand(at, shape=update.type.shape), cache.type.shape, axis)
    return reshape(scatter(flat(cache), flat(numbers), flat(update), how="set"), shape=cache.type.shape)


def _how(c: Call) -> str:
    how = c.attr("reduction", "none")
    return "set" if how == "none" else str(how)


def _places(c: Call, i: Var, shape: tuple[Dim, ...], leading: int) -> Var:
    """The number of the row that each vector of indices means; the first axes are each example's own."""
    (depth,), total = c.fixed(i.type.shape[-1:]), None
    for axis in range(depth):
        column = reshape(between(i, i.type.rank - 1, axis, axis + 1), shape=i.type.shape[:-1])
        part = _counted(c, column, shape[leading + axis]) * as_value(c.graph, count(shape[leading + axis + 1 : leading + depth]))
        total = part if total is None else total + part
    total = full(c.graph, 0, i.type.shape[:-1], "int64") if total is None else total
    for axis in range(leading):
        along = counting(c.graph, shape[axis]) * as_value(c.graph, count(shape[axis + 1 : leading + depth]))
        total = total + reshape(along, shape=(shape[axis], *(1,) * (i.type.rank - 2 - axis)))
    return total


def _gather_nd(c: Call, x: Var, i: Var) -> Var:
    leading, depth = c.attr("batch_dims", 0), c.fixed(i.type.shape[-1:])[0]
    inner = x.type.shape[leading + depth :]
    table = reshape(x, shape=(count(x.type.shape[: leading + depth]), *inner))
    return take(table, _places(c, i, x.type.shape, leading))


def _scatter_nd(c: Call, x: Var, i: Var, v: Var) -> Var:
    (depth,) = c.fixed(i.type.shape[-1:])
    inner = x.type.shape[depth:]
    table = reshape(x, shape=(count(x.type.shape[:depth]), *inner))
    return reshape(scatter(table, _places(c, i, x.type.shape, 0), v, how=_how(c)), shape=x.type.shape)


def _one_hot(c: Call, i: Var, _: Var, values: Var) -> Var:
    """A number that is none of the classes is nowhere."""
    (depth,) = c.ints("depth", 1) or (0,)
    classes = counting(c.graph, depth)
    numbers = from_start(as_kind(i, "int64"), depth)
    hot = p.equal(reshape(numbers, shape=(*i.type.shape, 1)), classes)
    off, on = (reshape(between(values, 0, n, n + 1), shape=()) for n in (0, 1))
    axis = c.attr("axis", -1)
    return moved(p.where(hot, on, off), i.type.rank, c.axis(axis, i.type.rank + 1))


RULES: dict[str, Rule] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "OneHot": _one_hot,
    "TensorScatter": _tensor_scatter,
}
