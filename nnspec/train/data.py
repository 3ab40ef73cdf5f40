"""The data of a train block: read, bound to the model's inputs and targets by name, checked, and split into its three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault, Span, did_you_mean, fault
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.train.check import Checker, Fields, check, listing
from nnspec.train.files import Readers
from nnspec.train.sources import IDX_SOURCES, Parts, open_source, source_from_path

__all__ = ["Dataset", "Fields", "check", "load", "read", "source_from_path"]

SPLIT_SEED = 0x7A11D


@dataclass(frozen=True)
class Dataset:
    """What is trained on, watched while training, and kept for the end."""

    train: Fields
    validation: Fields | None
    test: Fields | None


def load(
    training: Training,
    inputs: Mapping[str, Type],
    targets: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
) -> Dataset:
    """The data of a train block, checked against all inputs and targets; `data` is the command line's `--data`."""
    return _Loader(training, {**inputs, **targets}, folder, data, dtype).load()


def read(source: DataSource, ports: Mapping[str, Type], folder: Path, data: str | None = None, dtype: str = "float32") -> Fields:
    """All examples of one source, checked against these ports only."""
    fields = bind(source, open_source(source, folder, data, dtype).whole(), ports)
    return Checker(ports, source.span, dtype, source.spans).check(fields)


def bind(source: DataSource, readers: Readers, ports: Mapping[str, Type]) -> dict[str, Any]:
    """For each port the field of its name, or what the source's arguments name for it."""
    return {port: _field(source, readers, port) for port in ports}


def _field(source: DataSource, readers: Readers, port: str) -> Any:
    chosen = port if source.name == "inline" else source.fields.get(port, port)
    names = chosen if isinstance(chosen, tuple) else (chosen,)
    for name in names:
        if name not in readers:
            raise _no_field(source, readers, port, name)
    if not isinstance(chosen, tuple):
        return readers[chosen]()
    columns = [readers[name]() for name in names]
    kinds = {c.dtype == object for c in columns}
    if len(kinds) > 1:
        text = next(n for n, c in zip(names, columns, strict=True) if c.dtype == object)
        raise fault("E309", f"`{port}` takes numbers, and the column `{text}` holds text", source.spans.get(port, source.span))
    return _side_by_side(source, port, names, columns)


def _side_by_side(source: DataSource, port: str, names: tuple[str, ...], columns: list[np.ndarray]) -> np.ndarray:
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

    def __init__(self, training: Training, ports: Mapping[str, Type], folder: Path, data: str | None, dtype: str) -> None:
        self.training, self.ports, self.folder, self.data, self.dtype = training, ports, folder, data, dtype
        self.labels: dict[str, list[str]] = {}

    def load(self) -> Dataset:
        source, data = self.main_source()
        parts = self.opened(source, data)
        train = self.checked(source, parts.train)
        own_test = self.checked(source, parts.test) if parts.test and not isinstance(self.training.test, DataSource) else None
        train, validation, test = self.split(train, own_test is not None)
        if isinstance(self.training.validation, DataSource):
            validation = self.other(self.training.validation)
        if isinstance(self.training.test, DataSource):
            test = self.other(self.training.test)
        return Dataset(train, validation or None, own_test or test or None)

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
        return open_source(source, self.folder, data, self.dtype)

    def checked(self, source: DataSource, readers: Readers) -> Fields:
        fields = bind(source, readers, self.ports)
        return Checker(self.ports, source.span, self.dtype, source.spans, self.labels).check(fields)

    def other(self, source: DataSource) -> Fields:
        """A source of its own for validation or test: the part it holds out, or all of it."""
        same = self.training.data is not None and source.name == self.training.data.name and source.name in IDX_SOURCES
        parts = self.opened(source, self.data if same else None)
        return self.checked(source, parts.test or parts.train)

    def split(self, fields: Fields, tested: bool) -> tuple[Fields, Fields, Fields]:
        """Training, validation and test examples, the last two empty where no fraction asks for them.

        Both fractions are of all examples that could be trained on.
        """
        count = len(next(iter(fields.values())))
        order = np.random.default_rng([self.training.seed, SPLIT_SEED]).permutation(count)
        validating = self.share("validation", count)
        testing = 0 if tested else self.share("test", count)
        if validating + testing >= count:
            raise fault("E308", f"validation and test leave none of the {count} examples to train on", self.span_of("validation"))
        if not validating + testing:
            return fields, {}, {}
        validation, test, train = np.split(order, [validating, validating + testing])
        return _rows(fields, train), _rows(fields, validation), _rows(fields, test)

    def share(self, part: str, count: int) -> int:
        fraction = getattr(self.training, part)
        if not isinstance(fraction, float):
            return 0
        if round(fraction * count) == 0:
            raise fault("E308", f"{part} {fraction:g} of {count} examples is none", self.span_of(part))
        return round(fraction * count)

    def span_of(self, part: str) -> Span:
        return self.training.spans.get(part, self.training.span)


def _rows(fields: Fields, rows: np.ndarray) -> Fields:
    """These examples, in the order of the file."""
    return {name: values[np.sort(rows)] for name, values in fields.items()} if len(rows) else {}
