"""Arrays to what a model's ports take: shapes, kinds, labels and finite numbers, each mistake with its row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, Span, did_you_mean, fault
from nnspec.graph import Size, Type
from nnspec.graph.types import bind, show, size_names
from nnspec.record import dataclass
from nnspec.run.fractions import Fractions
from nnspec.run.stored import Stored
from nnspec.syntax.trees import number_in
from nnspec.train.cells import KINDS, NOT_FINITE_HELP, as_truths, not_a_number, quoted
from nnspec.train.files import missing_help

Fields = dict[str, np.ndarray]
"""Arrays by the name of their port, each with the examples along axis 0."""

MAX_LISTED = 12
# The largest float64 below 2^63, so that a comparison of either kind is exact.
LARGEST_INT = 2**63 - 1024


def check(
    fields: Mapping[str, Any],
    ports: Mapping[str, Type],
    span: Span | None,
    dtype: str,
    labels: dict[str, list[str]] | None = None,
    stand_ins: Mapping[str, np.ndarray] | None = None,
) -> Fields:
    """The arrays of the ports, as the engine takes them, or the Fault that says what is wrong with them.

    Float ports get `dtype`, classes and ints int64, bools bool. An example of another rank with as many elements is
    reshaped row by row. Texts for a class(N) become the class numbers of the sorted texts, or those that `labels` have; it
    learns what it has not. A NaN gets what `stand_ins` have in its place of an example.
    """
    return Checker(ports, span, dtype, labels={} if labels is None else labels, stand_ins=stand_ins or {}).check(fields)


def examples(fields: Mapping[str, np.ndarray]) -> int:
    """How many there are, the same for every field."""
    return len(next(iter(fields.values())))


def listing(names: Iterable[str]) -> str:
    """The first names, for a help line."""
    known = list(names)
    return ", ".join(f"`{n}`" for n in known[:MAX_LISTED]) + (", ..." if len(known) > MAX_LISTED else "")


@dataclass(frozen=True)
class Whence:
    """Where rows come from: a table, how many rows of it came before them, and which of its columns hold fractions, in whatever row.

    They have `numbers` of their own in it where others between them are left out.
    """

    table: Path | None = None
    before: int = 0
    fractional: frozenset[str] = frozenset()
    numbers: np.ndarray | None = None

    def row(self, number: int) -> int:
        """The number in the table, counted from 1, of a row counted from 0."""
        return 1 + (self.before + number if self.numbers is None else int(self.numbers[number]))

    def said(self, taken: Any) -> str:
        """The table, and the column where it is one."""
        if not self.table:
            return ""
        return f"{self.table}, column `{taken}`: " if isinstance(taken, str) else f"{self.table}: "


@dataclass(frozen=True)
class Checker:
    """Checks fields against ports; `labels` keeps the texts of each class port, so that every part numbers them alike.

    `whence` says where the rows come from, and `origins`, before a message, where the data of a port do. `stand_ins` stand for missing
    values.
    """

    ports: Mapping[str, Type]
    span: Span | None
    dtype: str
    spans: Mapping[str, Span] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)
    whence: Whence = field(default_factory=Whence)
    origins: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, np.ndarray] = field(default_factory=dict)

    def check(self, fields: Mapping[str, Any]) -> Fields:
        for name in self.ports:
            if name not in fields:
                help = did_you_mean(name, fields) or (f"there are {listing(fields)}" if fields else f"`{name}` is {self.ports[name]}")
                raise fault("E307", f"there is no data for `{name}`", self.span, help=help)
        arrays = {name: self.array(name, fields[name]) for name in self.ports}
        self.check_lengths(arrays)
        sizes = self.sizes(arrays)
        shapes = {name: self.shape(name, values, sizes) for name, values in arrays.items()}
        return {name: self.convert(name, values).reshape(shapes[name]) for name, values in arrays.items()}

    def fault(self, code: str, name: str, message: str, at: tuple[int, ...] = (), **more: Any) -> Fault:
        """The mistake of the data of a port; of the number `at` a place, where the spec itself has the numbers."""
        span = self.spans.get(name, self.span)
        written = number_in(span, (self.whence.row(at[0]) - 1, *at[1:])) if span and at else None
        return fault(code, self.origins.get(name, "") + message, written or span, **more)

    def place(self, at: tuple[int, ...]) -> str:
        """Rows and columns, counted from 1."""
        row, rest = self.whence.row(at[0]), [i + 1 for i in at[1:]]
        return f"row {row}" + (f", column {rest[0]}" if len(rest) == 1 else f", at {rest}" if rest else "")

    def array(self, name: str, value: Any) -> np.ndarray:
        """An array of numbers, bools or, as objects, texts."""
        if isinstance(value, Fractions) and self.ports[name].is_float:
            return value  # type: ignore[return-value]  # it does what is asked of an array here, and every number is finite
        if isinstance(value, Stored) and value.dtype == self.kept_as(name):
            return value  # type: ignore[return-value]  # it was checked before it was stored
        try:
            values = np.asarray(value)
        except ValueError:
            raise self.fault("E303", name, f"the examples of `{name}` do not all have the same shape") from None
        if values.dtype.kind in "UO":
            values = self.objects(name, np.asarray(value, dtype=object))
        if values.dtype.kind not in KINDS:
            raise self.fault("E309", name, f"the data of `{name}` holds {values.dtype}, not numbers")
        if values.ndim == 0 and self.ports[name].leads_with_batch:
            raise self.fault("E303", name, f"`{name}` is a single value, not a list of examples")
        return values

    def kept_as(self, name: str) -> str:
        """The kind of number that an engine takes."""
        return self.dtype if self.ports[name].is_float else self.ports[name].dtype

    def objects(self, name: str, values: np.ndarray) -> np.ndarray:
        """Texts as they are, anything else as float64, of which what is missing is NaN."""
        texts = [isinstance(v, str) for v in values.flat]
        if texts and all(texts):
            return values
        nothing = np.reshape([_is_nothing(v) for v in values.flat], values.shape)
        if any(texts) and np.reshape(texts, values.shape)[~nothing].all():
            message = f"`{name}`, {self.place(_first(nothing))}: a value is missing" if values.shape else f"`{name}` is missing"
            raise self.fault("E306", name, message, help=NOT_FINITE_HELP)
        try:
            if not any(texts):
                return np.where(nothing, np.nan, values).astype(np.float64)
        except (ValueError, TypeError, OverflowError):
            pass
        raise self.fault("E309", name, f"the data of `{name}` is neither all numbers nor all texts")

    def check_lengths(self, arrays: Fields) -> None:
        first: str | None = None
        for name, values in ((n, v) for n, v in arrays.items() if self.ports[n].leads_with_batch):
            if len(values) == 0:
                raise self.fault("E308", name, f"there are no examples for `{name}`")
            first = first or name
            if len(values) != len(arrays[first]):
                raise self.fault("E308", name, f"`{name}` has {len(values)} examples, and `{first}` has {len(arrays[first])}")

    def sizes(self, arrays: Fields) -> dict[str, int]:
        """The named sizes, each from where it first stands alone as a dimension."""
        sizes: dict[str, int] = {}
        for name, values in arrays.items():
            first = int(self.ports[name].leads_with_batch)
            if values.ndim == self.ports[name].rank:
                pairs = zip(self.ports[name].shape[first:], values.shape[first:], strict=True)
                sizes = {str(dim): number for dim, number in pairs if dim == Size.named(str(dim))} | sizes
        return sizes

    def shape(self, name: str, values: np.ndarray, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape that the values take."""
        first = int(self.ports[name].leads_with_batch)
        declared, given = self.ports[name].shape[first:], values.shape[first:]
        known = not size_names(declared) - set(sizes)
        expected: tuple[int, ...] = bind(declared, sizes) if known else ()
        reshaped = len(expected) != len(given) and math.prod(expected) == math.prod(given)
        if not known or not (expected == given or reshaped):
            bound = ", ".join(f"{n} = {sizes[n]}" for n in sorted(size_names(declared)) if n in sizes)
            where = f" with {bound}" if bound else ""
            is_single = first and values.shape == expected and not self.span
            classes = self.ports[name].classes
            if classes and given == (*expected, classes):
                help_ = f"one number for each of {classes} classes stands where a class number is due: `{name}.argmax(axis=-1)`"
            else:
                help_ = f"this is one example: a batch of it is `{name}[None]`" if is_single else ""
            raise self.fault(
                "E303",
                name,
                f"`{name}` is declared {show(declared)}{where}, and {'an example of its data' if first else 'its data'} is {show(given)}",
                help=help_,
            )
        return (*values.shape[:first], *expected)

    def convert(self, name: str, values: np.ndarray) -> np.ndarray:
        type = self.ports[name]
        if isinstance(values, Fractions | Stored):
            return values
        values = values if type.classes else as_truths(values)
        if values.dtype == object and not type.classes:
            first = str(values.flat[0])
            message = (
                f"{self.origins.get(name, '')}`{name}` takes numbers, and its data is text: {quoted(first)} in row {self.whence.row(0)}"
            )
            raise not_a_number(first, message, self.spans.get(name, self.span), "")
        if values.dtype == object:
            return self.numbered(name, values)
        return self.floats(name, values) if type.is_float else self.whole(name, values)

    def floats(self, name: str, values: np.ndarray) -> np.ndarray:
        if name in self.stand_ins and self.stand_ins[name].size == math.prod(values.shape[1:]):
            values = np.where(np.isnan(values), self.stand_ins[name].reshape(values.shape[1:]), values)
        with np.errstate(over="ignore"):
            converted = _as(values, self.dtype)
        finite = np.isfinite(converted)
        if not finite.all():
            at = _first(~finite)
            why = "is not a finite number" if not np.isfinite(values[at]) else f"does not fit into {self.dtype}"
            missing = np.isnan(values)
            table = self.whence.table if missing[at] else None
            help_ = missing_help(table, int(missing.sum()), is_number=True, span=self.span) if table else NOT_FINITE_HELP
            if np.isfinite(values[at]):
                help_ = f"its largest number is {np.finfo(self.dtype).max:.3g}: write the values in a larger unit, or remove the row"
            raise self.fault("E306", name, f"`{name}`, {self.place(at)}: {shown(values[at])} {why}", at, help=help_)
        return converted

    def whole(self, name: str, values: np.ndarray) -> np.ndarray:
        """Class numbers, whole numbers or bools."""
        low, high, takes = _range(self.ports[name])
        good = (values >= low) & (values <= high)
        if values.dtype.kind == "f":
            good &= values == np.floor(values)
        if not good.all():
            at = _first(~good)
            from_one = values.min() == 1 and values.max() == high + 1
            between = "the number of a class is whole" if self.ports[name].classes and low < values[at] < high else ""
            code = "E305" if np.isfinite(values[at]) else "E306"
            message = f"`{name}`, {self.place(at)}: {shown(values[at])}, and {takes}"
            raise self.fault(code, name, message, at, help="class numbers start at 0: subtract 1 from each" if from_one else between)
        return _as(values, self.ports[name].dtype)

    def numbered(self, name: str, values: np.ndarray) -> np.ndarray:
        """Texts to class numbers, in the sorted order of the texts that came first."""
        known = self.labels.setdefault(name, sorted(set(values.flat)))
        number = {text: i for i, text in enumerate(known)}
        if len(known) != self.ports[name].classes:
            message = f"`{name}` is class({self.ports[name].classes}), and its data has {len(known)} labels: {listing(known)}"
            raise self.fault("E305", name, message, help="texts are numbered in sorted order, so all must occur; or give class numbers")
        for at, text in np.ndenumerate(values):
            if text not in number:
                message = f"`{name}`, {self.place(at)}: {quoted(text)} is not a label of the training data"
                raise self.fault("E305", name, message, help=f"they are {listing(known)}")
        return np.array([number[text] for text in values.flat], dtype=np.int64).reshape(values.shape)


def _as(values: np.ndarray, dtype: str) -> np.ndarray:
    """Contiguous and of this type; but windows that overlap stay as they are, for laid out they would take many times the memory."""
    low, high = np.lib.array_utils.byte_bounds(values)
    return values if values.dtype == dtype and high - low < values.nbytes else np.ascontiguousarray(values, dtype=dtype)


def _range(type: Type) -> tuple[int, int, str]:
    """The least and the largest value a port takes, and both in words."""
    if type.classes:
        return 0, type.classes - 1, f"class({type.classes}) takes 0 to {type.classes - 1}"
    return (0, 1, "a bool is 0 or 1") if type.dtype == "bool" else (-LARGEST_INT, LARGEST_INT, "an int is a whole number")


def _is_nothing(value: Any) -> bool:
    """Whether it is None, NaN, or the NA of pandas, which is like no other in that a comparison of it is no truth."""
    try:
        return value is None or not bool(value == value)  # noqa: PLR0124  # so NaN is known, of whatever type
    except (TypeError, ValueError):
        return np.ndim(value) == 0


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))


def shown(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, np.floating) else str(value)
