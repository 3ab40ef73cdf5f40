"""One node of a model on its way into our graph: what a rule of the table is given beside its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

import onnx

from nnspec.array import Array
from nnspec.diagnostics import Fault, fault
from nnspec.graph import Dim, Graph, Size, Var
from nnspec.interchange.from_onnx.known import dims
from nnspec.interchange.read import domain_of
from nnspec.record import dataclass

if TYPE_CHECKING:
    from nnspec.interchange.from_onnx.builder import Builder

MOST_STEPS = 4096
Values = Var | None | Sequence[Var | None]
Rule = Callable[..., Values]
"""`rule(call, *inputs)` gives the outputs of a node as values of our graph; an input that is left out is None."""


@dataclass(frozen=True)
class Frame:
    """Where nodes are read: the values so far by name, the attributes a function was called with, and the version of the operators.

    `leaving` says, by name, of what kind of few bits a value is that may be beyond it.
    """

    values: dict[str, Var | None]
    attributes: Mapping[str, Any]
    opset: int
    leaving: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A node, its attributes and where it stands."""

    builder: Builder
    node: onnx.NodeProto
    attributes: Mapping[str, Any]
    frame: Frame
    inputs: tuple[Var | None, ...]

    @property
    def graph(self) -> Graph:
        return self.builder.graph

    @property
    def opset(self) -> int:
        return self.frame.opset

    def attr(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def has(self, output: int) -> bool:
        """Whether anything may read the output of this number."""
        return len(self.node.output) > output and bool(self.node.output[output])

    # ---- what has to be known

    def known(self, at: int, what: str) -> Array:
        """The value of an input that decides shapes; E523 where it is computed from data."""
        var = self.inputs[at]
        assert var is not None
        value = self.builder.known(var)
        if value is None:
            raise self.fault("E523", f"`{what}` is computed from data, and has to be known when the model is read")
        return value

    def given(self, at: int) -> bool:
        """Whether there is an input of this number."""
        return len(self.inputs) > at and self.inputs[at] is not None

    def dims(self, name: str, at: int) -> tuple[Dim, ...] | None:
        """Whole numbers that newer versions take as an input and older ones as an attribute."""
        if self.given(at):
            return dims(self.known(at, name))
        value = self.attributes.get(name)
        return (value,) if isinstance(value, int) else value

    def ints(self, name: str, at: int) -> tuple[int, ...] | None:
        """The same where no size may be among them."""
        found = self.dims(name, at)
        if found is not None and any(isinstance(d, Size) for d in found):
            raise self.fault("E523", f"`{name}` is {', '.join(map(str, found))}, and has to be known when the model is read")
        return found  # type: ignore[return-value]  # all are numbers

    def fixed(self, dims: Iterable[Dim]) -> tuple[int, ...]:
        """Sizes that have to be known when the model is read."""
        found = tuple(dims)
        for dim in found:
            if isinstance(dim, Size):
                raise self.fault("E523", f"the size `{dim}` has to be known when the model is read")
        return found  # type: ignore[return-value]  # all are numbers

    def axes(self, name: str, at: int, rank: int) -> tuple[int, ...] | None:
        """The same as axes counted from 0."""
        found = self.ints(name, at)
        return None if found is None else tuple(self.axis(a, rank) for a in found)

    def axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < max(rank, 1):
            raise self.fault("E524", f"there is no axis {axis} of {rank}")
        return axis % rank if rank else 0

    def axis_of(self, x: Var, default: int) -> int:
        """The attribute `axis`, counted from 0."""
        return self.axis(self.attr("axis", default), x.type.rank)

    def steps(self, number: int) -> range:
        """The steps of a loop that is written out."""
        if number > MOST_STEPS:
            raise self.fault("E521", f"a loop of {number} steps is not written out", help=f"at most {MOST_STEPS} are")
        return range(number)

    # ---- what is wrong

    @property
    def label(self) -> str:
        """The node in the words of a message."""
        domain = domain_of(self.node)
        name = f" `{self.node.name}`" if self.node.name else ""
        return f"{self.node.op_type}{name}{f' of the domain {domain}' if domain else ''}"

    def fault(self, code: str, message: str, **more: Any) -> Fault:
        return fault(code, f"{self.label}: {message}", self.graph.context.span, **more)
