"""Matching shapes against signatures: `[*s, n]` takes any run of dimensions and then one named n."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nnspec.graph.types import Dim, Shape, broadcast, show
from nnspec.syntax.ast import Expr, Name, Number, Signature, Star

REMEMBERED = 4096


class Mismatch(Exception):
    """A shape that does not fit, in words; `parameter` names the argument at fault."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.message, self.parameter = message, parameter


class Bindings:
    """What the names in a signature stand for so far, and which parameter said so."""

    def __init__(self, **known: Any) -> None:
        self.values: dict[str, Any] = known
        self.origin: dict[str, str] = {}

    def match(self, parameter: str, dims: tuple[Expr | Star, ...], shape: Shape) -> None:
        """Take the names in `dims` from a shape; Mismatch when they contradict it."""
        star = next((i for i, d in enumerate(dims) if isinstance(d, Star)), None)
        if len(shape) < len(dims) - (star is not None) or (star is None and len(shape) != len(dims)):
            raise self._mismatch(parameter, dims, shape)
        if star is None:
            self._dims(parameter, dims, shape, shape)
            return
        after = len(dims) - star - 1
        middle = len(shape) - after
        self._star(parameter, dims[star], shape[star:middle])
        self._dims(parameter, dims[:star], shape[:star], shape)
        self._dims(parameter, dims[star + 1 :], shape[middle:], shape)
        return

    def _mismatch(self, parameter: str, dims: tuple[Expr | Star, ...], shape: Shape) -> Mismatch:
        return Mismatch(f"`{parameter}` is {show(shape)}, expected {self.pattern(dims)}", parameter)

    def _dims(self, parameter: str, dims: tuple[Expr | Star, ...], values: Shape, shape: Shape) -> None:
        for dim, value in zip(dims, values, strict=True):
            if isinstance(dim, Number) and dim.value != value:
                raise self._mismatch(parameter, dims, shape)
            if isinstance(dim, Name) and dim.id != "_":
                self._bind(parameter, dim.id, value)

    def _bind(self, parameter: str, name: str, value: Dim) -> None:
        known = self.values.setdefault(name, value)
        if known != value:
            raise Mismatch(f"`{name}` is {known} in `{self.origin.get(name, name)}` and {value} in `{parameter}`", parameter)
        self.origin.setdefault(name, parameter)

    def _star(self, parameter: str, star: Any, run: Shape) -> None:
        known = self.values.get(star.name, ())
        common = broadcast(known, run)
        if common is None:
            raise Mismatch(f"{show(known)} and {show(run)} do not broadcast", parameter)
        self.values[star.name] = common

    def shape(self, dims: tuple[Expr | Star, ...]) -> Shape:
        """The shape a pattern stands for, once its names are known."""
        out: list[Dim] = []
        for dim in dims:
            if isinstance(dim, Star):
                out += self.values[dim.name]
            elif isinstance(dim, Name):
                out.append(self.values[dim.id])
            else:
                assert isinstance(dim, Number)
                out.append(int(dim.value))
        return tuple(out)

    def pattern(self, dims: tuple[Expr | Star, ...]) -> str:
        return f"[{', '.join(d.span.text for d in dims)}]"


@lru_cache(maxsize=REMEMBERED)
def infer(signature: Signature, shapes: tuple[Shape, ...]) -> Shape:
    """The output shape of a signature for given input shapes."""
    bindings = Bindings()
    typed = [p for p in signature.parameters if p.type]
    for parameter, shape in zip(typed, shapes, strict=True):
        assert parameter.type
        bindings.match(parameter.name, parameter.type.dims, shape)
    return bindings.shape(signature.returns.dims)
