"""Tables larger than memory: read a stretch of rows at a time, checked as those in memory are, and laid out in a file without a name.

What the ports take of each row is written once into the cache folder, part by part, and read from there batch by batch. The files are gone
as soon as nobody reads them, however the process ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

import numpy as np

from nnspec import limits, resources
from nnspec.array import Array
from nnspec.diagnostics import Source, fault
from nnspec.elaborate.sources import DataSource
from nnspec.files import writing
from nnspec.graph import Type
from nnspec.record import dataclass
from nnspec.run.room import check_room, free
from nnspec.run.stored import Opened, Stored
from nnspec.train.binding import bound, names_computed_with, names_read, taken
from nnspec.train.check import Fields, Whence, examples
from nnspec.train.formulas import is_fractional
from nnspec.train.missing import Gaps
from nnspec.train.readers import Tall


def most_in_memory() -> int:
    """Bytes of a table that are read into memory, where they are converted and cut into parts: as many again."""
    return min(limits.most("data"), free() // 2)


@dataclass(frozen=True)
class Wish:
    """What is asked of a source: the fields of these ports, without gaps; `labels` learns what their class numbers stand for.

    The ports are those of a model in a `spec`, where that is there to be changed.
    """

    source: DataSource
    ports: Mapping[str, Type]
    dtype: str
    labels: dict[str, list[str]]
    gaps: Gaps
    spec: Source | None = None


def laid_out(wish: Wish, table: Path | None, tall: Tall, which: Array | None = None, number: int = 1) -> list[Fields]:
    """The fields of all rows that stay, or of so many parts; `which` says of each row of the table the part it belongs to."""
    fractional, folder = _survey(wish, tall), resources.cache()
    spools = [_Spool(folder) for _ in range(number)]
    for stretch in map(wish.gaps.closed, tall.stretches(names_read(wish.source, wish.ports))):
        if not stretch.rows:
            continue
        whence = Whence(table, stretch.before, fractional, stretch.numbers)
        fields = bound(wish.source, stretch.readers, wish.ports, wish.dtype, wish.labels, whence)
        if not any(spool.rows for spool in spools):
            _check_room(fields, tall.rows, folder)
        here = None if which is None else which[stretch.where]
        for part, spool in enumerate(spools):
            spool.append(fields if here is None else {n: v[here == part] for n, v in fields.items()})
    return [spool.finished() for spool in spools]


def _survey(wish: Wish, tall: Tall) -> frozenset[str]:
    """What has to be known of whole columns before the first row is converted: all texts of a class, and which numbers are fractional."""
    made_of = {port: taken(wish.source, port) for port, type in wish.ports.items() if type.classes and port not in wish.labels}
    classes = {port: column for port, column in made_of.items() if isinstance(column, str)}
    read = names_computed_with(wish.source, wish.ports)
    texts, fractional = dict[str, set[str]](), set[str]()
    for stretch in map(wish.gaps.closed, tall.stretches(read.union(classes.values()))):
        columns = {n: stretch.readers[n]() for n in read.union(classes.values()) if n in stretch.readers}
        fractional |= {n for n in read & columns.keys() if is_fractional(columns[n])}
        for port, name in classes.items():
            if name in columns and columns[name].dtype.kind in "UO":
                texts.setdefault(port, set()).update(columns[name].astype(object).flat)
        if not texts and not read:
            break
    wish.labels.update({port: sorted(found) for port, found in texts.items()})
    return frozenset(fractional)


def _check_room(fields: Fields, rows: int, folder: Path) -> None:
    """A Fault (E540) where there is no room for so many rows like these, and one (E580) where their order does not fit into memory."""
    check_room(2 * np.dtype(np.int64).itemsize * rows)
    size = rows * sum(v.nbytes for v in fields.values()) // examples(fields)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = shutil.disk_usage(folder).free
    if size > there:
        message = f"the data take {size / limits.GIB:.2f} GiB in {folder}, where {there / limits.GIB:.2f} GiB are free"
        raise fault("E540", message, help="make room, or let XDG_CACHE_HOME name another folder")


@dataclass
class _Spool:
    """Fields on their way to the disk."""

    folder: Path
    files: dict[str, IO[bytes]] = field(default_factory=dict)
    rows: int = 0
    like: Fields = field(default_factory=dict)

    def append(self, fields: Fields) -> None:
        self.rows += examples(fields)
        with writing(self.folder):
            for name, values in fields.items():
                if name not in self.files:
                    self.files[name] = cast(IO[bytes], TemporaryFile(dir=self.folder))  # noqa: SIM115  # it is closed when it is finished
                    self.like[name] = values[:0]
                self.files[name].write(np.ascontiguousarray(values).data)

    def finished(self) -> Fields:
        """What can be read of them from now on; nothing of no rows."""
        found = {}
        for name, file in self.files.items():
            with file:
                file.flush()
                found[name] = Stored(Opened(file), self.like[name].dtype, (self.rows, *self.like[name].shape[1:]))
        return cast(Fields, found) if self.rows else {}
