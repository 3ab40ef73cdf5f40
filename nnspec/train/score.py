"""Scoring: a parquet file through onnxruntime into another, a stretch of rows at a time, so that memory does not grow with the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.elaborate.sources import DataSource
from nnspec.files import whole, writing
from nnspec.graph import Graph, Type
from nnspec.record import dataclass
from nnspec.run.ort import REFUSALS, Session
from nnspec.run.team import cores
from nnspec.train.binding import bound, cells_of, names_read
from nnspec.train.check import Whence
from nnspec.train.labels import Labels, lists, refuse_learnt
from nnspec.train.missing import Gaps, refuse_gaps
from nnspec.train.parquet import stretches
from nnspec.train.predictions import Classes, ParquetFile, columns, refuse_unknown
from nnspec.train.readers import Stretch

A = TypeVar("A")
B = TypeVar("B")
READ_ROWS = 1 << 16
LARGEST_VALUE = 1 << 18
"""Numbers that the largest value of a batch has: what stays in the cache of a core."""


@dataclass(frozen=True)
class Scorer:
    """A model that takes rows of a table: which columns its inputs are, and in which batches it computes.

    Where onnxruntime fails at a batch, a `definition` is asked, which knows the place in the spec.
    """

    session: Session
    batch: int
    inputs: Mapping[str, Type]
    source: DataSource
    dtype: str
    classes: Mapping[str, Classes] = field(default_factory=dict)
    gaps: Gaps = field(default_factory=Gaps)
    labels: Labels = field(default_factory=dict)
    definition: Callable[[Mapping[str, Array]], object] | None = None

    def __call__(self, stretch: Stretch) -> dict[str, Array]:
        closed = self.gaps.closed(stretch)
        if self.source.options.get("missing"):
            refuse_gaps(self.source, closed, names_read(self.source, self.inputs))
        labels = lists(self.labels)
        fields = bound(self.source, closed.readers, self.inputs, self.dtype, labels, Whence(stretch.table, stretch.before))
        refuse_learnt(self.source, stretch.table, self.labels, labels)
        parts = [self._computed({n: v[i : i + self.batch] for n, v in fields.items()}) for i in range(0, stretch.rows, self.batch)]
        return columns({name: np.concatenate([part[name] for part in parts]) for name in self.session.outputs}, self.classes)

    def _computed(self, batch: Mapping[str, Array]) -> Mapping[str, Array]:
        try:
            return self.session.run(batch)
        except REFUSALS:
            if self.definition:
                self.definition(batch)
            raise


def batch_for(graph: Graph) -> int:
    """Examples in a batch, by the largest value of one."""
    widest = max(prod(d for d in node.type.shape if isinstance(d, int)) for node in graph if not node.op.is_source)
    return max(1, LARGEST_VALUE // max(1, widest))


def score(scorer: Scorer, data: Path, output: Path, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Write the outputs for every row, in their order; `progress` is told the rows done, of how many. Returns how many they are.

    Two stretches a thread are under way at a time. A failure leaves the file that was there.
    """
    wanted = names_read(scorer.source, scorer.inputs)
    number, rows = stretches(data, READ_ROWS, wanted, scorer.source.span, cells_of(scorer.source, scorer.inputs, scorer.labels))
    if not number:
        raise fault("E308", f"{data} has no rows", scorer.source.span)
    done = 0
    refuse_unknown(output)
    with writing(output), whole(output) as aside, ParquetFile(aside) as file:
        for predicted in in_order(scorer, rows, cores()):
            file.append(predicted)
            done += len(next(iter(predicted.values())))
            progress(done, number)
    return number


def in_order(work: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """The results of all items in their order, with at most two items a thread under way."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
