"""Data: one source read, bound to the model's inputs and targets by name, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path

import numpy as np

from nnspec.array import Array
from nnspec.elaborate.fields import Formula
from nnspec.elaborate.sources import DataSource
from nnspec.graph import Type
from nnspec.record import dataclass
from nnspec.run.stored import as_array
from nnspec.train.binding import bound, by_their_names, cells_of, in_their_colours, names_read
from nnspec.train.check import Fields, Whence
from nnspec.train.labels import Labels, keep_labels, known_texts, lists, refuse_learnt
from nnspec.train.missing import Gaps, Means, known_gaps
from nnspec.train.readers import Parts, Readers, Stretch, Tall
from nnspec.train.sources import open_source
from nnspec.train.streamed import Wish, laid_out, most_in_memory

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


def _as_written(item: str | Formula) -> str:
    """A column or formula as the spec has it: a column that is no word in quotes."""
    return str(item) if isinstance(item, Formula) or item.isidentifier() else f'"{item}"'


def _short(mean: Array) -> str:
    return f"{mean:.6g}" if mean.ndim == 0 else "its mean"


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
    parts = opened(source, ports, folder, data, dtype, known)
    source = by_their_names(source, parts.train, ports)
    gaps = known_gaps(source, parts, ports, means or {}, every_row)
    tell_of_gaps(gaps, parts, note)
    fields = checked(Wish(source, ports, dtype, known, gaps), parts, parts.known(names_read(source, ports)))
    if not learns:
        refuse_learnt(source, parts.table, labels or {}, known)
    return fields


def opened(source: DataSource, ports: Mapping[str, Type], folder: Path, data: str | None, dtype: str, labels: Labels) -> Parts:
    """What a source offers to these ports, its texts numbered as before."""
    cells = cells_of(source, ports, labels)
    return open_source(in_their_colours(source, ports), folder, data, dtype, known_texts(source, labels), cells)


def tell_of_gaps(gaps: Gaps, parts: Parts, note: Note) -> None:
    if gaps.kept is not None and (gone := int(np.sum(~gaps.kept))):
        note(f"{parts.table}: {gone:,} of {len(gaps.kept):,} rows have no value for some column, and are left out")


def checked(wish: Wish, parts: Parts, readers: Readers) -> Fields:
    """Some fields of an opened source, bound to the ports; `wish.labels` learns what their class numbers stand for."""
    tall = too_tall(wish.source, parts, wish.ports)
    return laid_out(wish, parts.table, tall)[0] if tall else all_at_once(wish, parts, readers)


def all_at_once(wish: Wish, parts: Parts, readers: Readers) -> Fields:
    """The same of what fits into memory."""
    keep_labels(wish.source, parts.labels, wish.ports, wish.labels, wish.spec)
    closed = wish.gaps.closed(all_rows(parts, readers, wish.gaps))
    whence = Whence(parts.table, numbers=closed.numbers)
    return bound(wish.source, closed.readers, wish.ports, wish.dtype, wish.labels, whence)


def all_rows(parts: Parts, readers: Readers, gaps: Gaps) -> Stretch:
    """A whole source, of which it is known how many rows it has where some of them have gaps."""
    return Stretch(parts.table, 0, 0 if gaps.kept is None else len(gaps.kept), readers)


def too_tall(source: DataSource, parts: Parts, ports: Mapping[str, Type]) -> Tall | None:
    """What these ports take of a table, where that is too much for memory."""
    tall = parts.tall(names_read(source, ports))
    return tall if tall and tall.size > most_in_memory() else None
