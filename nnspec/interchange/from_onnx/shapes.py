"""Shapes and the movement of data: nothing here computes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from nnspec.graph import Dim, Mismatch, Size, Var
from nnspec.graph.types import Indivisible, broadcast, count, show
from nnspec.interchange.from_onnx.call import Call, Rule
from nnspec.interchange.from_onnx.moves import around, as_kind, as_value, between, counting, every, full, joined, rows, squeezed, unsqueezed
from nnspec.interchange.lengths import HELP, written_down
from nnspec.ops import pointwise as p
from nnspec.ops.arrange import concat, expand, flip, moved, reshape, transpose
from nnspec.ops.index import take

VERY_FAR = 1 << 31  # a slice that ends there ends at the end


def _reshape(c: Call, x: Var, _: Var | None = None) -> Var:
    wanted = list(c.dims("shape", 1) or ())
    if not c.attr("allowzero", 0):
        wanted = [x.type.shape[i] if d == 0 and i < x.type.rank else d for i, d in enumerate(wanted)]
    try:
        filled = [_rest(x, count(d for d in wanted if d != -1)) if d == -1 else d for d in wanted]
        return reshape(x, shape=tuple(filled))
    except (Mismatch, Indivisible) as error:
        why = written_down(x.type.shape, wanted)
        raise c.fault("E524", str(error), help=f"{why}; {HELP}" if why else "") from None


def _rest(x: Var, others: Dim) -> Dim:
    """What the one dimension is that is left to follow from the others."""
    total = count(x.type.shape)
    return 0 if others == 0 else total // others


def _flatten(c: Call, x: Var) -> Var:
    axis = c.attr("axis", 1)
    axis = axis + x.type.rank if axis < 0 else axis
    return reshape(x, shape=(count(x.type.shape[:axis]), count(x.type.shape[axis:])))


def _squeeze(c: Call, x: Var, _: Var | None = None) -> Var:
    axes = c.axes("axes", 1, x.type.rank)
    return squeezed(x, [i for i, d in enumerate(x.type.shape) if d == 1] if axes is None else axes)


def _unsqueeze(c: Call, x: Var, _: Var | None = None) -> Var:
    axes = c.ints("axes", 1) or ()
    return unsqueezed(x, [c.axis(a, x.type.rank + len(axes)) for a in axes])


def _transpose(c: Call, x: Var) -> Var:
    return transpose(x, axes=tuple(c.attr("perm", tuple(reversed(range(x.type.rank))))))


def _expand(c: Call, x: Var, _: Var) -> Var:
    wanted = c.dims("shape", 1) or ()
    shape = broadcast(x.type.shape, wanted)
    if shape is None:
        raise c.fault("E524", f"{show(x.type.shape)} does not broadcast to {show(wanted)}")
    return expand(x, shape=shape)


def _tile(c: Call, x: Var, _: Var) -> Var:
    repeats = c.dims("repeats", 1) or ()
    apart = [d for pair in zip((1,) * x.type.rank, x.type.shape, strict=True) for d in pair]
    laid = [d for pair in zip(repeats, x.type.shape, strict=True) for d in pair]
    shape = tuple(n * d for n, d in zip(repeats, x.type.shape, strict=True))
    return reshape(expand(reshape(x, shape=tuple(apart)), shape=tuple(laid)), shape=shape)


def _concat(c: Call, *xs: Var) -> Var:
    return concat(*xs, axis=c.axis_of(xs[0], 1))


def _split(c: Call, x: Var, _: Var | None = None) -> list[Var]:
    axis, parts = c.axis_of(x, 0), len(c.node.output)
    sizes = c.dims("split", 1)
    if sizes is None:
        length = x.type.shape[axis]
        if isinstance(length, Size):
            sizes = (length // parts,) * parts
        else:
            largest = -(-length // parts)
            sizes = tuple(max(0, min(largest, length - i * largest)) for i in range(parts))
    ends: list[Dim] = [0]
    for dim in sizes:
        ends.append(ends[-1] + dim)
    return [between(x, axis, start, stop) for start, stop in pairwise(ends)]


def _slice(c: Call, x: Var, *_: Var) -> Var:
    starts, ends = c.dims("starts", 1) or (), c.dims("ends", 2) or ()
    axes = c.axes("axes", 3, x.type.rank) or tuple(range(len(starts)))
    steps = c.ints("steps", 4) or (1,) * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        x = _sliced(c, x, axis, start, end, step)
    return x


def _sliced(c: Call, x: Var, axis: int, start: Dim, end: Dim, step: int) -> Var:
    length = x.type.shape[axis]
    if step < 0:
        if isinstance(length, int) and isinstance(start, int) and isinstance(end, int):
            return rows(x, np.arange(length)[slice(start, end if end >= -length else None, step)], axis)
        if start != -1 or not isinstance(end, int) or end > -VERY_FAR:
            raise c.fault("E523", f"a slice backwards needs to know the size `{length}`")
        return every(flip(x, axis=axis), axis, -step)
    first, last = _bound(start, length), _bound(end, length)
    if isinstance(first, int) and isinstance(last, int):
        last = max(first, last)
    return every(between(x, axis, first, last), axis, step)


def _bound(at: Dim, length: Dim) -> Dim:
    """One end of a slice, counted from the start and within the axis as far as that is known."""
    if isinstance(at, int) and at < 0:
        at = at + length
    if isinstance(at, int) and isinstance(length, int):
        return max(0, min(at, length))
    return length if isinstance(at, int) and at >= VERY_FAR else 0 if isinstance(at, int) and at <= -VERY_FAR else at


def _pad(c: Call, x: Var, *_: Var | None) -> Var:
    rank, mode = x.type.rank, c.attr("mode", "constant")
    pads = c.ints("pads", 1) or c.attr("paddings", ())
    axes = (c.axes("axes", 3, rank) if c.given(3) else None) or tuple(range(rank))
    value = c.inputs[2] if c.given(2) else c.graph.constant(c.attributes["value"], x.type.dtype) if c.attributes.get("value") else None
    value = None if value is not None and x.type.is_float and c.builder.is_zero(value) else value
    if not x.type.is_float and mode == "constant" and value is None:
        value = c.graph.constant(0, x.type.dtype)
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        x = around(x, axis, before, after, mode, value)
    return x


def _depth_to_space(c: Call, x: Var) -> Var:
    b, (n, channels, height, width) = c.attr("blocksize", 1), x.type.shape
    if c.attr("mode", "DCR") == "DCR":
        apart = transpose(reshape(x, shape=(n, b, b, channels // (b * b), height, width)), axes=(0, 3, 4, 1, 5, 2))
    else:
        apart = transpose(reshape(x, shape=(n, channels // (b * b), b, b, height, width)), axes=(0, 1, 4, 2, 5, 3))
    return reshape(apart, shape=(n, channels // (b * b), height * b, width * b))


def _space_to_depth(c: Call, x: Var) -> Var:
    b, (n, channels, height, width) = c.attr("blocksize", 1), x.type.shape
    order = (0, 3, 5, 1, 2, 4) if c.attr("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    apart = transpose(reshape(x, shape=(n, channels, height // b, b, width // b, b)), axes=order)
    return reshape(apart, shape=(n, channels * b * b, height // b, width // b))


def _across(x: Var) -> Var:
    """For each element of a matrix how far it is to the right of the diagonal."""
    height, width = x.type.shape[-2:]
    return counting(x.graph, width) - reshape(counting(x.graph, height), shape=(height, 1))


def _trilu(c: Call, x: Var, k: Var | None = None) -> Var:
    """The part above or below a diagonal, and zeros."""
    across = _across(x)
    diagonal = c.graph.constant(0, "int64") if k is None else reshape(k, shape=())
    kept = p.greater_equal(across, diagonal) if c.attr("upper", 1) else p.less_equal(across, diagonal)
    return p.where(kept, x, c.graph.constant(False if x.type.dtype == "bool" else 0, x.type.dtype))


# ---- shapes as values


def _shape(c: Call, x: Var) -> Var:
    parts = [reshape(as_value(c.graph, d), shape=(1,)) for d in x.type.shape[slice(c.attr("start", 0), c.attr("end", None))]]
    return joined(parts, 0) if parts else c.graph.constant((), "int64")


def _constant(c: Call) -> Var:
    if not c.attributes:
        raise c.fault("E524", "it has no value")
    name, value = next(iter(c.attributes.items()))
    if name.startswith(("sparse", "value_string")):
        raise c.fault("E522", f"a constant of the kind `{name}` is not computed with")
    values = np.asarray(value, {"value_float": "float32", "value_floats": "float32"}.get(name))
    return c.builder.constant(values, c.builder.dtype(values.dtype, c.node.output[0]), c.node.output[0])


def _constant_of_shape(c: Call, _: Var) -> Var:
    value = np.asarray(c.attr("value", np.zeros(1, "float32")))
    dtype = c.builder.dtype(value.dtype, c.node.output[0])
    return full(c.graph, value.reshape(-1)[0].item(), c.dims("input", 0) or (), dtype)


def _range(c: Call, start: Var, limit: Var, delta: Var) -> Var:
    ends: list[Any] = [c.known(i, name).reshape(-1)[0] for i, name in enumerate(("start", "limit", "delta"))]
    if isinstance(ends[1], Size) or isinstance(ends[0], Size):
        if ends[2] != 1:
            raise c.fault("E523", f"a range in steps of {ends[2]} needs to know `{ends[1]}`")
        return counting(c.graph, ends[1] - ends[0]) + start
    numbers = as_kind(counting(c.graph, max(0, int(np.ceil((ends[1] - ends[0]) / ends[2])))), start.type.dtype)
    return start + numbers * delta


def _eye_like(c: Call, x: Var) -> Var:
    dtype = c.builder.dtype(c.attributes["dtype"], "dtype") if "dtype" in c.attributes else x.type.dtype
    return as_kind(p.equal(_across(x), c.attr("k", 0)), dtype)


# ---- chosen by what is known


def _compress(c: Call, x: Var, _: Var) -> Var:
    chosen = np.flatnonzero(c.known(1, "condition"))
    if "axis" not in c.attributes:
        return rows(reshape(x, shape=(count(x.type.shape),)), chosen, 0)
    return rows(x, chosen, c.axis_of(x, 0))


def _reverse_sequence(c: Call, x: Var, lengths: Var) -> Var:
    """The first elements of each sequence from the last to the first; those behind its length stay."""
    batch_axis = c.attr("batch_axis", 1)
    if {batch_axis, c.attr("time_axis", 0)} != {0, 1}:
        raise c.fault("E524", "time and batch are its first two axes")
    turned = moved(x, batch_axis, 0)
    n, length = turned.type.shape[:2]
    at, until = counting(c.graph, length), reshape(lengths, shape=(n, 1))
    numbers = p.where(p.less(at, until), until - 1 - at, at)
    first = reshape(counting(c.graph, n) * as_value(c.graph, length), shape=(n, 1))
    found = take(reshape(turned, shape=(n * length, *turned.type.shape[2:])), numbers + first)
    return moved(found, 0, batch_axis)


RULES: dict[str, Rule] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
    "Shape": _shape,
    "Size": lambda c, x: as_value(c.graph, count(x.type.shape)),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "EyeLike": _eye_like,
    "Compress": _compress,
    "ReverseSequence": _reverse_sequence,
}
