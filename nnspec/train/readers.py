"""What a source offers: fields that are read when they are asked for, in parts, and of tables a stretch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.diagnostics import Fault
from nnspec.record import dataclass
from nnspec.run.fractions import Fractions, joined

Readers = Mapping[str, Callable[[], Any]]
"""The fields of a source by name, each a function that reads it."""


@dataclass(frozen=True)
class Stretch:
    """Some rows of a table: how many came before them, how many they are, and their columns; their numbers, where some are left out."""

    table: Path | None
    before: int
    rows: int
    readers: Readers
    numbers: np.ndarray | None = None

    @property
    def where(self) -> slice | np.ndarray:
        """Its rows among those of the table."""
        return slice(self.before, self.before + self.rows) if self.numbers is None else self.numbers


@dataclass(frozen=True)
class Tall:
    """Columns of a table that can be read a stretch of rows at a time: how many rows, and how many bytes in memory.

    `stretches` begins anew whenever it is called, with some of the columns.
    """

    rows: int
    size: int
    stretches: Callable[[frozenset[str]], Iterator[Stretch]]


@dataclass(frozen=True)
class Parts:
    """The fields of a source: those to train on, and those it holds out for testing, if it does.

    `everything` has both where they are not just the one after the other, and `ahead` those fields of which there are more examples when
    the others, which are not known yet, are not asked for. `labels` say what the class numbers of a field stand for.
    Fields may be the columns of a `table`; `tall` is how these columns of it are read where they are too many for memory, if they can be.
    """

    train: Readers
    test: Readers | None = None
    everything: Readers | None = None
    ahead: Readers = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    table: Path | None = None
    tall: Callable[[frozenset[str]], Tall | None] = lambda _: None

    def undivided(self) -> Parts:
        """The same with all examples to be trained on."""
        return replace(self, train=self.whole(), test=None, everything=None)

    def known(self, names: Collection[str]) -> Readers:
        """All examples of which these fields are known."""
        return self.ahead if self.ahead.keys() >= set(names) else self.whole()

    def refusing(self, name: str, why: Fault) -> Parts:
        """The same with a field that is a Fault when it is read."""
        refused = {name: partial(_refused, why)}
        test, everything = (part and {**part, **refused} for part in (self.test, self.everything))
        return replace(self, train={**self.train, **refused}, test=test, everything=everything)

    def whole(self) -> Readers:
        test = self.test
        if self.everything or not test:
            return self.everything or self.train
        return {name: partial(_joined, read, test[name]) for name, read in self.train.items()}


def _refused(why: Fault) -> Any:
    raise why


def _joined(*reads: Callable[[], Any]) -> Any:
    parts = [read() for read in reads]
    return joined(parts) if isinstance(parts[0], Fractions) else np.concatenate(parts)


def in_memory(fields: Mapping[str, Any]) -> Readers:
    """Fields that are there already."""
    return {name: partial(_itself, values) for name, values in fields.items()}


def _itself(values: Any) -> Any:
    return values
