"""Graphs that nodes run: Scan as `scan`, its body calls on stand-ins for the values of a step; If and Loop where all is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnx

from nnspec.diagnostics import Fault
from nnspec.graph import BATCH, Shape
from nnspec.graph.types import count, show
from nnspec.interchange.to_spec.calls import WRITTEN_OUT, Call, Loop, number, ordered
from nnspec.interchange.to_spec.slicing import indexed, part, turned
from nnspec.interchange.to_spec.statements import layers_in
from nnspec.interchange.to_spec.step import Read, Step, nested, plain
from nnspec.interchange.to_spec.values import BATCH_AXIS, Axis, Known, Value, known, reshaped, transposed
from nnspec.record import dataclass

MOST_STEPS = 64
Inside = Callable[[onnx.GraphProto, Mapping[str, Read]], list[Read]]
"""Gives the outputs of a graph within a node, whose inputs are these."""


@dataclass(frozen=True)
class Carry:
    """A value carried through the steps: its start, and its stand-in in the body."""

    start: Call
    at_step: Value


def scanned(step: Step, inside: Inside) -> list[Value]:
    """The values carried after the last step, and what every step yields."""
    body, items = step.attr("body"), step.attr("num_scan_inputs")
    carrying = len(step.inputs) - items
    carries = [_carry(step, step.inputs[i], i) for i in range(carrying)]
    sequence, item, elements = _sequence(step, items)
    given = [*(c.at_step for c in carries), *elements]
    found = [_explicit(step, v) for v in inside(body, dict(zip((i.name for i in body.input), given, strict=True)))]
    after, rows = found[:carrying], found[carrying:]
    if any(v.axes != c.at_step.axes for v, c in zip(after, carries, strict=True)):
        raise step.fault("what it carries does not keep its axes")
    results = list(dict.fromkeys([*(v.call for v in after), *(v.call for v in rows)]))
    if len(results) < carrying + len({v.call for v in rows} - {v.call for v in after}):
        raise step.fault("two of the values that it carries are always the same")
    more = results[carrying:]  # what is yielded and not carried is carried without being read
    starts = [*(c.start for c in carries), *(_nothing(step, r) for r in more)]
    stand_ins = [*(c.at_step.call for c in carries), *(_stand_in(step, r.shape, r.dtype) for r in more)]
    loop, around = _loop(item, stand_ins, results)
    scan = replace(step.call("scan", sequence, *starts, *around, shape=()), loop=loop, parts=tuple(layers_in(loop)))
    every = [step.call("steps", scan, shape=(sequence.shape[0], *r.shape), number=i) for i, r in enumerate(results)]
    last = [v.with_call(indexed(step, every[i], {0: -1}, v.call.shape)) for i, v in enumerate(after)]
    return [*last, *(_over_steps(step, every[results.index(v.call)], v, i) for i, v in enumerate(rows))]


# ---- what goes in


def _carry(step: Step, start: Read | None, at: int) -> Carry:
    """A start of each example; one that is the same for all has an axis of length 1, or of any length, where the batch belongs."""
    if isinstance(start, Known):
        value = _constant_start(step, start, at)
    else:
        value = step.value(at)
        if value.batch is None and () in value.axes:
            alone = value.axes.index(())
            value = replace(value, axes=(*value.axes[:alone], (BATCH_AXIS,), *value.axes[alone + 1 :]))
        value = _explicit(step, value)
    if value.batch is None:
        raise _of_no_example(step, at)
    return Carry(value.call, value.with_call(_stand_in(step, value.call.shape, value.call.dtype)))


def _of_no_example(step: Step, at: int) -> Fault:
    return step.fault(f"the start of what it carries, its input {at + 1}, is not of one example")


def _constant_start(step: Step, start: Known, at: int) -> Value:
    dims = start.dims
    if not dims or dims[0] not in (1, BATCH):
        raise _of_no_example(step, at)
    shape = tuple(dims[1:])
    axes: tuple[Axis, ...] = ((BATCH_AXIS,), *((i,) for i in range(len(shape))))
    if start.spread and isinstance(value := plain(start.array[()]), int):  # a truth among them
        return Value(_spread(step, value, shape), axes)
    if not np.any(start.array):
        return Value(_zeros(step, shape), axes)
    if not start.spread or not shape:
        return Value(step.constant(start, shape), axes)
    return Value(replace(step.call("expand", step.constant(start, ()), shape=shape), settings={"shape": shape}), axes)


def _stand_in(step: Step, shape: Shape, dtype: str = "float") -> Call:
    return Call("input", shape=shape, dtype=dtype, place=step.place)


def _sequence(step: Step, items: int) -> tuple[Call, Call, list[Value]]:
    """What is walked, its steps along the first axis; its element in a step; and that of each sequence: several lie side by side."""
    first = len(step.inputs) - items
    values = [_from_front(step, first + i, i) for i in range(items)]
    if len(values) == 1:
        [(sequence, axes)] = values
        item = _stand_in(step, sequence.shape[1:], sequence.dtype)
        return sequence, item, [Value(item, axes)]
    length = values[0][0].shape[0]
    flat = [reshaped(call, (length, count(call.shape[1:]))) for call, _ in values]
    widths = [call.shape[1] for call in flat]
    if any(not isinstance(w, int) for w in widths):
        raise step.fault("the elements of its sequences have sizes of the data")
    ends = np.cumsum([0, *widths]).tolist()
    kinds = {call.dtype for call in flat}
    kind = kinds.pop() if len(kinds) == 1 else "float" if "float" in kinds else "int"
    whole = step.call("concat", *flat, shape=(length, ends[-1]), dtype=kind, axis=-1)
    at_step = _stand_in(step, (ends[-1],), kind)
    pieces = [_as_it_was(step, part(step, at_step, 0, a, b), call) for (a, b), call in zip(pairwise(ends), flat, strict=True)]
    return whole, at_step, [Value(reshaped(p, call.shape[1:]), axes) for p, (call, axes) in zip(pieces, values, strict=True)]


def _as_it_was(step: Step, piece: Call, before: Call) -> Call:
    """A truth that lay among numbers as 0 or 1."""
    return step.call("!=", piece, number(0), shape=piece.shape, dtype="bool") if before.dtype == "bool" != piece.dtype else piece


def _from_front(step: Step, at: int, number: int) -> tuple[Call, tuple[Axis, ...]]:
    """A sequence with its steps in front, as they are walked, and the axes that its elements have in the model."""
    value = step.explicit(at)
    axis = step.attr("scan_input_axes", (0,) * (number + 1))[number] % value.rank
    [own] = step.example_axes(value, [axis])
    rest = [a for a in range(len(value.call.shape)) if a != own]
    call = transposed(value.call, (own, *rest))
    place = {a: i for i, a in enumerate(rest)} | {BATCH_AXIS: BATCH_AXIS}
    axes = tuple(tuple(place[a] for a in axis_) for i, axis_ in enumerate(value.axes) if i != axis)
    if step.attr("scan_input_directions", (0,) * (number + 1))[number]:
        call = turned(step, call)
    return call, axes


# ---- what comes out


def _explicit(step: Step, read: Read) -> Value:
    value = (read if isinstance(read, Value) else step.made(read)).explicit()
    if value is None:
        raise step.mixed()
    return value


def _loop(item: Call, carried: Sequence[Call], results: Sequence[Call]) -> tuple[Loop, tuple[Call, ...]]:
    """The body by itself, and what it reads of the model around it, which comes in by stand-ins."""
    inner, outer = {item, *carried}, dict[Call, Call]()
    new: dict[Call, Call] = {c: c for c in inner}
    for c in ordered(results):
        if c in inner or not any(i in inner for i in c.inputs):
            continue
        inner.add(c)
        for i in c.inputs:
            if i not in inner and i.name not in WRITTEN_OUT:
                outer.setdefault(i, replace(i, name="input", inputs=(), settings={}, weights={}, loop=None, parts=(), block=None))
        new[c] = c.over(*(outer.get(i) or new.get(i, i) for i in c.inputs))
    return Loop(item, tuple(carried), tuple(new.get(r, r) for r in results), tuple(outer.values())), tuple(outer)


def _nothing(step: Step, like: Call) -> Call:
    """Zeros of the shape and kind of another value."""
    return _zeros(step, like.shape) if like.dtype == "float" else _spread(step, {"bool": False}.get(like.dtype, 0), like.shape)


def _spread(step: Step, value: float, shape: Shape) -> Call:
    """A truth or whole number, repeated to a shape: a list, as what `expand` and `zeros` give is a float."""
    if not shape:
        return number(value)
    if any(not isinstance(d, int) for d in shape):
        raise step.fault(f"whole numbers or truths of the shape {show(shape)}, with which a step begins, have no form in the language")
    return Call("list", settings={"value": nested(np.full(shape, value))}, shape=shape, dtype=number(value).dtype, batched=False)


def _zeros(step: Step, shape: Shape) -> Call:
    return step.call("zeros", shape=shape, sizes=shape) if shape else number(0)


def _over_steps(step: Step, every: Call, row: Value, number: int) -> Value:
    """What the steps yield, its steps where the model has them."""
    if step.attr("scan_output_directions", (0,) * (number + 1))[number]:
        every = turned(step, every)
    axes = [tuple(a if a == BATCH_AXIS else a + 1 for a in axis) for axis in row.axes]
    axes.insert(step.attr("scan_output_axes", (0,) * (number + 1))[number] % (len(axes) + 1), (0,))
    return Value(every, tuple(axes))


# ---- what is known ahead of time


def branch(step: Step, inside: Inside) -> list[Read]:
    """The branch of an If that is taken."""
    taken = step.array(0, "cond").reshape(-1)[0]
    return inside(step.attr("then_branch" if taken else "else_branch"), {})


def unrolled(step: Step, inside: Inside) -> list[Read | None]:
    """A Loop of a known number of steps, one after another."""
    body, values, rows = step.attr("body"), list[Read](step.value(i) for i in range(2, len(step.inputs))), list[list[Read]]()
    most = int(step.array(0, "M").reshape(-1)[0]) if step.given(0) else MOST_STEPS + 1
    going: Read = step.known(1, "cond") if step.given(1) else known(True)
    while len(rows) < most and _is_true(step, going):
        if len(rows) == MOST_STEPS:
            raise step.fault(f"a loop of more than {MOST_STEPS} steps is not written out")
        given = [known(len(rows)), known(True), *values]
        going, *found = inside(body, dict(zip((i.name for i in body.input), given, strict=True)))
        values, row = found[: len(values)], found[len(values) :]
        rows.append(row)
    yielded = len(step.node.output) - len(values)
    if any(step.has(len(values) + i) for i in range(yielded)):
        raise step.fault("what each of its steps yields has no form in the language")
    return [*values, *[None] * yielded]


def _is_true(step: Step, condition: Read) -> bool:
    if not isinstance(condition, Known):
        raise step.fault("the condition to go on is computed from data, and has to be known when the model is read")
    return bool(condition.array.reshape(-1)[0])


RULES: dict[str, Callable[[Step, Inside], Sequence[Read | None]]] = {"If": branch, "Loop": unrolled, "Scan": scanned}
"""Rules of the operators that run graphs."""
