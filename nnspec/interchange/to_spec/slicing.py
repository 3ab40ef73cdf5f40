"""Rules of operators that take some elements of a value: slices, steps over an axis, elements by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Dim, Size
from nnspec.graph.types import replaced
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.step import Read, Step, axis_setting, kept, rule
from nnspec.interchange.to_spec.values import Known, Value, reshaped

END = 2**31
WALKING = ("gru", "lstm", "rnn")
"""Layers that walk over a sequence, from its end where they are asked to."""


def part(step: Step, x: Call, axis: int, start: int, stop: Dim) -> Call:
    """A slice of one axis; those of several axes are one."""
    if start == 0 and stop == x.shape[axis]:
        return x
    whole = slice(None)
    stop_at = None if stop == x.shape[axis] else stop
    length = stop - start if isinstance(stop, int) or start else stop
    return indexed(step, x, {axis: slice(start or None, stop_at)}, replaced(x.shape, axis, length), whole)


def indexed(step: Step, x: Call, by: dict[int, Any], shape: tuple[Dim, ...], whole: slice = slice(None)) -> Call:
    """`x[:, 1:3]`; slices of a slice along other axes stand in the same brackets."""
    if x.name == "[]" and not any(isinstance(i, int) for i in x.settings["indices"]):
        before = dict(enumerate(x.settings["indices"]))
        if all(before.get(a, whole) == whole for a in by):
            return indexed(step, x.inputs[0], {a: i for a, i in before.items() if i != whole} | by, shape, whole)
    indices = tuple(by.get(a, whole) for a in range(max(by) + 1))
    return step.call("[]", x, shape=shape, indices=indices)


def padded_axis(step: Step, x: Call, axis: int, before: int, after: int) -> Call:
    if not before and not after:
        return x
    shape = replaced(x.shape, axis, x.shape[axis] + (before + after))
    return step.call("pad_axis", x, shape=shape, axis=axis, before=before, after=after)


@rule("Slice")
def _slice(step: Step, x: Read, *_: Read) -> Value:
    if isinstance(x, Known):
        return _first_rows(step, x)
    value = step.explicit()
    starts, ends = step.dims("starts", 1) or (), step.dims("ends", 2) or ()
    axes = step.axes(value.rank, 3) or tuple(range(len(starts)))
    steps = step.ints("steps", 4) or (1,) * len(starts)
    call = value.call
    for axis, first, end, by in zip(axes, starts, ends, steps, strict=True):
        start = _from_end(step, first, value.shape[axis])
        if _is_whole(value.shape[axis], start, end, by):
            continue
        [own] = step.example_axes(value, [axis])
        call = cut(step, call, own, start, end, by)
    return value.with_call(call)


def _from_end(step: Step, start: Dim, size: Dim) -> int:
    """Where a slice begins; `size - 1` is -1."""
    start = start if isinstance(start, int) else start - size
    if not isinstance(start, int):
        raise step.fault("where it begins depends on the sizes of the data")
    return start


def _is_whole(size: Dim, start: int, end: Dim, by: int) -> bool:
    return by == 1 and start == 0 and (end == size or (isinstance(end, int) and end >= (size if isinstance(size, int) else END)))


def cut(step: Step, x: Call, axis: int, start: int, end: Dim, by: int) -> Call:
    size = x.shape[axis]
    if by == -1 and start in (-1, END) and isinstance(end, int) and end <= -END:
        return turned(step, x, axis)
    if by != 1:
        return _every(step, x, axis, range(_fixed(step, size))[slice(start, end if isinstance(end, int) else None, by)])
    if isinstance(size, int) and isinstance(end, int):
        low, high, _ = slice(start, end).indices(size)
        if high <= low:
            raise step.fault("it takes nothing")
        return part(step, x, axis, low, high)
    if start < 0 and (end == size or (isinstance(end, int) and end >= END)):
        return indexed(step, x, {axis: slice(start, None)}, replaced(x.shape, axis, -start))
    if start >= 0:
        open_end = isinstance(end, int) and end >= END
        length = size - start if open_end else size - start + end if isinstance(end, int) and end < 0 else end - start
        return indexed(step, x, {axis: slice(start or None, None if open_end else end)}, replaced(x.shape, axis, length))
    raise step.fault("where it ends depends on the sizes of the data")


def _fixed(step: Step, size: Dim) -> int:
    if not isinstance(size, int):
        raise step.fault("steps over a size of the data have no form in the language")
    return size


def _every(step: Step, x: Call, axis: int, places: range) -> Call:
    """Every so manieth element: the first ones of rows of so many, the last row filled up with zeros."""
    by, number = places.step, len(places)
    if not number:
        raise step.fault("it takes nothing")
    size = _fixed(step, x.shape[axis])
    if by < 0:
        return _every(step, turned(step, x, axis), axis, range(size - 1 - places[0], size - places[-1], -by))
    end = min(places[0] + number * by, size)
    rows = padded_axis(step, part(step, x, axis, places[0], end), axis, 0, number * by - (end - places[0]))
    split = reshaped(rows, (*x.shape[:axis], number, by, *x.shape[axis + 1 :]))
    return indexed(step, split, {axis + 1: 0}, replaced(x.shape, axis, number))


def turned(step: Step, x: Call, axis: int = 0) -> Call:
    """From the last to the first; a layer that walks forward over what is turned walks from the end over what is not."""
    if axis == 0 and x.name == "reverse" and not x.settings:
        return x.inputs[0]
    if axis == 0 and x.name in WALKING and "reverse" not in x.settings and x.inputs[0].name == "reverse" and not x.inputs[0].settings:
        return replace(x, inputs=x.inputs[0].inputs, settings={**x.settings, "reverse": True})
    return step.call("reverse", x, shape=x.shape, **axis_setting(axis, 0))


def _first_rows(step: Step, table: Known) -> Value:
    """As many of the first elements of a table as there are steps in the data."""
    starts, ends = step.ints("starts", 1) or (), step.dims("ends", 2) or ()
    axes = step.axes(table.array.ndim, 3) or tuple(range(len(starts)))
    if any(starts) or any(s != 1 for s in step.ints("steps", 4) or ()):
        raise step.fault("where it begins depends on the sizes of the data")
    if positions := _counted(step, table.array, axes, ends):
        return positions
    made = step.made(table)
    call = made.call
    for axis, end in zip(axes, ends, strict=True):
        if call.name == "list" and isinstance(end, Size):
            raise step.fault(f"numbers it has for `{end}` steps of the data have no form in the language")
        if not _is_whole(call.shape[axis], 0, end, 1):
            call = indexed(step, call, {axis: slice(None, end)}, replaced(call.shape, axis, end))
    return made.with_call(call)


def _counted(step: Step, table: Array, axes: Sequence[int], ends: Sequence[Dim]) -> Value | None:
    """The numbers 0, 1, 2, ... of the steps of the data, as the first ones of a table that counts to the longest."""
    *ones, longest = table.shape
    port = next((p for p in step.ports if ends[-1] in p.shape), None)
    if axes != (len(ones),) or set(ones) - {1} or not port or not np.array_equal(table.reshape(-1), np.arange(longest)):
        return None
    return Value(step.counting(port, ends[-1]), (*((),) * len(ones), (0,)))


def element(step: Step, value: Value, indices: Array) -> Value:
    """Elements of data by numbers that are known: one, which takes its axis away, or a run."""
    axis = step.attr("axis", 0) % value.rank
    explicit = value.explicit() or value.arranged()
    if len(explicit.axes[axis]) != 1:
        raise step.mixed()
    [own] = step.example_axes(explicit, [axis])
    call, numbers = explicit.call, [int(i) for i in indices.reshape(-1)]
    left = kept([a for i, a in enumerate(explicit.axes) if i != axis])
    if indices.ndim == 0:
        shape = (*call.shape[:own], *call.shape[own + 1 :])
        return Value(indexed(step, call, {own: numbers[0]}, shape), left)
    if indices.ndim == 1 and numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[0] >= 0:
        return explicit.with_call(part(step, call, own, numbers[0], numbers[-1] + 1))
    if indices.ndim == 1 and own == 0:
        rows = step.constant(Known(indices))
        return explicit.with_call(step.call("take", call, rows, shape=(len(numbers), *call.shape[1:])))
    raise step.fault("elements that do not follow each other have no form in the language")
