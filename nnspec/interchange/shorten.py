"""Ways round: a mask that is added instead of chosen by, transposes in one, and only of what is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnspec.graph import Graph, Node, Var
from nnspec.graph.types import BATCH_NAME, Size, count, size_names
from nnspec.graph.walk import walk
from nnspec.ops.arrange import cut, reshape, transpose
from nnspec.ops.pointwise import where
from nnspec.ops.reduce import softmax
from nnspec.rewrite.passes import Pass

# A score below that has no share in a softmax, whatever is added to it: scores themselves are some dozens.
NO_SHARE = -1e8
LENGTHS = (2, 3, 7)


def shortened(graph: Graph) -> Graph:
    return _Shortening(graph).run()


class _Shortening(Pass):
    def better(self, node: Node, inputs: list[Var]) -> Var | None:
        ways: dict[str, Callable[..., Var | None]] = {"softmax": self._softmax, "transpose": self._transpose, "cut": self._cut}
        way = ways.get(node.op.name)
        return way(*inputs, **node.attributes) if way else None

    def _softmax(self, x: Var, axes: tuple[int, ...]) -> Var | None:
        """Choosing by a mask goes over all scores element by element; a mask of numbers is added in a fifth of the time."""
        if x.node.op is not where or not (parts := self.parts(x)):
            return None
        mask, seen, hidden = parts
        fill = hidden.node.constant
        if not isinstance(fill, int | float) or fill > NO_SHARE or seen.type != x.type or not _is_less(mask, x):
            return None
        return softmax(seen + where(mask, 0.0, hidden), axes=axes) if _leaves_some(mask, x.type.rank, axes) else None

    def _transpose(self, x: Var, axes: tuple[int, ...]) -> Var | None:
        if x.node.op is transpose:
            inner = x.node.attributes["axes"]
            return self._turned(x.graph.var(x.node.inputs[0]), tuple(inner[a] for a in axes))
        return self._turned(x, axes)

    def _turned(self, x: Var, axes: tuple[int, ...]) -> Var:
        """A reshape where only axes of one element move."""
        moved = [a for a in axes if x.type.shape[a] != 1]
        if moved != sorted(moved):
            return transpose(x, axes=axes)
        return reshape(x, shape=tuple(x.type.shape[a] for a in axes)) if axes != tuple(sorted(axes)) else x

    def _cut(self, x: Var, axis: int, start: int | Size, stop: int | Size) -> Var | None:
        """Before a transpose, not after it: what is cut off need not be moved."""
        if x.node.op is not transpose or not (parts := self.parts(x)):
            return None
        axes = x.node.attributes["axes"]
        return self._turned(cut(parts[0], axis=axes[axis], start=start, stop=stop), axes)


def _is_less(mask: Var, x: Var) -> bool:
    """Whether a mask is the same for several examples or heads."""
    return not mask.type.has_batch and mask.type.rank < x.type.rank and count(mask.type.shape) != count(x.type.shape)


def _leaves_some(mask: Var, rank: int, axes: tuple[int, ...]) -> bool:
    """Whether a mask that nothing from outside decides leaves something to every row; of sizes known at run time, for several lengths."""
    graph, needed = mask.graph, mask.graph.needed([mask.name])
    if any(graph[n].op.is_source for n in needed):
        return False
    names = size_names(mask.type.shape) | {BATCH_NAME}
    within = tuple(a - rank + mask.type.rank for a in axes if a - rank + mask.type.rank >= 0)
    values = (walk(graph, {}, dict.fromkeys(names, n), needed)[mask.name] for n in LENGTHS)
    return all(bool(np.all(np.any(v, axis=within))) for v in values)
