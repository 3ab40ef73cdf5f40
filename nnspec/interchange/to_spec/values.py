"""Values of the model: what is known when it is read, and what is computed for each example, with where the batch lies in it.

The language speaks of one example, so a value is a call without the batch, and for each axis of the model the axes of the call that it is
made of, in row-major order, `BATCH_AXIS` being the batch. A model may move the batch, or lay it together with other axes, and nothing of
that shows in the language; nor does an axis of length 1 that the call does not have, `()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnspec.array import Array
from nnspec.graph import BATCH, Dim, Shape, Size
from nnspec.graph.types import count, nested
from nnspec.interchange.from_onnx.known import dims
from nnspec.interchange.to_spec.calls import Call
from nnspec.record import dataclass

BATCH_AXIS = -1
Axis = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """Numbers that the file has or that follow from it, sizes of the data among them; `spread`: one number, repeated to a `shape`.

    `name` is that of an array that is trained, or, where it is `fixed`, of a state; `whole` is what was repeated to make these,
    `infinite` says of large negative numbers that they stand for minus infinity.
    """

    array: Array
    name: str = ""
    spread: bool = False
    shape: Shape = ()
    whole: Known | None = None
    fixed: bool = False
    infinite: bool = False

    @property
    def dims(self) -> Shape:
        """With the batch, as the model has it."""
        return self.shape if self.spread else self.array.shape

    @property
    def ints(self) -> tuple[Dim, ...]:
        return dims(self.array)

    @property
    def has_sizes(self) -> bool:
        return self.array.dtype == object and any(isinstance(v, Size) for v in self.array.flat)


@dataclass(frozen=True)
class Value:
    """What is computed: a call, and what each axis of the model is in it."""

    call: Call
    axes: tuple[Axis, ...]

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> Shape:
        """With the batch, as the model has it."""
        return tuple(count(self.sizes(i)) for i in range(self.rank))

    def sizes(self, axis: int) -> tuple[Dim, ...]:
        """What lies together in an axis of the model."""
        return tuple(BATCH if a == BATCH_AXIS else self.call.shape[a] for a in self.axes[axis])

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the call in the order of the model."""
        return tuple(a for axis in self.axes for a in axis if a != BATCH_AXIS)

    @property
    def batch(self) -> int | None:
        """The axis of the model that has the batch."""
        return next((i for i, axis in enumerate(self.axes) if BATCH_AXIS in axis), None)

    def arranged(self) -> Value:
        """The same with the axes of the call in the order of the model."""
        order = self.order
        place = {a: i for i, a in enumerate(order)} | {BATCH_AXIS: BATCH_AXIS}
        axes = tuple(tuple(place[a] for a in axis) for axis in self.axes)
        return Value(transposed(self.call, order), axes)

    def explicit(self) -> Value | None:
        """The same with one axis of the call for each of the model but the batch; None where the batch lies together with others."""
        me = self.arranged()
        if any(BATCH_AXIS in axis and len(axis) > 1 for axis in me.axes):
            return None
        axes = [axis for axis in me.axes if axis != (BATCH_AXIS,)]
        call = reshaped(me.call, tuple(count(me.call.shape[a] for a in axis) for axis in axes))
        numbers = iter(range(len(axes)))
        return Value(call, tuple(axis if axis == (BATCH_AXIS,) else (next(numbers),) for axis in me.axes))

    def with_call(self, call: Call) -> Value:
        return replace(self, call=call)


def of_example(call: Call) -> Value:
    """A value as the language has it: the batch in front."""
    axes = tuple((i,) for i in range(len(call.shape)))
    return Value(call, ((BATCH_AXIS,), *axes) if call.batched else axes)


def transposed(call: Call, order: Sequence[int]) -> Call:
    """The axes of a call in another order; two changes of order are one, or none."""
    order = tuple(order)
    if call.name == "transpose":
        call, order = call.inputs[0], tuple(call.settings["axes"][a] for a in order)
    if order == tuple(range(len(order))):
        return call
    return replace(_like(call, "transpose", tuple(call.shape[a] for a in order)), settings={"axes": order})


def reshaped(call: Call, shape: Shape) -> Call:
    """The elements of a call in another shape; two changes of shape are one, or none."""
    while call.name in ("reshape", "flatten"):
        call = call.inputs[0]
    if shape == call.shape:
        return call
    if call.name == "list":
        return replace(call, settings={"value": nested(np.reshape(call.value, shape).tolist())}, shape=shape)  # type: ignore[type-var]  # all are numbers
    if call.name == "[]" and (element := _element(call, shape)):
        return element
    if len(shape) == 1 and call.shape:
        return _like(call, "flatten", shape)
    return replace(_like(call, "reshape", shape), settings={"shape": shape})


def _element(call: Call, shape: Shape) -> Call | None:
    """`x[-1:]` or `x[2:3]` without the axis that has one element: `x[-1]`, `x[2]`."""
    indices = call.settings["indices"]
    if any(not isinstance(i, slice) for i in indices):
        return None
    for axis, at in enumerate(indices):
        first = at.start or 0
        alone = at.stop - first == 1 if isinstance(at.stop, int) and first >= 0 else first == -1 and at.stop is None
        if alone and (*call.shape[:axis], *call.shape[axis + 1 :]) == shape:
            return replace(call, settings={"indices": (*indices[:axis], first, *indices[axis + 1 :])}, shape=shape)
    return None


def _like(call: Call, name: str, shape: Shape) -> Call:
    return Call(name, (call,), shape=shape, dtype=call.dtype, batched=call.batched, place=call.place)


def reshape(value: Value, dims: Sequence[Dim]) -> Value | None:
    """A value in a shape of the model; None where the batch cannot be told from other sizes in it."""
    me = value.arranged()
    sizes = [BATCH if a == BATCH_AXIS else me.call.shape[a] for axis in me.axes for a in axis]
    at = next((i for i, d in enumerate(dims) if isinstance(d, Size) and "batch" in d.names), None)
    if (at is None) != (me.batch is None):
        return None
    axes: list[Axis] = []
    shape: list[Dim] = []
    for i, dim in enumerate(dims):
        parts = (dim,) if i != at else _around(dim, quotient(count(sizes[: sizes.index(BATCH)]), count(dims[:at])))
        if parts is None:
            return None
        axes.append(())
        for part in parts:
            if part == BATCH:
                axes[-1] += (BATCH_AXIS,)
            elif part != 1:
                axes[-1] += (len(shape),)
                shape.append(part)
    return Value(reshaped(me.call, tuple(shape)), tuple(axes)) if count(shape) == count(me.call.shape) else None


def _around(dim: Dim, before: Dim | None) -> tuple[Dim, Dim, Dim] | None:
    """A size that has the batch in it, as what comes before the batch in it, the batch, and what comes after."""
    after = None if before is None else quotient(dim, before * BATCH)
    return None if before is None or after is None else (before, BATCH, after)


def quotient(total: Dim, by: Dim) -> Dim | None:
    """One size over another, where that is a size."""
    if total == by:
        return 1
    if isinstance(total, int):
        return total // by if isinstance(by, int) and by and total % by == 0 else None
    try:
        return total // by
    except ValueError:  # of Size: it leaves a rest, or the name is not in it
        return None


def known(value: object) -> Known:
    return Known(np.asarray(value))
