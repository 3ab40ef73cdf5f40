"""The data of a train block: read, bound to the model's inputs and targets by name, checked, and split into its three parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, Span, did_you_mean, fault
from nnspec.elaborate.fields import Formula
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.record import dataclass
from nnspec.train.check import Checker, Fields, check, examples, listing
from nnspec.train.files import Parts, Readers, not_a_number, quoted
from nnspec.train.formulas import computed
from nnspec.train.sources import IDX_SOURCES, LABELLED, open_source, source_for, source_from_path

__all__ = ["Dataset", "Fields", "Labels", "check", "load", "read", "source_for", "source_from_path"]

Labels = Mapping[str, Sequence[str]]
"""What the class numbers of a port stand for: the sorted texts of its column, or the characters of its text."""

SPLIT_SEED = 0x7A11D
SAMPLED = 64


@dataclass(frozen=True)
class Dataset:
    """What is trained on, watched while training, and kept for the end."""

    train: Fields
    validation: Fields | None
    test: Fields | None
    labels: Labels = field(default_factory=dict)

    def as_arrays(self) -> Dataset:
        """The same with every field as an array of the numbers it stands for."""
        parts = ({n: np.asarray(v) for n, v in p.items()} if p else None for p in (self.train, self.validation, self.test))
        train, validation, test = parts
        return Dataset(train or {}, validation, test, self.labels)


@dataclass(frozen=True)
class Sample:
    """Some examples as their source has them, and as the model takes them; `made` says what each input that is computed is made of."""

    fields: Fields
    inputs: Fields
    made: Mapping[str, Sequence[str | Formula]]

    def written(self) -> dict[str, str]:
        """What each input that is computed is made of, as the spec says it."""
        return {name: str(items[0]) if len(items) == 1 else f"[{', '.join(map(str, items))}]" for name, items in self.made.items()}


def sample(
    training: Training,
    inputs: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
) -> Sample:
    """A few of the examples of a train block, with what its data block makes of them for these inputs."""
    loader = _Loader(training, dict(inputs), folder, data, dtype, labels or {})
    source, path = loader.main_source()
    known = {n: c for n, c in source.fields.items() if n in inputs}
    parts = open_source(source, folder, path, dtype, _known(source, loader.labels))
    made = {n: _as_items(c) for n, c in known.items() if not isinstance(c, str) and source.name != "inline"}
    names = {name for items in made.values() for item in items for name in _names(item) if name in parts.train}
    return Sample(
        {n: np.asarray(parts.train[n]()[:SAMPLED]) for n in sorted(names)},
        {n: np.asarray(v[:SAMPLED]) for n, v in loader.checked(source, parts, parts.train).items()},
        made,
    )


def load(
    training: Training,
    inputs: Mapping[str, Type],
    targets: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
) -> Dataset:
    """The data of a train block, checked against all inputs and targets; `data` is the command line's `--data`.

    Texts are numbered by `labels` where they have their port, those of an earlier training.
    """
    return _Loader(training, {**inputs, **targets}, folder, data, dtype, labels or {}).load()


def read(
    source: DataSource,
    ports: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
) -> Fields:
    """All examples of one source, checked against these ports only."""
    known = {port: list(texts) for port, texts in (labels or {}).items()}
    parts = open_source(source, folder, data, dtype, _known(source, known))
    return _checked(source, parts, parts.whole(), ports, dtype, known)


def _checked(
    source: DataSource, parts: Parts, readers: Readers, ports: Mapping[str, Type], dtype: str, labels: dict[str, list[str]]
) -> Fields:
    """Some fields of an opened source, bound to the ports; `labels` learns what their class numbers stand for."""
    _keep_labels(source, parts.labels, ports, labels)
    return bound(source, readers, ports, dtype, labels, table=parts.table)


def _known(source: DataSource, labels: Labels) -> Sequence[str]:
    """What the class numbers of a source stood for in an earlier training, or in another part."""
    named = LABELLED.get(source.name, ())
    return next((texts for port, texts in labels.items() if source.fields.get(port, port) in named), ())


def _keep_labels(source: DataSource, named: Labels, ports: Mapping[str, Type], labels: dict[str, list[str]]) -> None:
    for port, type in ports.items():
        chosen = source.fields.get(port, port)
        if type.classes and isinstance(chosen, str) and chosen in named:
            texts = named[chosen]
            if type.classes != len(texts):
                message = f"`{port}` is class({type.classes}), and its data has {len(texts)} classes: {listing(texts)}"
                raise fault("E305", message, source.spans.get(port, source.span), help=f"declare it class({len(texts)})")
            labels[port] = list(texts)


def bound(
    source: DataSource,
    readers: Readers,
    ports: Mapping[str, Type],
    dtype: str,
    labels: dict[str, list[str]],
    before: int = 0,
    table: Path | None = None,
) -> Fields:
    """For each port the field of its name, or what the source's arguments make for it, checked; `before` rows of a table came before."""
    origins = {port: _origin(table, _chosen(source, port)) for port in ports}
    fields = {port: _field(source, readers, port, dtype if type.is_float else None, origins[port]) for port, type in ports.items()}
    return Checker(ports, source.span, dtype, source.spans, labels, before, origins).check(fields)


