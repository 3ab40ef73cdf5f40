"""The data of a train block: read, bound to the model's inputs and targets by name, checked, and split into its three parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from nnspec import resources
from nnspec.diagnostics import Span, fault
from nnspec.elaborate.fields import Formula
from nnspec.elaborate.sources import DataSource, check_field
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.limits import GIB
from nnspec.record import dataclass
from nnspec.run.stored import as_array
from nnspec.train.binding import bound, by_their_names, cells_of, in_their_colours, items, names_read
from nnspec.train.check import Fields, Whence, check, examples
from nnspec.train.labels import Labels, keep_labels, known_texts, lists, refuse_learnt
from nnspec.train.missing import Gaps, Means, columns_of, fillable, known_gaps, means_of, refuse_unknown, rows_kept
from nnspec.train.readers import Parts, Readers, Stretch, Tall
from nnspec.train.sources import IDX_SOURCES, TABLES, open_source, reading, source_for, source_from_path
from nnspec.train.split import Rows, split
from nnspec.train.streamed import Wish, laid_out, most_in_memory
from nnspec.train.telling import at, telling_rows
from nnspec.train.windows import gap

__all__ = ["Dataset", "Fields", "check", "divided", "load", "read", "source_for", "source_from_path"]

Array = np.ndarray[Any, np.dtype[Any]]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Dataset:
    """What is trained on, watched while training, and kept for the end."""

    train: Fields
    validation: Fields | None
    test: Fields | None
    labels: Labels = field(default_factory=dict)
    means: Means = field(default_factory=dict)

    def as_arrays(self) -> Dataset:
        """The same with every field as an array of the numbers it stands for; what lies in a file stays there."""
        parts = ({n: as_array(v) for n, v in p.items()} if p else None for p in (self.train, self.validation, self.test))
        train, validation, test = parts
        return Dataset(train or {}, validation, test, self.labels, self.means)


@dataclass(frozen=True)
class Sample:
    """Some examples as their source has them, and as the model takes them.

    `made` says what each input is made of that is no field of its own name as it comes, `means` what stands for the missing values of
    fields.
    """

    fields: Fields
    inputs: Fields
    made: Mapping[str, Sequence[str | Formula]]
    means: Mapping[str, Array] = field(default_factory=dict)

    def written(self) -> list[str]:
        """What is done to fields, as the spec says it."""
        filled = [f"{name}: {_short(mean)} where it is missing" for name, mean in self.means.items()]
        written = {name: [_as_written(item) for item in items] for name, items in self.made.items()}
        made = {name: items[0] if len(items) == 1 else f"[{', '.join(items)}]" for name, items in written.items()}
        return [*filled, *(f"{name} = {formula}" for name, formula in made.items() if name != formula)]


def sample(
    training: Training,
    inputs: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
    means: Means | None = None,
) -> Sample:
    """A few of the examples of a train block, with what its data block makes of them for these inputs; none of those without a value."""
    return _Loader(training, inputs, {}, folder, data, dtype, lists(labels), means or {}).sample()


def load(
    training: Training,
    inputs: Mapping[str, Type],
    targets: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
    means: Means | None = None,
    note: Note = lambda _: None,
) -> Dataset:
    """The data of a train block, checked against all inputs and targets; `data` is the command line's `--data`.

    Texts are numbered by `labels` where they have their port, and gaps filled by `means`, those of an earlier training. A `note` is told
    what becomes of the data.
    """
    return _Loader(training, inputs, targets, folder, data, dtype, lists(labels), means or {}, note).load()


def divided(
    training: Training,
    inputs: Mapping[str, Type],
    targets: Mapping[str, Type],
    folder: Path,
    fields: Fields,
    dtype: str = "float32",
    labels: Labels | None = None,
    means: Means | None = None,
) -> Dataset:
    """Arrays that are checked already, split as a train block says, with what it names for validation and test."""
    return _Loader(training, inputs, targets, folder, None, dtype, lists(labels), means or {}).divided(fields)


def read(
    source: DataSource,
    ports: Mapping[str, Type],
    folder: Path,
    data: str | None = None,
    dtype: str = "float32",
    labels: Labels | None = None,
    means: Means | None = None,
    every_row: bool = False,
    learns: bool = True,
    note: Note = lambda _: None,
) -> Fields:
    """All examples of one source, checked against these ports only; where `every_row` is wanted, none is left out for its gaps.

    Unless it `learns`, classes without `labels` are numbers. A `note` is told of rows that are left out.
    """
    known = lists(labels)
    parts = _opened(source, ports, folder, data, dtype, known)
    source = by_their_names(source, parts.train, ports)
    gaps = known_gaps(source, parts, ports, means or {}, every_row)
    _tell_of_gaps(gaps, parts, note)
    fields = _checked(Wish(source, ports, dtype, known, gaps), parts, parts.known(names_read(source, ports)))
    if not learns:
        refuse_learnt(source, parts.table, labels or {}, known)
    return fields


def _opened(source: DataSource, ports: Mapping[str, Type], folder: Path, data: str | None, dtype: str, labels: Labels) -> Parts:
    """What a source offers to these ports, its texts numbered as before."""
    cells = cells_of(source, ports, labels)
    return open_source(in_their_colours(source, ports), folder, data, dtype, known_texts(source, labels), cells)


def _is_made(source: DataSource, port: str, gaps: Gaps) -> bool:
    """Whether a port is no field as it comes: it is computed, of several, or gaps of it are filled."""
    found = items(source, port)
    return len(found) > 1 or not isinstance(found[0], str) or found[0] in gaps.means


def _tell_of_gaps(gaps: Gaps, parts: Parts, note: Note) -> None:
    if gaps.kept is not None and (gone := int(np.sum(~gaps.kept))):
        note(f"{parts.table}: {gone:,} of {len(gaps.kept):,} rows have no value for some column, and are left out")


def _as_written(item: str | Formula) -> str:
    """A column or formula as the spec has it: a column that is no word in quotes."""
    return str(item) if isinstance(item, Formula) or item.isidentifier() else f'"{item}"'


def _short(mean: Array) -> str:
    return f"{mean:.6g}" if mean.ndim == 0 else "its mean"


def _checked(wish: Wish, parts: Parts, readers: Readers) -> Fields:
    """Some fields of an opened source, bound to the ports; `wish.labels` learns what their class numbers stand for."""
    tall = _too_tall(wish.source, parts, wish.ports)
    return laid_out(wish, parts.table, tall)[0] if tall else _in_memory(wish, parts, readers)


def _in_memory(wish: Wish, parts: Parts, readers: Readers) -> Fields:
    keep_labels(wish.source, parts.labels, wish.ports, wish.labels, wish.spec)
    closed = wish.gaps.closed(_all_rows(parts, readers, wish.gaps))
    whence = Whence(parts.table, numbers=closed.numbers)
    return bound(wish.source, closed.readers, wish.ports, wish.dtype, wish.labels, whence)


def _all_rows(parts: Parts, readers: Readers, gaps: Gaps) -> Stretch:
    """A whole source, of which it is known how many rows it has where some of them have gaps."""
    return Stretch(parts.table, 0, 0 if gaps.kept is None else len(gaps.kept), readers)


def _too_tall(source: DataSource, parts: Parts, ports: Mapping[str, Type]) -> Tall | None:
    """What these ports take of a table, where that is too much for memory."""
    tall = parts.tall(names_read(source, ports))
    return tall if tall and tall.size > most_in_memory() else None


@dataclass
class _Loader:
    """Opens the sources of one train block and cuts them into parts."""

    training: Training
    inputs: Mapping[str, Type]
    targets: Mapping[str, Type]
    folder: Path
    data: str | None
    dtype: str
    labels: dict[str, list[str]]
    means: Means
    note: Note = lambda _: None

    @property
    def ports(self) -> dict[str, Type]:
        return {**self.inputs, **self.targets}

    def load(self) -> Dataset:
        source, data = self.main_source()
        parts = self.opened(source, data)
        parts = parts.undivided() if isinstance(self.training.test, float) and not self.watches(source) else parts
        source = by_their_names(source, parts.train, self.ports)
        wish, own_test = self.wish(source, self.gaps(source, parts)), None
        if tall := _too_tall(source, parts, self.ports):
            train, validation, test = self.laid_out(wish, parts, tall)
        else:
            fields = _in_memory(wish, parts, parts.train)
            own_test = _in_memory(wish, parts, parts.test) if parts.test and self.training.test is None else None
            train, validation, test = self.cut(fields, gap(source))
        return self.with_others(train, validation, own_test or test)

    def divided(self, fields: Fields) -> Dataset:
        """Arrays in place of what `data` says; those in place of a text or a series follow each other in time as its examples do."""
        return self.with_others(*self.cut(fields, gap(self.training.data) if self.training.data else None))

    def cut(self, fields: Fields, between: int | None) -> Iterator[Fields]:
        return (_rows(fields, part) for part in split(self.training, examples(fields), between))

    def with_others(self, train: Fields, validation: Fields, test: Fields) -> Dataset:
        """These parts, or what the train block names for one of them."""
        if isinstance(self.training.validation, DataSource):
            validation = self.other(self.training.validation)
        if isinstance(self.training.test, DataSource):
            test = self.other(self.training.test)
        return Dataset(train, validation or None, test or None, self.labels, self.means)

    def sample(self) -> Sample:
        source, data = self.main_source()
        # Not `opened`, which has a word on fields of targets.
        parts = _opened(source, self.inputs, self.folder, data, self.dtype, self.labels)
        named = source.fields
        source = by_their_names(source, parts.train, self.inputs)
        gaps = self.gaps(source, parts)
        if tall := _too_tall(source, parts, self.inputs):
            some = next(s for s in map(gaps.closed, tall.stretches(names_read(source, self.inputs))) if s.rows)
        else:
            some = gaps.closed(_all_rows(parts, parts.train, gaps))
        keep_labels(source, parts.labels, self.inputs, self.labels, self.training.span.source)
        fields = bound(source, some.readers, self.inputs, self.dtype, self.labels, Whence(parts.table, numbers=some.numbers))
        made = [name for name in self.inputs if source.name != "inline" and (_is_made(source, name, gaps) or named.get(name, name) != name)]
        names = sorted(names_read(source, {name: self.inputs[name] for name in made}) & some.readers.keys())
        raw = {name: some.readers[name]() for name in names}
        texts = {items(source, port)[0]: port for port in made if self.inputs[port].classes}
        raw |= {name: fields[port] for name, port in texts.items() if name in raw and raw[name].dtype.kind not in "fiub"}
        means = {name: gaps.means[name] for name in names if name in gaps.means}
        rows = telling_rows([*raw.values(), *fields.values()])
        return Sample(at(rows, raw), at(rows, fields), {name: items(source, name) for name in made}, means)

    def wish(self, source: DataSource, gaps: Gaps) -> Wish:
        return Wish(source, self.ports, self.dtype, self.labels, gaps, self.training.span.source)

    def gaps(self, source: DataSource, parts: Parts) -> Gaps:
        """What is done about missing values; the means of the examples that are trained on are learnt here, if none are known."""
        wanted = self.fillable(source) if self.training.fills and source.name in TABLES else frozenset()
        if not self.means.keys() >= wanted and (tall := columns_of(source, parts, self.ports)):
            filled = wanted if source.options.get("missing") == "mean" else ()
            kept = np.flatnonzero(rows_kept(source, tall, names_read(source, self.ports), filled))
            trained = np.zeros(tall.rows, bool)
            trained[kept[split(self.training, len(kept))[0]]] = True
            found_here = means_of(source, tall, wanted, trained)
            self.means = {**{name: mean.tolist() for name, mean in found_here.items()}, **self.means}
        found = known_gaps(source, parts, self.ports, self.means)
        _tell_of_gaps(found, parts, self.note)
        return found

    def fillable(self, source: DataSource) -> frozenset[str]:
        return fillable(source, self.inputs, self.targets)

    def laid_out(self, wish: Wish, parts: Parts, tall: Tall) -> list[Fields]:
        """The three parts of a table that is read from the disk while it is trained on."""
        amount, folder = f"{tall.size / GIB:.2f} GiB", resources.cache()
        self.note(f"{parts.table}: {tall.rows:,} rows would take {amount} of memory, and are read from {folder}")
        kept = np.arange(tall.rows) if wish.gaps.kept is None else np.flatnonzero(wish.gaps.kept)
        which = np.empty(tall.rows, np.uint8)
        for number, rows in enumerate(split(self.training, len(kept))):
            which[kept[rows]] = number
        return laid_out(wish, parts.table, tall, which, number=3)

    def main_source(self) -> tuple[DataSource, str | None]:
        """The source of `data` with the `--data` it is to use."""
        if self.training.data:
            return reading(self.training.data, self.data), self.data
        if self.data:
            return source_from_path(self.data), None
        place = Span(self.training.span.source, self.training.span.start, self.training.span.start + len("train"))
        raise fault("E302", "this train block has no data", place, help="write for example `data digits`, or give `--data FILE`")

    def opened(self, source: DataSource, data: str | None) -> Parts:
        for name in source.fields:
            check_field(source, name, self.ports)
        return _opened(source, self.ports, self.folder, data, self.dtype, self.labels)

    def watches(self, source: DataSource) -> bool:
        """Whether what this source holds out is watched while training, and so neither trained on nor kept for the end."""
        return isinstance(self.training.validation, DataSource) and self.training.validation.reads_as(source)

    def other(self, source: DataSource) -> Fields:
        """A source of its own for validation or test: the part it holds out, or all of it."""
        same = self.training.data is not None and source.name == self.training.data.name and source.name in IDX_SOURCES
        data = self.data if same else None
        source = reading(source, data)
        parts = self.opened(source, data)
        source = by_their_names(source, parts.train, self.ports)
        if source.options.get("missing") == "mean" and (tall := columns_of(source, parts, self.ports)):
            refuse_unknown(source, tall, self.fillable(source) - self.means.keys())
        gaps, before = known_gaps(source, parts, self.ports, self.means), lists(self.labels)
        _tell_of_gaps(gaps, parts, self.note)
        fields = _checked(self.wish(source, gaps), parts, parts.test or parts.train)
        refuse_learnt(source, parts.table, before, self.labels)
        return fields


def _rows(fields: Fields, rows: Rows) -> Fields:
    """These examples; none of no fields."""
    found = {name: values[rows] for name, values in fields.items()}
    return found if examples(found) else {}
