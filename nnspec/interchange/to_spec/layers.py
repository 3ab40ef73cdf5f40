"""Rules of operators that have weights, as layers of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Size
from nnspec.graph.types import replaced
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.idioms import improved
from nnspec.interchange.to_spec.own import from_flat
from nnspec.interchange.to_spec.pointwise import apply
from nnspec.interchange.to_spec.shaping import without
from nnspec.interchange.to_spec.slicing import element, indexed
from nnspec.interchange.to_spec.step import Read, Step, axis_setting, plain, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Known, Value, transposed

EPSILON, MOMENTUM = 1e-5, 0.9
COMPUTED = ("+", "-", "*", "%", "cumsum", "max", "min", "sum")


# ---- dense


def dense(step: Step, x: Value, w: Array, b: Array | None = None) -> Value:
    """x W + b over the last axis, which has to lie by itself."""
    x = x.arranged()
    if x.axes[-1] != (len(x.call.shape) - 1,) or BATCH_AXIS in x.axes[-1]:
        explicit = x.explicit()
        if explicit is None or explicit.axes[-1][0] < 0:
            raise step.mixed()
        x = explicit
    if x.call.shape[-1] != w.shape[0]:
        raise step.fault(f"{x.call.shape[-1]} numbers meet weights of {list(w.shape)}")
    call = _dense(step, x.call, {"W": w} | ({} if b is None else {"b": b}))
    return x.with_call(call)


def _dense(step: Step, x: Call, weights: Mapping[str, Array]) -> Call:
    units = weights["W"].shape[1]
    settings: dict[str, Any] = {"units": units} | ({} if "b" in weights else {"bias": False})
    return step.call("dense", x, shape=(*x.shape[:-1], units), weights=weights, **settings)


@rule("MatMul")
def _matmul(step: Step, x: Read, w: Read) -> Value:
    if isinstance(x, Value) and isinstance(w, Known) and w.array.ndim == 2 and w.array.dtype.kind == "f":
        return dense(step, x, w.array)
    return product(step, step.value(0), step.value(1))


def product(step: Step, x: Value, y: Value) -> Value:
    """The product of the last two axes, the axes before them laid alike."""
    x, y = x.arranged(), y.arranged()
    if x.call.batched and y.call.batched and not (x.axes[:-2] == y.axes[:-2] and _is_matrix(x) and _is_matrix(y)):
        x, y = step.explicit(0), step.explicit(1)
    if not (x.call.batched and y.call.batched):
        x, y = (v.explicit() or v for v in (x, y))
    if x.rank > 1 and not y.call.batched and y.axes == ((0,), (1,)) and x.axes[-1] == (len(x.call.shape) - 1,):
        return x.with_call(improved(step.call("@", x.call, y.call, shape=(*x.call.shape[:-1], y.call.shape[-1]))))
    if min(x.rank, y.rank) < 2:
        raise step.fault("the product with a vector has no form in the language")
    if not (_is_matrix(x) and _is_matrix(y)):
        raise step.mixed()
    lead = max((x, y), key=lambda v: (v.call.batched, v.rank))
    shape = (*lead.call.shape[:-2], x.call.shape[-2], y.call.shape[-1])
    return lead.with_call(improved(step.call("@", x.call, y.call, shape=shape)))


def _is_matrix(v: Value) -> bool:
    """Whether its last two axes are those of the call."""
    last = len(v.call.shape)
    return last > 1 and v.axes[-2:] == ((last - 2,), (last - 1,))


@rule("Gemm")
def _gemm(step: Step, x: Read, w: Read, c: Read | None = None) -> Value:
    value, alpha, beta = step.value(), step.attr("alpha", 1.0), step.attr("beta", 1.0)
    if not isinstance(w, Known) or step.attr("transA", 0):
        raise step.fault("only a product with weights has a form in the language")
    array = w.array.T if step.attr("transB", 0) else w.array
    array = array if alpha == 1 else array * np.asarray(alpha, w.array.dtype)
    if c is None:
        return dense(step, value, array)
    bias = step.array(2, "C") * np.asarray(beta, w.array.dtype)
    if bias.size != array.shape[1]:
        return apply(step, "+", dense(step, value, array), replace(step.known(2, "C"), array=bias))
    return dense(step, value, array, bias.reshape(-1))


@rule("Add")
def _add(step: Step, x: Read, y: Read) -> Value:
    """What is added to a product with weights that nothing else reads is its bias; what is added to every step, their positions."""
    for at, product, other in ((0, x, y), (1, y, x)):
        if not isinstance(product, Value) or not isinstance(other, Known) or not step.alone[at]:
            continue
        call, b = product.call, other.array
        units = call.shape[-1:]
        alike = b.ndim <= product.rank and b.shape == (*(1,) * (b.ndim - 1), *units)
        if call.name == "dense" and "b" not in call.weights and alike and product.axes[-1] == (len(call.shape) - 1,):
            return product.with_call(_dense(step, call.inputs[0], {**call.weights, "b": b.reshape(-1)}))
    return positioned(step, x, y) or apply(step, "+", x, y)


def positioned(step: Step, x: Read, y: Read) -> Value | None:
    """An embedding of positions, from the first on, that is added to a sequence."""
    for sequence, table in ((x, y), (y, x)):
        if not isinstance(sequence, Value) or len(sequence.call.shape) != 2 or not sequence.call.batched:
            continue
        rows = _rows(table, sequence)
        if rows is not None:
            call = sequence.call
            return sequence.with_call(step.call("learned_positional", call, shape=call.shape, weights={"W": rows}, longest=rows.shape[0]))
    return None


def _rows(table: Read, sequence: Value) -> Array | None:
    """The table of a vector for each position, where there is one for each of the sequence."""
    if isinstance(table, Value):
        call = table.call
        taken = call.name == "[]" and call.inputs[0].name == "param" and call.settings["indices"] == (slice(None, call.shape[0]),)
        fits = taken and call.shape == sequence.call.shape and sequence.axes == ((BATCH_AXIS,), (0,), (1,))
        return call.inputs[0].weights[""] if fits else None
    shape = tuple(table.array.shape)
    length = shape[-2] if len(shape) > 1 else 0
    alike = table.array.dtype.kind == "f" and shape in (sequence.call.shape, (1, *sequence.call.shape)) and length > 1
    return table.array.reshape(sequence.call.shape) if alike and sequence.axes == ((BATCH_AXIS,), (0,), (1,)) else None


@rule("Gather")
def _gather(step: Step, table: Read, i: Read) -> Value:
    """Rows of a table by class numbers; elements of data by numbers that are known stand with the slices."""
    own = from_flat(step, table, i) if isinstance(table, Value) and step.attr("axis", 0) % table.rank == 0 else None
    if own:
        return own
    if not isinstance(i, Value):
        return element(step, step.value(0), step.array(1, "indices"))
    if not isinstance(table, Known) or table.array.ndim not in (1, 2) or step.attr("axis", 0) % table.array.ndim:
        raise step.fault("rows that the data chooses have to be those of a table [rows, numbers] or of a vector")
    i = i.with_call(_class_numbers(step, i.call))
    if table.array.ndim == 1:
        return i.with_call(step.call("take", step.made(table).call, i.call, shape=i.call.shape, dtype="float"))
    size, units = table.array.shape
    if i.call.name == "positions":
        made, [length] = step.made(table), i.call.shape
        return made.with_call(indexed(step, made.call, {0: slice(None, length)}, (length, units)))
    call = step.call("embedding", i.call, shape=(*i.call.shape, units), dtype="float", weights={"W": table.array}, size=size, units=units)
    return Value(call, (*i.axes, (len(i.call.shape),)))


def _class_numbers(step: Step, i: Call) -> Call:
    """What is computed of whole numbers, or carried by a loop, may be any number to the language, unless it is rounded."""
    carried = i.name == "input" and i not in step.ports
    return step.call("round", i, shape=i.shape) if carried or i.name in COMPUTED else i


@rule("GatherElements")
def _gather_elements(step: Step, x: Read, i: Read) -> Read:
    """One element along an axis, of a number for each; of numbers that are all the same it is that number, whichever the data chooses."""
    if isinstance(x, Known) and isinstance(i, Value) and np.unique(x.array).size == 1:
        return Known(np.asarray(x.array.reshape(-1).tolist()[0]), spread=True, shape=i.shape)
    values, numbers = step.explicit(0), step.explicit(1)
    axis = step.attr("axis", 0) % values.rank
    if not isinstance(i, Value) or numbers.shape != replaced(values.shape, axis, 1):
        raise step.fault("elements that the data chooses have to be rows of a table, or all the same, or one along an axis")
    [own] = step.example_axes(values, [axis])
    chosen = without(numbers, [axis])
    last = transposed(values.call, (*(a for a in range(len(values.call.shape)) if a != own), own))
    call = step.call("pick", last, _class_numbers(step, chosen.call), shape=chosen.call.shape)
    return Value(call, (*chosen.axes[:axis], (), *chosen.axes[axis:]))


# ---- normalisation


@rule("BatchNormalization")
def _batchnorm(step: Step, x: Read, *_: Read) -> Value:
    step.refuse(training_mode=0, spatial=1)
    names = ("gamma", "beta", "mu", "var")
    weights = {n: step.array(1 + i, n) for i, n in enumerate(names)}
    momentum = plain(float(step.attr("momentum", MOMENTUM)))
    return _channels_first(step, "batchnorm", weights, **({} if momentum == MOMENTUM else {"momentum": momentum}))


@rule("InstanceNormalization")
def _instancenorm(step: Step, x: Read, *_: Read) -> Value:
    weights = {n: step.array(1 + i, n) for i, n in enumerate(("gamma", "beta"))}
    named = any(step.known(i, "scale").name for i in (1, 2))
    if not named and np.all(weights["gamma"] == 1) and not np.any(weights["beta"]):  # constants, which nothing trains
        return _channels_first(step, "instancenorm", {}, affine=False)
    return _channels_first(step, "instancenorm", weights)


@rule("GroupNormalization")
def _groupnorm(step: Step, x: Read, *_: Read) -> Value:
    groups, channels = step.attr("num_groups"), step.explicit().call.shape[0]
    if not isinstance(channels, int):
        raise step.fault("its channels show only at run time")
    arrays = (step.array(1 + i, n) for i, n in enumerate(("gamma", "beta")))
    weights = {n: a if a.size == channels else np.repeat(a, channels // groups) for n, a in zip(("gamma", "beta"), arrays, strict=True)}
    return _channels_first(step, "groupnorm", weights, groups=groups)


def _channels_first(step: Step, name: str, weights: Mapping[str, Array], **settings: Any) -> Value:
    x = step.explicit()
    if x.batch != 0:
        raise step.mixed()
    return x.with_call(step.call(name, x.call, shape=x.call.shape, weights=weights, **settings, **epsilon(step.attr("epsilon", EPSILON))))


def epsilon(value: float) -> dict[str, Any]:
    """Nothing where it is what the library takes."""
    eps = plain(float(value))
    return {} if abs(eps / EPSILON - 1) < 1e-5 else {"eps": eps}


@rule("LayerNormalization")
def _layernorm(step: Step, x: Read, *_: Read) -> Value:
    value, axis = step.value().arranged(), step.attr("axis", -1)
    behind = value.rank - axis % value.rank
    last = len(value.call.shape)
    if value.axes[value.rank - behind :] != tuple((a,) for a in range(last - behind, last)):
        raise step.mixed()
    shape = value.call.shape[last - behind :]
    if any(isinstance(d, Size) for d in shape):
        raise step.fault("it normalises over a size of the data")
    gamma = step.array(1, "scale").reshape(shape)  # type: ignore[arg-type]  # all are numbers
    beta = step.array(2, "bias").reshape(shape) if step.given(2) else np.zeros_like(gamma)  # type: ignore[arg-type]
    settings = axis_setting(-behind, -1) | epsilon(step.attr("epsilon", EPSILON))
    return value.with_call(step.call("layernorm", value.call, shape=value.call.shape, weights={"gamma": gamma, "beta": beta}, **settings))
