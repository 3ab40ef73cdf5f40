"""A region bound to memory: the calls of its operations for one block of all its values, then for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call
from nnspec.graph import Node
from nnspec.graph.types import ITEM_BYTES
from nnspec.ops.aside import aside
from nnspec.plan.blocks import Region

Block = tuple[slice, ...]
CACHE = 1 << 20
"""Bytes of one block of everything in a region: what a second-level cache holds."""
FEWEST = 1 << 12
"""Elements of a block; with fewer the way to an operation takes longer than the operation."""

MOST = 256
"""Blocks of a region; each has calls of its own."""


class Slot(NamedTuple):
    """Memory for a block of a passing value; `key` is its number, and the bytes of an element."""

    key: tuple[int, int]
    dtype: str


class Blocks:
    """A region in memory. `arrays` has what it reads and computes, but for what passes; `order` is that of the axes in memory."""

    def __init__(self, region: Region, arrays: Mapping[str, Array], order: Sequence[int]) -> None:
        self.members, self.arrays, self.order = region.members, arrays, order
        self.slots = _slots(region)
        self.shape = next(arrays[m.name].shape for m in region.members if m.name in arrays)
        self.read = [name for name in dict.fromkeys(i for m in region.members for i in m.inputs) if name in arrays]
        self.blocks = [*blocks(self.shape, order, max(FEWEST, CACHE // self._bytes_of_one(), prod(self.shape) // MOST))]
        self.wide: dict[str, Array] = {}

    def bind(self, calls: list[Call], call: Callable[[Node, Array, list[Array]], None]) -> None:
        """Add to the calls: what is laid out once, then, by `call`, every operation for every block."""
        calls += self._lay_out()
        for block in self.blocks:
            for node in self.members:
                call(node, self._part(node.name, block), [self._part(i, block) for i in node.inputs])

    def _bytes_of_one(self) -> int:
        """The bytes of one element of everything."""
        there = {*self.read, *(m.name for m in self.members if m.name in self.arrays)}
        whole = (self.arrays[name] for name in there)
        return sum(x.itemsize for x in whole if x.shape == self.shape) + sum(size for _, size in {slot.key for slot in self.slots.values()})

    def _lay_out(self) -> Iterator[Call]:
        """What is the same in every block, such as a bias, is laid over one of them."""
        for name in self.read:
            x = self.arrays[name]
            if x.size > 1 and x.shape != self.shape and all(self._of(x, block).shape == x.shape for block in self.blocks):
                self.wide[name] = aside(_extent(self.blocks[0]), x.dtype, self.order, ("wide", len(self.wide)))
                yield partial(np.copyto, self.wide[name], x)

    def _part(self, name: str, block: Block) -> Array:
        if slot := self.slots.get(name):
            part: Array = aside(_extent(block), slot.dtype, self.order, slot.key)
            return part
        return self.wide[name][tuple(map(slice, _extent(block)))] if name in self.wide else self._of(self.arrays[name], block)

    def _of(self, x: Array, block: Block) -> Array:
        """A block of an array that may be laid over others."""
        above = len(block) - x.ndim
        index: Any = tuple(slice(None) if n == 1 else block[above + axis] for axis, n in enumerate(x.shape))
        part: Array = x[index] if x.ndim else x  # an index without axes would read the number now
        return part


def _extent(block: Block) -> list[int]:
    return [s.stop - s.start for s in block]


def blocks(shape: Sequence[int], order: Sequence[int], most: int) -> Iterator[Block]:
    """Stretches of memory of about so many elements, that of an array with its axes in this order, as indices of its axes."""
    laid = [shape[axis] for axis in order]
    cut = next(i for i in range(len(laid)) if prod(laid[i + 1 :]) <= most)
    number = -(-prod(laid[cut:]) // most)
    steps = [*[1] * cut, -(-laid[cut] // min(number, laid[cut])), *laid[cut + 1 :]]
    for starts in product(*(range(0, n, step) for n, step in zip(laid, steps, strict=True))):
        stretch = [slice(start, min(start + step, n)) for start, step, n in zip(starts, steps, laid, strict=True)]
        yield tuple(stretch[order.index(axis)] for axis in range(len(shape)))


def _slots(region: Region) -> dict[str, Slot]:
    """Memory for the passing values, each place used again once nobody reads it."""
    last = {name: position for position, node in enumerate(region.members) for name in node.inputs}
    slots: dict[str, Slot] = {}
    free: dict[int, list[int]] = {}
    numbers = count()
    for position, node in enumerate(region.members):
        ended = [slots[name].key for name in dict.fromkeys(node.inputs) if name in slots and last[name] == position]
        early, late = (ended, []) if node.op.in_place else ([], ended)
        _release(early, free)
        if node.name in region.passing:
            size = ITEM_BYTES[node.type.dtype]
            found = free.get(size)
            slots[node.name] = Slot((found.pop() if found else next(numbers), size), node.type.dtype)
        _release(late, free)
    return slots


def _release(keys: Sequence[tuple[int, int]], free: dict[int, list[int]]) -> None:
    for number, size in keys:
        free.setdefault(size, []).append(number)
