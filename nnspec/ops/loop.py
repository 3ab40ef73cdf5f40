"""The loop over a sequence."""

from __future__ import annotations

from typing import Any

from nnspec.graph import Op, Shape, Type
from nnspec.graph.loop import BoundLoop, Loop
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
        carried, out = body.step(carried, [s[t] for s in sequences], given)
        rows[t] = np.concatenate([o.reshape(len(o), -1) for o in out], axis=-1)
    return np.stack(rows)


def widths(body: Loop) -> list[Dim]:
    """How many numbers of each output a step yields for an example."""
    return [count(shape[1:]) for shape in body.shapes("out:")]


def _scan_shape(*inputs: Type, body: Loop, carries: int, length: Dim, **_: Any) -> Shape:
    width: Dim = 0
    for each in widths(body):
        width = width + each
    return (length, body.shapes("out:")[0][0], width)


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
    " values before the first step, the sequences, and what every step is given; the value is what all steps yield, side by side"
    " along the last axis, [length, batch, n].",
    kernel=_scan,
    onnx=_onnx_scan,
    shape=_scan_shape,
    variadic=True,
    flops=_scan_flops,
    why="its gradient is another scan, which `nnspec.autodiff` builds; its examples need a body",
)