def _origin(table: Path | None, chosen: Any) -> str:
    """The table that the examples of a port come from, and the column where it is one."""
    if not table:
        return ""
    return f"{table}, column `{chosen}`: " if isinstance(chosen, str) else f"{table}: "


def names_read(source: DataSource, ports: Mapping[str, Type]) -> frozenset[str]:
    """The fields that these ports are made of."""
    return frozenset(name for port in ports for item in _as_items(_chosen(source, port)) for name in _names(item))


def _chosen(source: DataSource, port: str) -> Any:
    return port if source.name == "inline" else source.fields.get(port, port)


def _as_items(chosen: Any) -> tuple[Any, ...]:
    return chosen if isinstance(chosen, tuple) else (chosen,)


def _names(item: Any) -> Sequence[str]:
    return item.names() if isinstance(item, Formula) else (item,)


def _field(source: DataSource, readers: Readers, port: str, dtype: str | None, origin: str) -> Any:
    chosen = _chosen(source, port)
    items = _as_items(chosen)
    for item in items:
        for name in _names(item):
            if name not in readers and not (isinstance(item, Formula) and item.means(name)):
                raise _no_field(source, readers, port, name)
    columns = [computed(item, readers, dtype) if isinstance(item, Formula) else readers[item]() for item in items]
    if not isinstance(chosen, tuple):
        return columns[0]
    kinds = {c.dtype == object for c in columns}
    if len(kinds) > 1:
        name, first = next((str(i), c[0]) for i, c in zip(items, columns, strict=True) if c.dtype == object)
        message = f"{origin}`{port}` takes numbers, and the column `{name}` holds text: {quoted(first)} in row 1"
        help_ = "a list takes columns of numbers; class numbers become numbers by `one_hot(column, N)`"
        raise not_a_number(first, message, source.spans.get(port, source.span), help_)
    return _side_by_side(source, port, [str(i) for i in items], columns)


def _side_by_side(source: DataSource, port: str, names: Sequence[str], columns: list[np.ndarray]) -> np.ndarray:
    span = source.spans.get(port, source.span)
    for name, column in zip(names, columns, strict=True):
        if column.ndim == 0 or len(column) != len(columns[0]):
            raise fault("E308", f"`{name}` and `{names[0]}` do not have the same number of examples", span)
    return np.concatenate([c.reshape(len(c), -1 if c.size else 1) for c in columns], axis=1)


def _no_field(source: DataSource, readers: Readers, port: str, name: str) -> Fault:
    message = f"`{source.name}` has no field `{name}`" + (f" for `{port}`" if name != port else "")
    near = did_you_mean(name, readers)
    there = f"its fields are {listing(readers)}" if readers else "it has no fields"
    file = '"file", ' if source.path else ""
    how = "" if source.name == "inline" or name != port else f"; choose one with `{source.name}({file}{port} = ..)`"
    span = source.spans.get(port, source.span) if name != port else source.span
    return fault("E307", message, span, help=f"{near} {there}{how}".strip())


