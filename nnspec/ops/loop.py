"""The loop over a sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nnspec.graph import Op, Shape, Type
from nnspec.graph.loop import BoundLoop, Loop
from nnspec.graph.op import nowhere
from nnspec.graph.types import Dim, count
from nnspec.lazy import np


def order(length: int, reverse: bool) -> range:
    """The steps in the order they are taken."""
    return range(length - 1, -1, -1) if reverse else range(length)


def _scan(*inputs: Any, body: BoundLoop, carries: int, items: int, length: int, reverse: bool) -> Any:
    carried: Any = inputs[:carries]
    sequences, given = inputs[carries : carries + items], inputs[carries + items :]
    rows: list[Any] = [None] * length
    for t in order(length, reverse):
        carried, rows[t] = body.step(carried, [s[t] for s in sequences], given)
    yielded = [np.stack(values) for values in zip(*rows, strict=True)]
    whole = np.empty(sum(y.size for y in yielded), _kind(body))
    for y, (start, type) in zip(yielded, parts(body, length), strict=True):
        piece(whole, start, y.shape, type.dtype)[...] = y
    return whole


def parts(body: Loop | BoundLoop, length: Any) -> Iterator[tuple[Dim, Type]]:
    """Where in a loop's value each thing that the steps yield begins, and its type over all steps."""
    start: Dim = 0
    for type in body.types("out:"):
        yield start, Type(type.dtype, (length, *type.shape))
        start = start + length * count(type.shape)


def _kind(body: Loop | BoundLoop, **_: Any) -> str:
    """That of all that the steps yield; where kinds differ every number has the room of the widest."""
    kinds = {type.dtype for type in body.types("out:")}
    return kinds.pop() if len(kinds) == 1 else "float64"


def _scan_shape(*inputs: Type, body: Loop, length: Dim, **_: Any) -> Shape:
    total: Dim = 0
    for _start, type in parts(body, length):
        total = total + count(type.shape)
    return (total,)


def _scan_flops(out: Type, *inputs: Type, body: Loop, length: Dim, **_: Any) -> Dim:
    total: Dim = 0
    for n in body.body:
        if not n.op.is_source:
            total = total + n.op.work(n.type, tuple(body.body[i].type for i in n.inputs), n.attributes)
    return length * total


def _onnx_scan(o: Any, *inputs: str, body: Loop, carries: int, items: int, length: Dim, reverse: bool) -> str:
    return str(o.scan(inputs, body, carries, items, length, reverse))


scan = Op(
    "scan(xs: [*s], body, carries, items, length, reverse) -> [*r]",
    "A body repeated along the first axis of sequences [length, batch, ...], carrying values from step to step. The inputs are the carried"
    " values before the first step, the sequences, and what every step is given; the value holds all that the steps yield, one sequence"
    " [length, batch, ...] after another, each of which is read as a `part`.",
    kernel=_scan,
    onnx=_onnx_scan,
    shape=_scan_shape,
    dtype=_kind,
    variadic=True,
    flops=_scan_flops,
    why="its gradient is another scan, which `nnspec.autodiff` builds; its examples need a body",
)


def piece(xs: Any, start: Any, shape: tuple[int, ...], dtype: str, columns: bool = False) -> Any:
    """The array of a shape that begins somewhere in a vector; with `columns`, its last two axes are exchanged there."""
    size = math.prod(shape)
    numbers = xs[start : start + size].view(dtype)[:size]
    return numbers.reshape(*shape[:-2], shape[-1], shape[-2]).swapaxes(-1, -2) if columns else numbers.reshape(shape)


part = Op(
    "part(xs: [n], start, shape, dtype) -> [*r]",
    "One of the things that the steps of a `scan` yield, over all steps: the numbers from `start` on, in their shape.",
    kernel=piece,
    onnx=lambda o, xs, start, **_: o.yielded[xs][start],
    shape=lambda xs, start, shape, dtype: shape,
    view=True,
    meets=nowhere,
    why="its gradient goes into that of the whole `scan`, which `nnspec.autodiff` builds; its examples need one",
)
