"""The data of a train block: its sources read, and split into what is trained on, watched and kept for the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

import numpy as np

from nnspec import resources
from nnspec.diagnostics import fault
from nnspec.elaborate.sources import DataSource, check_field
from nnspec.elaborate.training import Training
from nnspec.graph import Type
from nnspec.limits import GIB
from nnspec.record import dataclass
from nnspec.train.binding import bound, by_their_names, items, names_read
from nnspec.train.check import Fields, Whence, examples
from nnspec.train.data import Dataset, Note, Sample, all_at_once, all_rows, checked, opened, tell_of_gaps, too_tall
from nnspec.train.labels import keep_labels, lists, refuse_learnt
from nnspec.train.missing import Gaps, Means, columns_of, fillable, known_gaps, means_of, refuse_unknown, rows_kept
from nnspec.train.readers import Parts, Tall
from nnspec.train.sources import IDX_SOURCES, TABLES, reading, source_from_path
from nnspec.train.split import Rows, split
from nnspec.train.streamed import Wish, laid_out
from nnspec.train.telling import at, telling_rows
from nnspec.train.windows import gap


@dataclass
class Loader:
    """Opens the sources of one train block and cuts them into parts; `data` is the command line's `--data`.

    Texts are numbered by `labels` where they have their port, which learn of others, and gaps filled by `means`, those of an earlier
    training. A `note` is told what becomes of the data.
    """

    training: Training
    inputs: Mapping[str, Type]
    targets: Mapping[str, Type]
    folder: Path
    data: str | None = None
    dtype: str = "float32"
    labels: dict[str, list[str]] = field(default_factory=dict)
    means: Means = field(default_factory=dict)
    note: Note = lambda _: None

    @property
    def ports(self) -> dict[str, Type]:
        return {**self.inputs, **self.targets}

    def load(self) -> Dataset:
        """The data of the train block, checked against all inputs and targets."""
        source, data = self.main_source()
        parts = self.opened(source, data)
        parts = parts.undivided() if isinstance(self.training.test, float) and not self.watches(source) else parts
        source = by_their_names(source, parts.train, self.ports)
        wish, own_test = self.wish(source, self.gaps(source, parts)), None
        if tall := too_tall(source, parts, self.ports):
            train, validation, test = self.laid_out(wish, parts, tall)
        else:
            fields = all_at_once(wish, parts, parts.train)
            own_test = all_at_once(wish, parts, parts.test) if parts.test and self.training.test is None else None
            train, validation, test = self.cut(fields, gap(source))
        return self.with_others(train, validation, own_test or test)

    def divided(self, fields: Fields) -> Dataset:
        """Arrays that are checked already; those in place of a text or a series follow each other in time as its examples do."""
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
        """A few examples, with what the data block makes of them for the inputs; none of those without a value."""
        source, data = self.main_source()
        # Not `opened`, which has a word on fields of targets.
        parts = opened(source, self.inputs, self.folder, data, self.dtype, self.labels)
        named = source.fields
        source = by_their_names(source, parts.train, self.inputs)
        gaps = self.gaps(source, parts)
        if tall := too_tall(source, parts, self.inputs):
            some = next(s for s in map(gaps.closed, tall.stretches(names_read(source, self.inputs))) if s.rows)
        else:
            some = gaps.closed(all_rows(parts, parts.train, gaps))
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
        tell_of_gaps(found, parts, self.note)
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
        help_ = "write for example `data digits`, or give `--data FILE`"
        raise fault("E302", "this train block has no data", self.training.head, help=help_)

    def opened(self, source: DataSource, data: str | None) -> Parts:
        for name in source.fields:
            check_field(source, name, self.ports)
        return opened(source, self.ports, self.folder, data, self.dtype, self.labels)

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
        tell_of_gaps(gaps, parts, self.note)
        fields = checked(self.wish(source, gaps), parts, parts.test or parts.train)
        refuse_learnt(source, parts.table, before, self.labels)
        return fields


def _is_made(source: DataSource, port: str, gaps: Gaps) -> bool:
    """Whether a port is no field as it comes: it is computed, of several, or gaps of it are filled."""
    found = items(source, port)
    return len(found) > 1 or not isinstance(found[0], str) or found[0] in gaps.means


def _rows(fields: Fields, rows: Rows) -> Fields:
    """These examples; none of no fields."""
    found = {name: values[rows] for name, values in fields.items()}
    return found if examples(found) else {}
