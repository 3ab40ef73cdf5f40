"""What is known of values before anything runs: whatever depends on constants and sizes alone, as shapes and axes do in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.graph import Dim, Graph, Node, Size, Var
from nnspec.graph.types import Indivisible, Sized, count, size_names
from nnspec.ops.source import size_of

LARGEST = 1 << 16  # elements: shapes and tables of indices are smaller, weights are not read here


def _whole(x: Array, dtype: str) -> Array:
    if dtype != "int64":
        raise Indivisible("a size is a whole number")
    return x


# On arrays of Python's numbers and of sizes that show only at run time, where the kernels would want numbers of one kind.
ON_SIZES: dict[str, Callable[..., Any] | None] = {
    **dict.fromkeys(("add", "sub", "mul", "neg", "concat", "cut", "reshape", "transpose", "take", "expand", "equal", "where", "flip")),
    "cast": _whole,
    "quotient": np.floor_divide,
    "prod": lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep),
    "sum": lambda x, axes, keep: np.sum(x, axis=axes, keepdims=keep),
}


class Known:
    """The values of nodes of one graph, as far as they are known; an array of objects where there are sizes in it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Array | None] = {}

    def __call__(self, var: Var) -> Array | None:
        waiting = [var.name]
        while waiting:
            if waiting[-1] in self.values:
                waiting.pop()
                continue
            node = self.graph[waiting[-1]]
            missing = [i for i in node.inputs if i not in self.values]
            if missing:
                waiting += missing
            else:
                self.values[waiting.pop()] = self._value(node)
        return self.values[var.name]

    def _value(self, node: Node) -> Array | None:
        inputs = [v for i in node.inputs if (v := self.values[i]) is not None]
        if node.op is size_of:
            return np.asarray(node.attributes["size"], object)
        if node.op.is_source or len(inputs) < len(node.inputs) or not _small(node):
            return None
        sizes = any(v.dtype == object for v in inputs)
        if sizes and node.op.name not in ON_SIZES:
            return None
        kernel = (sizes and ON_SIZES[node.op.name]) or node.op.kernel
        try:
            with np.errstate(all="ignore"):
                return _settled(np.asarray(kernel(*inputs, **node.attributes)), node.type.dtype)
        except Indivisible:
            return None


def _small(node: Node) -> bool:
    """Whether it is worth computing, and has no sizes in its attributes."""
    varying = size_names((node.type.shape, *node.attributes.values())) or any(isinstance(v, Sized) for v in node.attributes.values())
    number = count(node.type.shape)
    return not varying and isinstance(number, int) and number <= LARGEST


def _settled(values: Array, dtype: str) -> Array:
    """Numbers of the node's kind once no size is left among them."""
    return values if values.dtype == object and any(isinstance(v, Size) for v in values.flat) else values.astype(dtype)


def dims(values: Array) -> tuple[Dim, ...]:
    """A known vector as dimensions."""
    return tuple(v if isinstance(v, Size) else int(v) for v in values.reshape(-1).tolist())
