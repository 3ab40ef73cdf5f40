"""Dimensions and types: a dimension is a whole number, or a size that is known only at run time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any

from nnspec.record import dataclass

BATCH_NAME = "batch"
ITEM_BYTES = {"float32": 4, "float64": 8, "int64": 8, "uint32": 4, "uint8": 1, "bool": 1}


class Indivisible(ValueError):
    """A size that is known only at run time is to be divided by what is no factor of it."""


@dataclass(frozen=True)
class Size:
    """A polynomial in named sizes, such as `batch`, `T - 2` or `2*T*batch`."""

    terms: tuple[tuple[tuple[str, ...], int], ...]

    @staticmethod
    def named(name: str) -> Size:
        return Size((((name,), 1),))

    @property
    def names(self) -> set[str]:
        return {n for monomial, _ in self.terms for n in monomial}

    def bind(self, sizes: Mapping[str, int]) -> int:
        return sum(factor * prod(sizes[n] for n in monomial) for monomial, factor in self.terms)

    def replaced(self, name: str, by: Dim) -> Dim:
        """The size with another in the place of a named one."""
        total: Dim = 0
        for monomial, factor in self.terms:
            part: Dim = factor
            for other in monomial:
                part = part * (by if other == name else Size.named(other))
            total = total + part
        return total

    def __add__(self, other: Dim) -> Dim:
        total = dict(self.terms)
        for monomial, factor in _terms(other):
            total[monomial] = total.get(monomial, 0) + factor
        return _simplest(total)

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return Size(tuple((m, f * other) for m, f in self.terms)) if other else 0
        total: dict[tuple[str, ...], int] = {}
        for m1, f1 in self.terms:
            for m2, f2 in _terms(other):
                monomial = tuple(sorted(m1 + m2))
                total[monomial] = total.get(monomial, 0) + f1 * f2
        return _simplest(total)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + -other

    def __rsub__(self, other: int) -> Dim:
        return -self + other

    def __floordiv__(self, other: Dim) -> Dim:
        """Exact division by a number or by one of the factors; Indivisible for anything else."""
        total = {}
        (divisor_names, divisor), *more = _terms(other)
        for monomial, factor in self.terms:
            rest = list(monomial)
            for name in divisor_names:
                if name in rest:
                    rest.remove(name)
            if more or not divisor or factor % divisor or len(rest) > len(monomial) - len(divisor_names):
                raise Indivisible(f"{self} is not divisible by {other}")
            total[tuple(rest)] = factor // divisor
        return _simplest(total)

    def __rfloordiv__(self, other: int) -> Dim:
        raise Indivisible(f"{other} is not divisible by {self}")

    def __str__(self) -> str:
        parts = ["*".join(([str(f)] if f != 1 or not m else []) + list(m)) for m, f in self.terms]
        return " + ".join(parts).replace("+ -1*", "- ").replace("+ -", "- ")


Dim = int | Size
MAX_DIMENSION = 2**31 - 1
Shape = tuple[Dim, ...]


def _terms(dim: Dim) -> Iterable[tuple[tuple[str, ...], int]]:
    return dim.terms if isinstance(dim, Size) else (((), dim),)


def _simplest(terms: dict[tuple[str, ...], int]) -> Dim:
    kept = {m: f for m, f in terms.items() if f}
    if not kept or set(kept) == {()}:
        return kept.get((), 0)
    return Size(tuple(sorted(kept.items(), key=lambda t: (-len(t[0]), t[0]))))


BATCH = Size.named(BATCH_NAME)


class Sized(ABC):
    """An attribute of an op that has sizes inside."""

    @property
    @abstractmethod
    def names(self) -> set[str]:
        """Those of the sizes."""

    @abstractmethod
    def bound(self, sizes: Mapping[str, int]) -> Any:
        """What the op's kernel takes."""

    @abstractmethod
    def with_batch(self, batch: Dim) -> Any:
        """The same for another batch."""


def bind(value: Any, sizes: Mapping[str, int]) -> Any:
    """A value with every size in it, at any depth, replaced by its number."""
    if isinstance(value, Size):
        return value.bind(sizes)
    if isinstance(value, Sized):
        return value.bound(sizes)
    return tuple(bind(v, sizes) for v in value) if isinstance(value, tuple) else value


def with_batch(value: Any, batch: Dim) -> Any:
    """A value with another batch in every size in it, at any depth."""
    if isinstance(value, tuple):
        return tuple(with_batch(v, batch) for v in value)
    if isinstance(value, Sized):
        return value.with_batch(batch)
    return value.replaced(BATCH_NAME, batch) if isinstance(value, Size) else value


def nested(values: Any) -> Any:
    """Lists within lists as tuples within tuples, as constants have them."""
    return tuple(map(nested, values)) if isinstance(values, list) else values


def count(shape: Iterable[Dim]) -> Dim:
    """How many elements a shape has."""
    total: Dim = 1
    for dim in shape:
        total = total * dim
    return total


def replaced(shape: Shape, axis: int, dim: Dim) -> Shape:
    """The shape with another dimension there."""
    return (*shape[:axis], dim, *shape[axis + 1 :])


def size_names(value: Any) -> set[str]:
    """The names of all sizes in a value, at any depth."""
    if isinstance(value, tuple):
        return set().union(*map(size_names, value))
    return value.names if isinstance(value, Size | Sized) else set()


@dataclass(frozen=True)
class Type:
    """Element type and full shape; `classes` is N for a `class(N)`."""

    dtype: str
    shape: Shape = ()
    classes: int | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @cached_property
    def longest(self) -> int:
        """The length of its longest axis, of those that are known before it runs."""
        return max((n for n in self.shape if isinstance(n, int)), default=0)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The shape, once every size in it is bound."""
        assert not any(isinstance(d, Size) for d in self.shape), self
        return self.shape  # type: ignore[return-value]  # the line above

    @property
    def nbytes(self) -> int:
        """What an array of it takes, once every size in it is bound."""
        return prod(self.numbers) * ITEM_BYTES[self.dtype]

    def bound(self, sizes: Mapping[str, int]) -> Type:
        return replace(self, shape=bind(self.shape, sizes))

    @property
    def has_batch(self) -> bool:
        return BATCH_NAME in size_names(self.shape)

    @property
    def leads_with_batch(self) -> bool:
        """Whether its first axis is the examples."""
        return self.shape[:1] == (BATCH,)

    @property
    def example(self) -> Shape:
        """The shape without the batch."""
        return tuple(d for d in self.shape if d != BATCH)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    def __str__(self) -> str:
        name = f"class({self.classes})" if self.classes else self.dtype
        return f"{name}{show(self.shape)}"


def show(shape: Iterable[Dim]) -> str:
    """A shape as the language writes it."""
    return f"[{', '.join(map(str, shape))}]"


def broadcast(*shapes: Shape) -> Shape | None:
    """The common shape by NumPy's rule, or None."""
    longest = max(shapes, key=len, default=())
    if all(not s or s == longest for s in shapes):
        return longest
    rank = len(longest)
    out: list[Dim] = []
    for axis in range(rank):
        dims = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {1}
        if len(dims) > 1:
            return None
        out.append(dims.pop() if dims else 1)
    return tuple(out)
