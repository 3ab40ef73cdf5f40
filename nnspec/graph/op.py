"""An op is a value: one row that holds all that is known of it. Called on variables, it adds a node to their graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnspec.graph.shapes import infer
from nnspec.graph.types import Dim, Shape, Type, count
from nnspec.record import dataclass
from nnspec.syntax.ast import Parameter, Signature
from nnspec.syntax.parser import parse_signature

if TYPE_CHECKING:
    from nnspec.graph.var import Var

Kernel = Callable[..., Any]


class Absent(IndexError):
    """What a kernel raises for whole numbers of which there is no value: one that numbers nothing, or a 0 to divide by."""

    def __init__(self, message: str, help: str = "keep what is computed within: `min(max(i, 0), n - 1)`") -> None:
        super().__init__(message)
        self.help = help


OPS: dict[str, Op] = {}
"""Every row by name: the catalogue of `nnspec.ops`."""

GradRule = Callable[..., "tuple[Var | None, ...]"]


def nowhere(*types: Type, **_: Any) -> Sequence[Collection[int]]:
    """For `meets`: elements keep to themselves."""
    return [()] * len(types)


def along_axis(*types: Type, axis: int, **_: Any) -> Sequence[Collection[int]]:
    """For `meets`: along the attribute `axis`."""
    return [(axis,)] * len(types)


def along_axes(*types: Type, axes: tuple[int, ...], **_: Any) -> Sequence[Collection[int]]:
    """For `meets`: along the attribute `axes`."""
    return [axes] * len(types)


@dataclass(frozen=True, eq=False)
class Op:
    """A primitive.

    signature: in the language's type syntax; typed parameters are inputs, the others attributes.
    kernel:    the definition, on NumPy arrays: `kernel(*inputs, **attributes)`.
    grad:      `grad(g, out, *inputs, **attributes)` gives the gradient of each input as graph.
    onnx:      the ONNX op of the same meaning, or a function that writes the nodes.
    examples:  lines of the language that are true.
    shape:     the output shape where attributes decide it; else the signature says it.
    dtype:     the element type of the output, where it is not that of the first input that is no truth: a name, or what gives one for the
               attributes.
    prepare:   `prepare(out, *inputs, **attributes)` gives a function without arguments that computes into `out`,
               with all its scratch memory allocated; without it a ufunc is used with `out=`, and anything else is copied.
               Inputs of ops that are neither pointwise nor `strided` are contiguous.
    variadic:  the last typed parameter stands for any number of inputs.
    strided:   `prepare` reads inputs in any layout.
    images:    the output is [batch, channels, *size], best with its channels last in memory.
    view:      the output is the input's memory seen otherwise.
    pointwise: element i of the output depends on element i of the inputs only.
    real:      its values are fractions: whole numbers are taken as floats.
    in_place:  a pointwise op may write over any of its inputs.
    onto:      the input that `prepare` may write its output over.
    scalar:    the same function of plain numbers, for compile time.
    choosing:  inputs that only choose which elements, or which whole number, are meant: they get no gradient, and checks take them from
               the examples.
    meets:     `meets(*types, **attributes)` gives, for each input, the axes along which its elements meet; without it all may, but in
               a pointwise op none do.
    adds_up:   where elements meet along the batch, the outputs for parts of a batch add up to that for all of it.
    smooth:    has a second derivative everywhere; `why` says why a facet is None.
    flops:     `flops(out, *types, **attributes)`; without it a pointwise op counts one an element, and any other none.
    domain:    where random inputs for its checks are drawn from.
    """

    signature: str
    doc: str
    kernel: Kernel
    grad: GradRule | None = None
    onnx: str | Callable[..., str] | None = None
    examples: tuple[str, ...] = ()
    shape: Callable[..., Shape] | None = None
    dtype: str | Callable[..., str] | None = None
    prepare: Callable[..., Callable[[], Any]] | None = None
    variadic: bool = False
    strided: bool = False
    images: bool = False
    view: bool = False
    pointwise: bool = False
    real: bool = False
    in_place: bool = True
    onto: str = ""
    commutative: bool = False
    scalar: Callable[..., Any] | None = None
    choosing: tuple[str, ...] = ()
    meets: Callable[..., Sequence[Collection[int]]] | None = None
    adds_up: bool = False
    smooth: bool = True
    why: str = ""
    flops: Callable[..., Any] | None = None
    domain: tuple[float, float] = (-2.0, 2.0)

    def __post_init__(self) -> None:
        OPS[self.name] = self

    @cached_property
    def name(self) -> str:
        return self.signature.split("(", 1)[0]

    @cached_property
    def parsed(self) -> Signature:
        return parse_signature(self.signature)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parsed.parameters if p.type)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parsed.parameters if not p.type)

    def may_overwrite(self, position: int) -> bool:
        """Whether the output may take the memory of the input of this number."""
        return (self.pointwise and self.in_place) or (bool(self.onto) and self.inputs[position] == self.onto)

    def declared(self, number: int) -> tuple[Parameter, ...]:
        """The typed parameter that each of so many inputs is for."""
        return self._typed + self._typed[-1:] * (number - len(self._typed)) if self.variadic else self._typed

    @cached_property
    def is_source(self) -> bool:
        """Whether the value comes from outside: an input, parameter or state."""
        return self.name in ("input", "param", "state")

    def type(self, inputs: tuple[Type, ...], attrs: dict[str, Any]) -> Type:
        """The type of the output."""
        shape = self.shape(*inputs, **attrs) if self.shape else infer(self.parsed, tuple(t.shape for t in inputs))
        own = self.dtype(**attrs) if callable(self.dtype) else self.dtype
        return Type(attrs.get("dtype") or own or self._data(inputs).dtype, shape)

    def _data(self, inputs: tuple[Type, ...]) -> Type:
        """The first input that is not a truth to choose by."""
        return inputs[self._first_of_data]

    @cached_property
    def _first_of_data(self) -> int:
        return next((i for i, p in enumerate(self._typed) if p.type and p.type.base != "bool"), 0)

    @cached_property
    def _typed(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parsed.parameters if p.type)

    def work(self, out: Type, inputs: tuple[Type, ...], attrs: dict[str, Any]) -> Dim:
        """How many operations on numbers it takes."""
        if self.flops:
            flops: Dim = self.flops(out, *inputs, **attrs)
            return flops
        return count(out.shape) if self.pointwise and self.name != "cast" else 0

    def __call__(self, *inputs: Var | float, **attrs: Any) -> Var:
        graph = next(i.graph for i in inputs if not isinstance(i, int | float))
        return graph.call(self, *inputs, **attrs)

    def on_numbers(self, *values: Any) -> Any:
        """The op on plain numbers, at compile time."""
        function = self.scalar or getattr(math, self.name)
        return function(*values)
