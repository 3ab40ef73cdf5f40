"""Rules of operators that lay the same elements otherwise, or several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnspec.graph import BATCH, Dim, Shape, Size
from nnspec.graph.types import count
from nnspec.interchange.lengths import HELP, written_down
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.own import numbered
from nnspec.interchange.to_spec.pointwise import beside
from nnspec.interchange.to_spec.slicing import WALKING, part
from nnspec.interchange.to_spec.step import Read, Step, axis_setting, kept, rule
from nnspec.interchange.to_spec.values import Known, Value, quotient, reshape, reshaped


@rule("Reshape")
def _reshape(step: Step, x: Read, shape: Read | None = None) -> Value:
    value = step.value()
    return to_shape(step, value, asked(step, value.shape))


def asked(step: Step, shape: Shape) -> tuple[Dim, ...]:
    """The shape that a Reshape is for, in which 0 is what it has there already, and -1 the rest."""
    dims = step.dims("shape", 1) or ()
    return tuple(shape[i] if d == 0 and not step.attr("allowzero", 0) else d for i, d in enumerate(dims))


def to_shape(step: Step, value: Value, dims: Sequence[Dim]) -> Value:
    """A value in a shape of the model, in which -1 is the rest, and a number may stand where the batch is meant."""
    for wanted in (dims, *_with_batch(step, value, dims)):
        whole = filled(value.shape, wanted)
        found = whole and reshape(value, whole)
        if found:
            return found
    if value.batch is None:
        raise step.fault(f"{list(map(str, value.shape))} cannot become {list(map(str, dims))}")
    if (why := written_down(value.shape, dims)) and (-1 not in dims or filled(value.shape, dims) is None):
        raise step.fault(why, help=HELP)
    raise step.mixed()


def _with_batch(step: Step, value: Value, dims: Sequence[Dim]) -> list[tuple[Dim, ...]]:
    """What may be meant where a model was exported for one size of the batch: that any one of its numbers is the batch, or has it in it."""
    if value.batch is None or any(isinstance(d, Size) and "batch" in d.names for d in dims):
        return []
    numbers = [(i, d) for i, d in enumerate(dims) if isinstance(d, int)]
    meant: list[tuple[int, Dim]] = [(i, BATCH) for i, _ in numbers]
    if n := step.fixed_batch:
        meant += [(i, BATCH * (d // n)) for i, d in numbers if d > n and d % n == 0]
    return [(*dims[:i], size, *dims[i + 1 :]) for i, size in meant]


def filled(shape: Shape, dims: Sequence[Dim]) -> tuple[Dim, ...] | None:
    """With the rest in the place of -1."""
    if -1 not in dims:
        return tuple(dims)
    rest = quotient(count(shape), count(d for d in dims if d != -1))
    return None if rest is None else tuple(rest if d == -1 else d for d in dims)


@rule("Flatten")
def _flatten(step: Step, x: Read) -> Value:
    value = step.value()
    axis = step.attr("axis", 1) % (value.rank + 1)
    return to_shape(step, value, (count(value.shape[:axis]), count(value.shape[axis:])))


@rule("Transpose")
def _transpose(step: Step, x: Read) -> Value:
    value = step.value()
    order = step.attr("perm", tuple(reversed(range(value.rank))))
    return Value(value.call, tuple(value.axes[a] for a in order))


@rule("Squeeze")
def _squeeze(step: Step, x: Read, *_: Read) -> Value:
    value = step.value()
    axes = step.axes(value.rank) or tuple(a for a, d in enumerate(value.shape) if d == 1)
    return without(value, axes)


def without(value: Value, axes: Sequence[int]) -> Value:
    """A value without axes of length 1."""
    value = value.arranged()
    gone = [a for i in axes for a in value.axes[i]]
    call = reshaped(value.call, tuple(d for a, d in enumerate(value.call.shape) if a not in gone)) if gone else value.call
    return Value(call, kept([axis for i, axis in enumerate(value.axes) if i not in axes]))


@rule("Unsqueeze")
def _unsqueeze(step: Step, x: Read, *_: Read) -> Value:
    value = step.value()
    given = step.ints("axes", 1) or ()
    rank = value.rank + len(given)
    left = iter(value.axes)
    return Value(value.call, tuple(() if a in {g % rank for g in given} else next(left) for a in range(rank)))


@rule("Concat")
def _concat(step: Step, *_: Read) -> Value:
    reads = [r if isinstance(r, Known) and not r.spread else step.explicit(i) for i, r in enumerate(step.inputs)]
    values = [read for read in reads if isinstance(read, Value)]
    if len(reads) == 1:
        return values[0]
    first = next((v for v in values if v.call.batched), values[0])
    if any(v.axes != first.axes for v in values if v.call.batched):
        raise step.mixed()
    [own] = step.example_axes(first, [step.attr("axis") % first.rank])
    calls = [beside(step, read, first.batch, first.rank) for read in reads]
    if len(calls) == 2 and own == 1 and (both := _both_ways(*calls)):
        return first.with_call(both)
    total = sum((c.shape[own] for c in calls[1:]), calls[0].shape[own])
    shape = (*calls[0].shape[:own], total, *calls[0].shape[own + 1 :])
    settings = axis_setting(own, 0, -1 if own == len(shape) - 1 else own)
    return first.with_call(step.call("concat", *calls, shape=shape, **settings))


@rule("Split")
def _split(step: Step, x: Read, *_: Read) -> list[Value]:
    value = step.explicit()
    axis = step.attr("axis", 0) % value.rank
    [own] = step.example_axes(value, [axis])
    size = value.call.shape[own]
    if isinstance(size, Size):
        raise step.fault("it splits a size of the data")
    parts = len(step.node.output)
    lengths = step.ints("split", 1) or [min(-(-size // parts), size - i * -(-size // parts)) for i in range(parts)]
    ends = np.cumsum(lengths).tolist()
    return [value.with_call(part(step, value.call, own, end - n, end)) for n, end in zip(lengths, ends, strict=True)]


def _both_ways(x: Call, y: Call) -> Call | None:
    """Two layers beside each other that walk over one sequence from either end, as `bidirectional`."""
    there = dict(y.settings)
    alike = x.name == y.name and x.name in WALKING and x.inputs == y.inputs and there.pop("reverse", False)
    if not alike or dict(x.settings) != there or there.keys() != {"units"}:
        return None
    weights = {f"{way}.{n}": w for way, call in (("forward", x), ("backward", y)) for n, w in call.weights.items()}
    settings = {"cell": x.name, **x.settings}
    return replace(x, name="bidirectional", settings=settings, weights=weights, shape=(x.shape[0], 2 * x.settings["units"]))


@rule("Expand")
def _expand(step: Step, x: Read, shape: Read) -> Value:
    return step.expanded(step.explicit(), step.dims("shape", 1) or ())


@rule("Tile")
def _tile(step: Step, x: Read, repeats: Read) -> Value:
    value, times = step.explicit(), step.ints("repeats", 1) or ()
    call = value.call
    for axis, n in enumerate(times):
        if n != 1:
            [own] = step.example_axes(value, [axis])
            shape = (*call.shape[:own], call.shape[own] * n, *call.shape[own + 1 :])
            call = step.call("concat", *[call] * n, shape=shape, **axis_setting(own, 0))
    return value.with_call(call)


@rule("Range")
def _range(step: Step, start: Read, stop: Read, by: Read) -> Value:
    """0, 1, 2, ... up to a size of the data."""
    if step.array(0, "start").item() != 0 or step.array(2, "delta").item() != 1:
        raise step.fault("a run of numbers that does not begin at 0 has no form in the language")
    [length] = step.known(1, "limit").ints
    if length == BATCH:
        return numbered(step)
    port = next((p for p in step.ports if length in p.shape), None)
    if port is None:
        raise step.fault(f"it runs to `{length}`, a size that no input has")
    return Value(step.counting(port, length), ((0,),))


@rule("OneHot")
def _one_hot(step: Step, i: Read, depth: Read, values: Read) -> Value:
    value, size = step.explicit(), int(step.array(1, "depth").item())
    if step.attr("axis", -1) not in (-1, value.rank) or step.array(2, "values").tolist() != [0, 1]:
        raise step.fault("codes other than 0 and 1 along the last axis have no form in the language")
    call = step.call("one_hot", value.call, shape=(*value.call.shape, size), dtype="float", size=size)
    return Value(call, (*value.axes, (len(value.call.shape),)))
