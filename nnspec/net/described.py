"""What a spec says of its network: what it takes and gives, how it is computed, and what it looks like."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from nnspec.compile import Compilation
from nnspec.graph import Graph, Type


class Described:
    """A network as its spec has it."""

    def __init__(self, spec: Compilation) -> None:
        self.spec = spec

    @property
    def name(self) -> str:
        return self.spec.model.name

    @property
    def inputs(self) -> dict[str, Type]:
        """{name: type} of the inputs; the first dimension is the batch."""
        return self.spec.model.inputs

    @property
    def targets(self) -> dict[str, Type]:
        return self.spec.model.targets

    @property
    def outputs(self) -> dict[str, Type]:
        return self.spec.model.outputs

    @property
    def graph(self) -> Graph:
        """The inference graph."""
        return self.spec.inference

    def summary(self) -> str:
        """The layer table: name, formula, output shape, parameters, operations and receptive field of one example."""
        from nnspec.summary import summary

        return summary(self.spec)

    def _repr_svg_(self) -> str:
        """The picture of `nnspec graph`."""
        from nnspec.drawing import drawn
        from nnspec.picture.svg import svg

        return svg(drawn(self.spec), self.name)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture, and the layer table below it."""
        return f"<div>{self._repr_svg_()}<details><summary>layers</summary><pre>{escape(self.summary())}</pre></details></div>"

    def _in(self, double: bool) -> Compilation:
        """The spec in double or in single precision."""
        dtype = "float64" if double else "float32"
        return self.spec if self.spec.dtype == dtype else replace(self.spec, dtype=dtype)
