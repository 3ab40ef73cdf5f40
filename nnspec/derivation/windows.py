"""Convolutions and pools as calls, with how their windows go over an image: as the language writes them, where it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nnspec.derivation.calls import Calls
from nnspec.derivation.signs import SUM, Term
from nnspec.graph import Graph, Node, Shape
from nnspec.ops.windows import Numbers, beyond, reach, same_pads
from nnspec.record import dataclass

OPERATIONS = ("conv", "conv_input_grad", "conv_weight_grad", "max_pool", "max_pool_grad", "pick_max", "avg_pool", "avg_pool_grad")
WRITTEN = {"conv": "convolve", "max_pool": "pool_max", "avg_pool": "pool_mean"}
WEIGHTS = {"conv": 1, "conv_input_grad": 1}
"""Which input is no image."""
IMAGE = {"max_pool_grad": 1}
"""Which input the windows go over, if not the first."""


@dataclass(frozen=True)
class Windows:
    """Those of one node of a graph."""

    graph: Graph
    node: Node
    calls: Calls

    def call(self, term: Callable[[str, Shape], Term]) -> Term:
        """The call, of what `term` makes of the inputs in these shapes; what has no batch is one image."""
        inputs = [term(name, self._shape(i)) for i, name in enumerate(self.node.inputs)]
        function, settings = self._settings()
        shown = [self._setting(name, value) for name, value in settings]
        shape = self.node.type.shape
        return self.calls.of(function, shape if self.node.op.name == "conv_weight_grad" else shape[1:], *inputs, *shown)

    def _shape(self, place: int) -> Shape:
        """That of one image, or of the weights."""
        shape = self.graph[self.node.inputs[place]].type.shape
        return shape if place == WEIGHTS.get(self.node.op.name) else shape[1:]

    def _settings(self) -> tuple[str, list[tuple[str, Any]]]:
        op = self.node.op.name
        if op == "conv_input_grad" and (transposed := self._transposed()) is not None:
            return "convolve_transpose", transposed
        size = [("size", self.size)] if op in ("conv_input_grad", "avg_pool_grad") else []
        kernel = [] if op in WEIGHTS else [("kernel", self.kernel)]
        return WRITTEN.get(op, op), [*size, *kernel, *self._strides(), *self._pads(self.size), *self._others()]

    def _transposed(self) -> list[tuple[str, Any]] | None:
        """Those of the way back of a convolution, as the language goes it: whose size follows from them."""
        before, after = self.pads
        grid: Any = self._shape(0)[1:]
        axes = [*zip(self.size, grid, self.strides, self.reach, before, after, strict=True)]
        more = tuple(n - ((windows - 1) * s + r - b - a) for n, windows, s, r, b, a in axes)
        pads = [*self._pads(tuple(n * s for n, s in zip(grid, self.strides, strict=True)))]
        if any(name == "pads" for name, _ in pads) or any(isinstance(m, int) and m >= s for m, s in zip(more, self.strides, strict=True)):
            return None
        return [*self._strides(), *pads, *([("output_pad", more)] if any(more) else []), *self._others()]

    @property
    def size(self) -> Any:
        """That of the image."""
        return self.node.attributes.get("size") or self._shape(IMAGE.get(self.node.op.name, 0))[1:]

    @property
    def strides(self) -> Numbers:
        return self.node.attributes["strides"]  # type: ignore[no-any-return]  # as the signature of the operation has it

    @property
    def kernel(self) -> Any:
        return self.node.attributes.get("kernel") or self._shape(1)[2:]

    @property
    def reach(self) -> Numbers:
        return reach(self.kernel, self.node.attributes.get("dilations", (1,) * len(self.kernel)))

    @property
    def pads(self) -> tuple[Numbers, Numbers]:
        """Before every axis, and after it."""
        pads = self.node.attributes["pads"]
        return pads[: len(self.kernel)], pads[len(self.kernel) :]

    @property
    def is_pool(self) -> bool:
        return not self.node.op.name.startswith("conv")

    def _strides(self) -> Iterator[tuple[str, Any]]:
        if self.strides != (self.kernel if self.is_pool else (1,) * len(self.strides)):
            yield "stride", self.strides

    def _pads(self, size: Any) -> Iterator[tuple[str, Any]]:
        """Pads around an image of such a size: as many before as after, `same`, or with the rest behind the last whole window."""
        before, after = self.pads
        if before != after and (before, after) == same_pads(size, self.reach, self.strides):
            yield "pad", "same"
        elif before == after or self._takes_the_rest():
            yield from [("pad", before)] if any(before) else []
            yield from [("ceil_mode", "true")] if before != after else []
        else:
            yield "pads", before + after

    def _takes_the_rest(self) -> bool:
        before, after = self.pads
        axes = zip(self.size, self.reach, self.strides, before, before, strict=True)
        return self.is_pool and after == tuple(b + beyond(*axis) for b, axis in zip(before, axes, strict=True))

    def _others(self) -> Iterator[tuple[str, Any]]:
        a = self.node.attributes
        if {*a.get("dilations", ())} - {1}:
            yield "dilation", a["dilations"]
        if a.get("groups", 1) > 1:
            yield "groups", a["groups"]

    def _setting(self, name: str, value: Any) -> Term:
        """One number where it is the same for all axes."""
        if isinstance(value, tuple):
            text = self.calls.size(value[0]).text if len(set(value)) == 1 and name not in ("size", "pads") else self.calls.sizes(value).text
        else:
            text = self.calls.signs.name(value).text if isinstance(value, str) else str(value)
        return Term(f"{self.calls.signs.name(name).text} = {text}", SUM)
