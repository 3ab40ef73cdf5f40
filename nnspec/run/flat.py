"""Arrays of several shapes side by side in one buffer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.graph import Type
from nnspec.run.room import check_room


class Flat:
    """Arrays of several shapes side by side in one buffer, each also as a view of its own."""

    def __init__(self, types: Mapping[str, Type], dtype: str, fill: float = 0.0) -> None:
        sizes = {n: prod(t.numbers) for n, t in types.items()}
        check_room(sum(sizes.values()) * np.dtype(dtype).itemsize)
        self.buffer: Array = np.full(sum(sizes.values()), fill, dtype)
        ends = accumulate(sizes.values())
        self.places = {n: slice(end - sizes[n], end) for n, end in zip(sizes, ends, strict=True)}
        self.views: dict[str, Array] = {n: self.buffer[at].reshape(types[n].numbers) for n, at in self.places.items()}

    def runs(self, chosen: Collection[str]) -> Iterator[slice]:
        """The stretches of the buffer that hold these arrays, each as long as can be."""
        start = None
        for name, at in self.places.items():
            if name in chosen:
                start = at.start if start is None else start
            elif start is not None:
                yield slice(start, at.start)
                start = None
        if start is not None:
            yield slice(start, len(self.buffer))
