"""One node of a model on its way into the language: its inputs, attributes and place, as the rule of its operator is given them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from nnspec.array import Array
from nnspec.diagnostics import Fault, fault
from nnspec.graph import BATCH, Dim, Shape, Size
from nnspec.interchange.lengths import BATCH_FIRST
from nnspec.interchange.to_spec.calls import INFINITE, Call, Place, number
from nnspec.interchange.to_spec.values import BATCH_AXIS, Axis, Known, Value, quotient, reshaped
from nnspec.record import dataclass

Read = Value | Known
Result = Read | Sequence[Read | None]
Rule = Callable[..., Result]
LONGEST_LIST = 16
LONGEST_WHOLE = 256  # whole numbers have no other form: what is longer would be no text to read
RECURRENT = ("GRU", "LSTM", "RNN")
RULES: dict[str, Rule] = {}
"""`rule(step, *inputs)` gives the outputs of a node of that operator; an input that is left out is None."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule for these operators."""

    def enter(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, f))
        return f

    return enter


@dataclass(frozen=True)
class Step:
    """A node and the version of its operator, for each input whether nothing else reads it, for each output whether anything does.

    `ports` are the inputs of the model, and `fixed_batch` how many examples they hold, where that is a number.
    """

    node: onnx.NodeProto
    attributes: Mapping[str, Any]
    inputs: tuple[Read | None, ...]
    opset: int
    place: Place
    alone: tuple[bool, ...]
    wanted: tuple[bool, ...]
    ports: tuple[Call, ...] = ()
    fixed_batch: int | None = None

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def has(self, output: int) -> bool:
        """Whether the node is asked for the output of this number."""
        return len(self.wanted) > output and self.wanted[output]

    def given(self, at: int) -> bool:
        return len(self.inputs) > at and self.inputs[at] is not None

    # ---- what is wrong

    @property
    def label(self) -> str:
        return f"{self.node.op_type} `{self.node.name or self.node.output[0]}`"

    def fault(self, message: str, **more: Any) -> Fault:
        """E530: the node, and what of it the language has no form for."""
        return fault("E530", f"{self.label}: {message}", **more)

    def refuse(self, **settings: Any) -> None:
        """Attributes that may only have this one value."""
        for name, only in settings.items():
            value = self.attr(name, only)
            if value != only:
                raise self.fault(f"`{name}` = {value} has no form in the language")

    # ---- inputs

    def value(self, at: int = 0) -> Value:
        """An input that is computed from data; a known one becomes a parameter or constant of the spec."""
        found = self.inputs[at]
        if found is None:
            raise self.fault(f"its input {at + 1} is missing")
        return found if isinstance(found, Value) else self.made(found)

    def known(self, at: int, what: str) -> Known:
        """An input that has to be known when the model is read."""
        found = self.inputs[at]
        if not isinstance(found, Known):
            raise self.fault(f"`{what}` is computed from data, and has to be known when the model is read")
        return found

    def array(self, at: int, what: str) -> Array:
        """Numbers of the file, no sizes of the data among them."""
        found = self.known(at, what)
        if found.has_sizes:
            raise self.fault(f"`{what}` depends on the sizes of the data")
        return found.array

    def dims(self, name: str, at: int) -> tuple[Dim, ...] | None:
        """Whole numbers that newer versions take as an input and older ones as an attribute."""
        if self.given(at):
            return self.known(at, name).ints
        value = self.attr(name)
        return (value,) if isinstance(value, int) else value

    def ints(self, name: str, at: int) -> tuple[int, ...] | None:
        found = self.dims(name, at)
        if found is not None and any(isinstance(d, Size) for d in found):
            raise self.fault(f"`{name}` depends on the sizes of the data")
        return found  # type: ignore[return-value]  # all are numbers

    def axes(self, rank: int, at: int = 1) -> tuple[int, ...] | None:
        """The input or attribute `axes`, counted from 0."""
        found = self.ints("axes", at)
        return None if found is None else tuple(a % rank for a in found)

    # ---- calls

    def counting(self, port: Call, length: Dim) -> Call:
        """The numbers 0, 1, 2, ... along an axis of an input."""
        call = self.call("positions", port, shape=(length,), dtype="int", **axis_setting(port.shape.index(length), 0))
        return replace(call, batched=False)

    def call(
        self, name: str, *inputs: Call, shape: Shape, dtype: str = "", weights: Mapping[str, Array] | None = None, **settings: Any
    ) -> Call:
        """A call of the language that comes from this node."""
        kind = dtype or (inputs[0].dtype if inputs else "float")
        batched = any(i.batched for i in inputs)
        return Call(name, inputs, settings, weights or {}, shape, kind, batched, self.place)

    def explicit(self, at: int = 0) -> Value:
        """An input with an axis of its own for each of the model's."""
        found = self.value(at).explicit()
        if found is None:
            raise self.mixed()
        return found

    def mixed(self) -> Fault:
        return fault("E531", f"{self.label}: examples of a batch would meet here", help=self._of_batches())

    def _of_batches(self) -> str:
        """How a model says what its examples are: in the first axis of its inputs, where sequences may have their steps."""
        if self.node.op_type in RECURRENT or (self.fixed_batch and any(isinstance(d, Size) for p in self.ports for d in p.shape)):
            return BATCH_FIRST
        if self.fixed_batch:
            return "export the model with a batch of any size, as `dynamic_axes` or `dynamic_shapes` of torch.onnx.export say it"
        return "a spec speaks of one example at a time"

    def example_axes(self, value: Value, axes: Sequence[int]) -> tuple[int, ...]:
        """Axes of the model as those of the call of an explicit value; the batch is none of them."""
        if any(value.axes[a] and value.axes[a][0] < 0 for a in axes):
            raise self.mixed()
        return tuple(value.axes[a][0] for a in axes)

    def made(self, k: Known) -> Value:
        """What is known as a value of the language: a number, a list, or an array that the spec owns."""
        if k.spread:
            return self._repeated(k)
        call = self.constant(k)
        return Value(call, tuple((i,) for i in range(len(call.shape))))

    def _repeated(self, k: Known) -> Value:
        """What is repeated: the array where it is one that is trained, and happens to be all zeros, else a number."""
        trained = k.whole and k.whole.name and k.whole.array.size > 1
        apart = [self._apart_from_batch(d) for d in k.shape]
        value = self.expanded(self.made(k.whole if k.whole and trained else Known(k.array)), sum(apart, ()))
        axes = iter(value.axes)
        return Value(value.call, tuple(sum((next(axes) for _ in dims), ()) for dims in apart))

    def _apart_from_batch(self, dim: Dim) -> Shape:
        """The batch, and what lies together with it."""
        if dim == BATCH or not isinstance(dim, Size) or "batch" not in dim.names:
            return (dim,)
        rest = quotient(dim, BATCH)
        if rest is None:
            raise self.mixed()
        return (BATCH, rest)

    def expanded(self, value: Value, dims: Sequence[Dim]) -> Value:
        """A value repeated along axes of length 1, and in front."""
        rank = max(value.rank, len(dims))
        have, want = (1,) * (rank - value.rank) + value.shape, (1,) * (rank - len(dims)) + tuple(dims)
        full = tuple(w if h == 1 else h for h, w in zip(have, want, strict=True))
        if full == have:
            return value
        at = next((i for i, d in enumerate(full) if d == BATCH), None)
        example = tuple(d for i, d in enumerate(full) if i != at)
        numbers = iter(range(rank))
        axes = tuple((BATCH_AXIS,) if i == at else (next(numbers),) for i in range(rank))
        if value.batch is not None and at != rank - value.rank + value.batch:
            raise self.mixed()
        bare = _without_leading(value.call, len(example)) if value.batch is None and at is not None else value.call
        call = bare if bare.shape == example else replace(self.call("expand", bare, shape=example), settings={"shape": example})
        return Value(call, axes)

    def constant(self, k: Known, shape: Shape | None = None) -> Call:
        if k.has_sizes:
            return self.size(k)
        array = np.asarray(k.array).reshape(shape if shape is not None else k.array.shape)  # type: ignore[arg-type]  # all are numbers
        if array.size == 1:
            place = replace(self.place, path="" if k.fixed else k.name)
            found = replace(number(plain(array.reshape(-1)[0])), shape=(1,) * array.ndim, place=place)
            return replace(found, settings={**found.settings, INFINITE: True}) if k.infinite else found
        kind = {"f": "float", "b": "bool"}.get(array.dtype.kind, "int")
        port = next((p for p in self.ports if array.size in p.shape), None) if kind == "int" and array.size > LONGEST_LIST else None
        if port and np.array_equal(array.reshape(-1), np.arange(array.size)):
            return reshaped(self.counting(port, array.size), array.shape)
        if array.size <= (LONGEST_WHOLE if kind == "int" else LONGEST_LIST) and not k.name:
            return Call("list", settings={"value": nested(array)}, shape=array.shape, dtype=kind, batched=False, place=self.place)
        if kind == "int":
            raise self.fault(f"{array.size} whole numbers that it has for data have no form in the language")
        place = replace(self.place, path=k.name or f"{self.place.path}.constant")
        weights = {"": array.astype(np.float32)}
        owned = Call("param" if k.name and not k.fixed else "state", weights=weights, shape=array.shape, batched=False, place=place)
        return owned if kind == "float" else replace(self.call("!=", owned, number(0), shape=array.shape, dtype="bool"), batched=False)

    def size(self, k: Known) -> Call:
        """One size of the data, which formulas can compute with; how many examples there are no example knows."""
        [found] = k.ints if len(k.ints) == 1 else [None]
        if not isinstance(found, Size) or "batch" in found.names:
            raise self.fault("a size of the data is computed with")
        return Call("size", settings={"value": found}, shape=(1,) * k.array.ndim, dtype="int", batched=False, place=self.place)


def _without_leading(call: Call, rank: int) -> Call:
    """What is the same for all examples does not have the axis that the batch would have."""
    return reshaped(call, call.shape[len(call.shape) - rank :]) if len(call.shape) > rank else call


def axis_setting(axis: int, usual: int, written: int | None = None) -> dict[str, Any]:
    """An axis of a call, where it is not what the call takes anyway."""
    return {} if axis == usual else {"axis": axis if written is None else written}


def plain(value: Any) -> int | float | bool:
    """A number as Python has it, a float32 in the few digits that mean it."""
    if isinstance(value, np.floating | float):
        return float(str(np.float32(value)))
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]


def nested(array: Array) -> Any:
    return tuple(map(nested, array)) if array.ndim else plain(array[()])


def kept(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Axes of a model numbered anew, where the calls' axes are those that are left."""
    left = sorted(a for axis in axes for a in axis if a >= 0)
    place = {a: i for i, a in enumerate(left)} | {-1: -1}
    return tuple(tuple(place[a] for a in axis) for axis in axes)
