"""What is made once for each kind of batch, such as a program for each length: kept while it is used, and while there is room."""

from __future__ import annotations

from typing import Generic, TypeVar

from nnspec import limits
from nnspec.run.room import free

MOST, FEW, SHORT = 512, 8, limits.GIB
"""So many are kept, or so few where less memory than that is free."""
K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V], Generic[K, V]):
    """A dictionary that forgets what was read least recently, where much is in it already."""

    def __getitem__(self, key: K) -> V:
        value = self.pop(key)
        super().__setitem__(key, value)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        most = FEW if len(self) > FEW and free() < SHORT else MOST
        while len(self) > most:
            del self[next(iter(self))]
