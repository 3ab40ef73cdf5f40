"""What a spec is written from: calls of the language, each with what it is given, of one example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from nnspec.array import Array
from nnspec.graph import Shape
from nnspec.record import dataclass

LEAVES = ("input", "number", "list", "size", "param", "state")
INFINITE = "infinite"
"""A setting of numbers that stand for minus infinity."""
WRITTEN_OUT = ("number", "list", "size")
"""Those that stand where they are read, and have no name."""


@dataclass(frozen=True)
class Place:
    """The node that a call comes from: its name, and the path of the module it was in, where the exporter says.

    In a block, `within` is the path from the module of the block, if that is the same in all its uses.
    """

    node: str = ""
    path: str = ""
    within: str | None = None

    @property
    def shown(self) -> str:
        """The path as it is seen from where the call stands."""
        return self.path if self.within is None else self.within


@dataclass(frozen=True)
class Argument:
    """A setting that differs between the uses of a block: one of its arguments."""

    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A layer, function or operator with its tensors, settings and weights; `slot` is its number among those of a block.

    An operator has its sign for a name; `if` has the condition first; `[]` has its indices, `number`, `list` and `size` their
    value as settings; a number with a path is one that the file trains.
    A `scan` has its sequence, the starts of what it carries and what its body is given as inputs; `steps` is one of its sequences.
    `turned` are the weights of a layer, transposed; a use of a layer that is `shared` has its name, and owns nothing.
    """

    name: str
    inputs: tuple[Call, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    shape: Shape = ()
    dtype: str = "float"
    batched: bool = True
    place: Place = Place()
    block: Block | None = None
    loop: Loop | None = None
    shared: Call | None = None
    parts: tuple[Call, ...] = ()
    slot: int = -1

    def over(self, *inputs: Call) -> Call:
        """The same of other values."""
        return self if all(a is b for a, b in zip(self.inputs, inputs, strict=True)) else replace(self, inputs=inputs)

    @property
    def is_leaf(self) -> bool:
        return self.name in LEAVES

    @property
    def owns(self) -> bool:
        """Whether it has parameters or states of its own, or stands for layers that have."""
        return bool(self.weights or self.parts)

    @property
    def around(self) -> tuple[Call, ...]:
        """What the body of a loop is given of the values around it."""
        return self.inputs[1 + len(self.loop.carried) :] if self.loop else ()

    @property
    def value(self) -> Any:
        """Of a number, list or size."""
        return self.settings["value"]


@dataclass(frozen=True)
class Parameter:
    """An argument of a block, and what it is where nothing is said."""

    name: str
    default: Any = None


@dataclass(frozen=True, eq=False)
class Block:
    """Calls that come several times, as a layer of the spec's own, given `x`; `paths` are the modules they were."""

    name: str
    parameters: tuple[Parameter, ...]
    x: Call
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Loop:
    """The body of a `scan`: stand-ins for the element of a step, for what is carried and for what it is `given`, and what is carried on.

    What is given stands last among the inputs of the call.
    """

    item: Call
    carried: tuple[Call, ...]
    results: tuple[Call, ...]
    given: tuple[Call, ...]


def number(value: float | int | bool) -> Call:
    dtype = {bool: "bool", int: "int"}.get(type(value), "float")
    return Call("number", settings={"value": value}, dtype=dtype, batched=False)


def ordered(results: Iterable[Call], given: Collection[Call] = ()) -> list[Call]:
    """All that the results are made of from what is given, what is needed first before what needs it, as formulas are read."""
    found: dict[Call, None] = {}
    for result in results:
        waiting = [(result, iter(result.inputs))]
        while waiting:
            call, inputs = waiting[-1]
            following = next((i for i in inputs if i not in found and i not in given), None)
            if following is not None:
                waiting.append((following, iter(following.inputs)))
            else:
                found.setdefault(call)
                waiting.pop()
    return list(found)


def uses(calls: Iterable[Call], results: Iterable[Call]) -> Counter[Call]:
    """How often each value is read, by other calls and as a result."""
    return Counter([*(i for c in calls for i in c.inputs), *results])