class _Loader:
    """Opens the sources of one train block and cuts them into parts."""

    def __init__(self, training: Training, ports: Mapping[str, Type], folder: Path, data: str | None, dtype: str, labels: Labels) -> None:
        self.training, self.ports, self.folder, self.data, self.dtype = training, ports, folder, data, dtype
        self.labels = {port: list(texts) for port, texts in labels.items()}

    def load(self) -> Dataset:
        source, data = self.main_source()
        parts = self.opened(source, data)
        train = self.checked(source, parts, parts.train)
        own_test = self.checked(source, parts, parts.test) if parts.test and not isinstance(self.training.test, DataSource) else None
        train, validation, test = self.split(train, own_test is not None, parts.ordered)
        if isinstance(self.training.validation, DataSource):
            validation = self.other(self.training.validation)
        if isinstance(self.training.test, DataSource):
            test = self.other(self.training.test)
        return Dataset(train, validation or None, own_test or test or None, self.labels)

    def main_source(self) -> tuple[DataSource, str | None]:
        """The source of `data` with the `--data` it is to use."""
        if self.training.data:
            return self.training.data, self.data
        if self.data:
            return source_from_path(self.data), None
        place = Span(self.training.span.source, self.training.span.start, self.training.span.start + len("train"))
        raise fault("E302", "this train block has no data", place, help="write for example `data digits`, or give `--data FILE`")

    def opened(self, source: DataSource, data: str | None) -> Parts:
        for name in source.fields:
            if name not in self.ports:
                near = did_you_mean(name, [*self.ports, *source.options]) or f"they are {listing(self.ports)}"
                raise fault("E307", f"the model has no input or target `{name}`", source.spans.get(name, source.span), help=near)
        return open_source(source, self.folder, data, self.dtype, _known(source, self.labels))

    def checked(self, source: DataSource, parts: Parts, readers: Readers) -> Fields:
        return _checked(source, parts, readers, self.ports, self.dtype, self.labels)

    def other(self, source: DataSource) -> Fields:
        """A source of its own for validation or test: the part it holds out, or all of it."""
        same = self.training.data is not None and source.name == self.training.data.name and source.name in IDX_SOURCES
        parts = self.opened(source, self.data if same else None)
        return self.checked(source, parts, parts.test or parts.train)

    def split(self, fields: Fields, tested: bool, ordered: bool) -> tuple[Fields, Fields, Fields]:
        """Training, validation and test examples, the last two empty where no fraction asks for them.

        Both fractions are of all examples that could be trained on: drawn by the seed, or, where they are ordered, the last ones.
        """
        count = examples(fields)
        validating = self.share("validation", count)
        testing = 0 if tested else self.share("test", count)
        if validating + testing >= count:
            message = f"validation and test leave none of the {count} examples to train on"
            raise fault("E308", message, self.span_of("validation"), help="both are fractions of all examples, together less than 1")
        if not validating + testing:
            return fields, {}, {}
        if ordered:
            cuts = (0, count - validating - testing, count - testing, count)
            first, second, third = ({n: v[a:b] for n, v in fields.items()} if a < b else {} for a, b in pairwise(cuts))
            return first, second, third
        order = np.random.default_rng([self.training.seed, SPLIT_SEED]).permutation(count)
        validation, test, train = np.split(order, [validating, validating + testing])
        return _rows(fields, train), _rows(fields, validation), _rows(fields, test)

    def share(self, part: str, count: int) -> int:
        fraction = getattr(self.training, part)
        if not isinstance(fraction, float):
            return 0
        if round(fraction * count) == 0:
            help_ = f"{part} {1 / count:.1g} is one of them" if count > 1 else "there must be more examples"
            raise fault("E308", f"{part} {fraction:g} of {count} examples is none", self.span_of(part), help=help_)
        return round(fraction * count)

    def span_of(self, part: str) -> Span:
        return self.training.spans.get(part, self.training.span)


def _rows(fields: Fields, rows: np.ndarray) -> Fields:
    """These examples, in the order of the file."""
    return {name: values[np.sort(rows)] for name, values in fields.items()} if len(rows) else {}
