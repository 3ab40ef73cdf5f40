"""Rules of recurrent operators: the library's layers, which start from zeros and give the value after every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.interchange.to_spec.calls import Call
from nnspec.interchange.to_spec.slicing import indexed
from nnspec.interchange.to_spec.step import Read, Step, rule
from nnspec.interchange.to_spec.values import BATCH_AXIS, Known, Value, reshaped

LAYERS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
OF_RNN = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid"}


@rule(*LAYERS)
def _recurrent(step: Step, x: Read, w: Read, r: Read, *_: Read) -> list[Value | None]:
    """Y [T, directions, batch, units], and Y_h [directions, batch, units], its last step in each direction."""
    sequence = _sequence(step)
    direction = step.attr("direction", "forward")
    settings = _settings(step, direction)
    weights = [_weights(step, d) for d in range(step.array(1, "W").shape[0])]
    units = step.array(2, "R").shape[2]
    length = sequence.shape[0]
    name = LAYERS[step.node.op_type]
    if direction == "bidirectional":
        if settings:
            raise step.fault("in both directions it is the plain layer only")
        both = {f"{way}.{n}": a for way, arrays in zip(("forward", "backward"), weights, strict=True) for n, a in arrays.items()}
        call = step.call("bidirectional", sequence, shape=(length, 2 * units), weights=both, cell=name, units=units)
        apart = Value(reshaped(call, (length, 2, units)), ((0,), (1,), (BATCH_AXIS,), (2,)))
        return [_batch_first(step, apart), _last_of_both(step, call, units) if step.has(1) else None]
    backwards: dict[str, Any] = {"reverse": True} if direction == "reverse" else {}
    call = step.call(name, sequence, shape=(length, units), weights=weights[0], units=units, **backwards, **settings)
    every = _batch_first(step, Value(call, ((0,), (), (BATCH_AXIS,), (1,))))
    if not step.has(1):
        return [every, None]
    last = indexed(step, call, {0: 0 if backwards else -1}, (units,))
    return [every, _batch_first(step, Value(last, ((), (BATCH_AXIS,), (0,))))]


def _last_of_both(step: Step, call: Call, units: int) -> Value:
    """The last step of the forward one, and the first of the backward one."""
    forward = indexed(step, call, {0: -1, 1: slice(None, units)}, (units,))
    backward = indexed(step, call, {0: 0, 1: slice(units, None)}, (units,))
    return _batch_first(step, Value(step.call("stack", forward, backward, shape=(2, units)), ((0,), (BATCH_AXIS,), (1,))))


def _sequence(step: Step) -> Call:
    """What it reads, [T, n]."""
    value = step.explicit()
    if value.batch != (0 if step.attr("layout", 0) else 1):
        raise step.mixed()
    return value.call


def _batch_first(step: Step, value: Value) -> Value:
    """With `layout` 1 the batch comes first in all that the operator gives."""
    if not step.attr("layout", 0):
        return value
    batch = value.axes.index((BATCH_AXIS,))
    rest = [axis for i, axis in enumerate(value.axes) if i != batch]
    return Value(value.call, ((BATCH_AXIS,), *rest))


def _settings(step: Step, direction: str) -> dict[str, Any]:
    """What the layer is asked for beyond its size; what it cannot be asked for is refused."""
    op = step.node.op_type
    step.refuse(clip=None, input_forget=0)
    for at, what in ((4, "sequence_lens"), (5, "initial_h"), (6, "initial_c"), (7, "P")):
        given = step.inputs[at] if step.given(at) else None
        if given is not None and (what == "sequence_lens" or not isinstance(given, Known) or np.any(given.array)):
            raise step.fault(f"`{what}` other than zeros has no form in the language")
    if op == "LSTM" and step.has(2):
        raise step.fault("the state of the cell after the last step has no form in the language")
    activations = tuple(step.attr("activations", ACTIVATIONS[op] * (2 if direction == "bidirectional" else 1)))
    if op == "RNN" and set(activations) <= set(OF_RNN) and len(set(activations)) == 1:
        return {} if activations[0] == "Tanh" else {"act": OF_RNN[activations[0]]}
    if activations != ACTIVATIONS[op] * (len(activations) // len(ACTIVATIONS[op])):
        raise step.fault(f"the activations {', '.join(activations)} have no form in the language")
    if op == "GRU" and not step.attr("linear_before_reset", 0):
        raise step.fault("a reset gate before the product (`linear_before_reset` = 0) has no form in the language")
    return {}


def _weights(step: Step, direction: int) -> Mapping[str, Array]:
    """Of one direction, in the layout of the library: gates side by side in the order of ONNX, one bias for what ONNX has two of."""
    w, r = (step.array(at, n)[direction].T for at, n in ((1, "W"), (2, "R")))
    width, units = w.shape[1], r.shape[0]
    both = step.array(3, "B")[direction] if step.given(3) else np.zeros(2 * width, w.dtype)
    b, b_r = both[:width], both[width:]
    if step.node.op_type != "GRU":
        return {"W": w, "R": r, "b": b + b_r}
    inner = np.concatenate([b_r[: 2 * units], np.zeros(units, w.dtype)])  # that of the new value is multiplied by the reset gate
    return {"W": w, "R": r, "b": b + inner, "b_R": b_r[2 * units :]}
