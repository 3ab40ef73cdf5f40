"""Memory that is taken only where there is room for it: asked in time, as a system that has promised too much kills without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from nnspec import limits, memory
from nnspec.array import Array
from nnspec.diagnostics import Span
from nnspec.graph import Graph

SMALL = 64 * limits.MIB
"""Less than this is not asked for."""


def scratch(size: int) -> Array:
    """So many bytes, or a Fault (E580)."""
    check_room(size)
    return np.empty(size, np.uint8)


def check_room(size: int, what: str = "this", span: Span | None = None) -> None:
    """A Fault (E580) where so many bytes more are not to be had."""
    if size < SMALL:
        return
    most = limits.most("memory")
    there = most or free()
    if size > there:
        there_is = "the limit is" if most else "are free"
        amount, left = (f"{n / limits.GIB:.2f} GiB" for n in (size, there))
        raise limits.exceeded("memory", f"{what} takes {amount} of memory, and {left} {there_is}; a smaller batch takes less", span)


def check_values(graph: Graph, sizes: Mapping[str, int]) -> None:
    """A Fault (E580) where one value of a graph by itself is more: for who computes it without a plan of all memory."""
    amounts = {name: node.type.bound(sizes).nbytes for name, node in graph.nodes.items() if not node.op.is_source}
    if amounts:
        widest = graph[max(amounts, key=amounts.__getitem__)]
        check_room(amounts[widest.name], f"`{widest.span.text if widest.span else widest.name}`", widest.span)


def free() -> int:
    """The bytes that this process can still have."""
    return min(_free())


def _free() -> Iterator[int]:
    yield 1 << 62
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * limits.KIB
    groups = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"
    most, used = (next(iter(_lines(path)), "") for path in groups)
    if most.isdecimal() and used.isdecimal():
        yield int(most) - int(used)
    if (left := memory.addresses_left()) is not None:
        yield left


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("ascii").splitlines()
    except OSError:  # another system
        return []
