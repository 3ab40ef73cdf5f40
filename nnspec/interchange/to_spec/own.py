"""What each example takes of itself, where a model counts the examples of a batch to say whose is what."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from nnspec.diagnostics import fault
from nnspec.graph import BATCH, Dim
from nnspec.graph.types import count
from nnspec.interchange.to_spec.calls import WRITTEN_OUT, Call, ordered
from nnspec.interchange.to_spec.step import Read, Step, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Axis, Known, Value, reshaped

NUMBER = "number of the example"
"""A call that has no text: what is written has taken it away again."""
REPEATS = ("reshape", "flatten", "expand")
MOVES = (*REPEATS, "transpose")


def numbered(step: Step) -> Value:
    """The number of each example in its batch."""
    return Value(Call(NUMBER, dtype="int", place=step.place), ((BATCH_AXIS,),))


def refuse_numbers(results: Collection[Call]) -> None:
    """E530 where a number of an example is left in what is to be written."""
    left = next((c for c in ordered(results) if c.name == NUMBER), None)
    if left:
        raise fault("E530", f"Range `{left.place.node}`: it runs to `batch`, how many examples there are, which no example knows")


def from_flat(step: Step, table: Value, i: Read) -> Value | None:
    """Rows of a table in which the rows of all examples follow each other: `number * length + j` is row j of each example."""
    table = table.arranged()
    if table.axes[0] != (BATCH_AXIS, 0):
        return None
    length = table.call.shape[0]
    own = _rows_of_each(step, i.array, length) if isinstance(i, Known) else _beside_number(i, length)
    return own and _taken(step, table.call, own, table.axes[1:])


@rule("GatherND")
def _gather_nd(step: Step, x: Read, i: Read) -> Value:
    """Elements of each example by its number and theirs, or by theirs alone."""
    value, leading = step.explicit(), step.attr("batch_dims", 0)
    own = None if leading > 1 else _alone(step) if leading else _pairs(step, i)
    if own is None or value.batch not in (0, None) or value.shape[0] not in (1, BATCH):
        raise step.fault("elements that are not each example's own, by one number each, have no form in the language")
    if value.batch == 0:
        return _taken(step, value.call, own, value.axes[2:])
    alike = _taken(step, reshaped(value.call, value.call.shape[1:]), own, tuple((a - 1,) for (a,) in value.axes[2:]))
    return replace(alike, axes=tuple(() if axis == (BATCH_AXIS,) else axis for axis in alike.axes))


def _taken(step: Step, x: Call, own: Value, rest: tuple[Axis, ...]) -> Value:
    """The rows of x of these numbers, laid out as they are; `rest` is what else the model has of a row."""
    numbers = own.call
    shape = (*numbers.shape, *x.shape[1:])
    call = reshaped(x, shape) if _is_count(numbers, x.shape[0]) else step.call("take", x, numbers, shape=shape)
    moved = len(numbers.shape) - 1
    return Value(call, (*own.axes, *(tuple(a + moved for a in axis) for axis in rest)))


def _is_count(numbers: Call, length: Dim) -> bool:
    """Whether they are all the numbers of an axis in their order."""
    bare = _bare(numbers, REPEATS)
    if count(numbers.shape) != length or bare.name != "list":
        return bare.name == "positions" and bare.shape == (length,) == (count(numbers.shape),)
    values = np.asarray(bare.value).reshape(-1)
    return np.array_equal(values, np.arange(len(values)))


def _bare(call: Call, moves: Collection[str] = MOVES) -> Call:
    while call.name in moves:
        call = call.inputs[0]
    return call


# ---- numbers of rows, each of which has the number of its example in it


def _rows_of_each(step: Step, rows: np.ndarray, length: Dim) -> Value | None:
    """Known numbers of rows without `number * length`, where all examples then have the same."""
    if not isinstance(length, int) or not rows.ndim or len(rows) != step.fixed_batch:
        return None
    return _alike(step, rows - _count_of(rows) * length)


def _pairs(step: Step, i: Read) -> Value | None:
    """The second of two numbers, of which the first is that of the example."""
    if isinstance(i, Known):
        known = i.array.shape[-1] == 2 and i.array.ndim > 1 and len(i.array) == step.fixed_batch
        return _alike(step, i.array[..., 1]) if known and np.all(i.array[..., 0] == _count_of(i.array[..., 0])) else None
    pairs = step.explicit(1)
    parts = pairs.call.inputs
    if pairs.call.name != "concat" or pairs.batch != 0 or [p.shape[-1:] for p in parts] != [(1,), (1,)] or _bare(parts[0]).name != NUMBER:
        return None
    return _same_for_all(Value(reshaped(parts[1], pairs.call.shape[:-1]), pairs.axes[:-1]))


def _beside_number(i: Value, length: Dim) -> Value | None:
    """What is added to `number * length`."""
    explicit = i.explicit()
    total = explicit and _without_zeros(explicit.call)
    if not explicit or not total or explicit.batch != 0 or total.name != "+":
        return None
    for own, numbers in (total.inputs, total.inputs[::-1]):
        product = _bare(own)
        if (
            product.name == "*"
            and {_bare(c).name for c in product.inputs} == {NUMBER} | ({"number"} if isinstance(length, int) else {"size"})
            and numbers.shape == total.shape
        ):
            factor = next((c.value for c in product.inputs if c.name in WRITTEN_OUT), None)
            return _same_for_all(explicit.with_call(numbers)) if factor == length else None
    return None


def _without_zeros(total: Call) -> Call:
    """A sum before an exporter adds offsets of 0 to it."""
    for number, rest in (total.inputs, total.inputs[::-1]) if total.name == "+" else ():
        if number.name == "number" and number.value == 0 and rest.shape == total.shape:
            return _without_zeros(rest)
    return total


def _alone(step: Step) -> Value | None:
    """One number for each element, of which each example has its own."""
    numbers = step.explicit(1)
    if numbers.batch not in (0, None) or numbers.call.shape[-1:] != (1,):
        return None
    return Value(reshaped(numbers.call, numbers.call.shape[:-1]), numbers.axes[:-1])


def _same_for_all(numbers: Value) -> Value | None:
    return None if numbers.call.batched else numbers


def _count_of(rows: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... along the first axis."""
    return np.arange(len(rows)).reshape(-1, *(1,) * (rows.ndim - 1))


def _alike(step: Step, rows: np.ndarray) -> Value | None:
    """The one row that all examples have."""
    if any(not np.array_equal(row, rows[0]) for row in rows[1:]):
        return None
    call = step.constant(Known(rows[0]))
    return Value(call, ((BATCH_AXIS,), *((a,) for a in range(len(call.shape)))))
