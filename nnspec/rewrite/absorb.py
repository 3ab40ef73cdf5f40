"""Constant factors and terms taken into the weights before them: batchnorm in use is nothing but a convolution with other weights.

Only the graph is looked at: the new weights are formulas of the old, for an engine to compute or an export to know.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager

from nnspec.graph import Graph, Node, Var
from nnspec.graph.types import count
from nnspec.ops.arrange import reshape, transpose
from nnspec.ops.composite import affine, batch_norm, conv_bias
from nnspec.ops.image import conv, conv_input_grad
from nnspec.ops.linear import matmul
from nnspec.rewrite.passes import Pass, scope_of

PRODUCTS = (conv, conv_input_grad, matmul)


def absorbed(graph: Graph, *, once: bool) -> Graph:
    """The graph with every constant factor and term as near to its weights as it can go.

    If that is not to be computed `once`, but at every run, only where it is less work than the factor was on a single example.
    """
    return _Absorbing(graph, once).run()


def with_bias(graph: Graph) -> Graph:
    """The graph with every convolution or product and the constant term of its channels as one operation."""
    return _Joining(graph).run()


class _Terms(Pass):
    """Looks at sums and products of a value and a constant."""

    def better(self, node: Node, inputs: list[Var]) -> Var | None:
        if node.op.name not in ("add", "sub", "mul", "div") or not node.type.is_float:
            return None
        x, y = inputs[::-1] if node.op.commutative and inputs[0].name in self.constants else inputs
        return self.joined(node.op.name, x, y) if y.name in self.constants and x.name not in self.constants else None

    @abstractmethod
    def joined(self, op: str, x: Var, constant: Var) -> Var | None:
        """What says the same as this operation on a value and a constant, if there is anything."""

    def split(self, x: Var, op: str) -> tuple[Var, Var] | tuple[None, None]:
        """The value and the constant that a sum, product or quotient is made of."""
        parts = self.parts(x) if x.node.op.name == op else []
        if parts and x.node.op.commutative and parts[0].name in self.constants:
            parts.reverse()
        return (parts[0], parts[1]) if parts and parts[1].name in self.constants else (None, None)


class _Absorbing(_Terms):
    def __init__(self, graph: Graph, once: bool) -> None:
        super().__init__(graph)
        self.once = once

    def joined(self, op: str, x: Var, constant: Var) -> Var | None:
        if op in ("add", "sub"):
            return self.plus(x, constant if op == "add" else -constant)
        return self.times(x, constant if op == "mul" else 1.0 / constant)

    def plus(self, x: Var, term: Var) -> Var | None:
        """A product plus a constant; two terms become one where both can be its bias."""
        if x.node.op in PRODUCTS:
            return x + term
        product, other = self.split(x, "add")
        if not product or not other or product.node.op not in PRODUCTS:
            return None
        axis = x.type.rank - 1 if product.node.op is matmul else 1
        return product + (other + term) if _is_along(other, axis, x) and _is_along(term, axis, x) else None

    def times(self, x: Var, factor: Var) -> Var | None:
        """The value times a constant, where something that it is made of takes the factor."""
        parts, op = self.parts(x), x.node.op
        with _in_place_of(x):
            if op in (conv, conv_input_grad) and parts:
                return self._times_convolution(parts, factor, x)
            if op is matmul and parts:
                return self._times_product(parts, factor, x)
            if op in (reshape, transpose) and parts and _is_number(factor):
                inner = self.times(parts[0], _number(factor))
                return inner and op(inner, **x.node.attributes)
            return self._times_sum(x, factor) or self._times_twice(x, factor)

    def _times_convolution(self, parts: list[Var], factor: Var, x: Var) -> Var | None:
        image, kernel = parts
        axis, whole = (0, True) if x.node.op is conv else (1, x.node.attributes["groups"] == 1)
        if not whole or not _is_along(factor, 1, x) or not self._takes(kernel, x):
            return None
        return x.node.op(image, kernel * _over_axis(factor, axis, x.type.rank), **x.node.attributes)

    def _times_product(self, parts: list[Var], factor: Var, product: Var) -> Var | None:
        left, right = parts
        if self._takes(right, product) and _is_along(factor, product.type.rank - 1, product):
            return left @ (right * reshape(factor, shape=(count(factor.type.shape),)))
        if not _is_number(factor):
            return None
        if self._takes(left, product):
            return (left * _number(factor)) @ right
        if scaled := self.times(left, _number(factor)):
            return scaled @ right
        scaled = self.times(right, _number(factor))
        return scaled and left @ scaled

    def _takes(self, weights: Var, product: Var) -> bool:
        """Whether weights are worth multiplying instead of their product."""
        size, example = count(weights.type.shape), count(product.type.shape[1:])
        less = isinstance(size, int) and isinstance(example, int) and size <= example
        return weights.name in self.constants and (self.once or less)

    def _times_sum(self, x: Var, factor: Var) -> Var | None:
        value, term = self.split(x, "add")
        scaled = self.times(value, factor) if value else None
        return scaled + term * factor if scaled and term else None

    def _times_twice(self, x: Var, factor: Var) -> Var | None:
        value, first = self.split(x, "mul")
        if value and first:
            return value * (first * factor)
        value, first = self.split(x, "div")
        return value * (factor / first) if value and first else None


class _Joining(_Terms):
    def joined(self, op: str, x: Var, constant: Var) -> Var | None:
        parts = self.parts(x)
        if op != "add" or not parts:
            return None
        with _in_place_of(x):
            if x.node.op is matmul:
                return affine(*parts, _row(constant)) if x.type.rank == 2 and _is_row(constant, x) else None
            if x.node.op is conv:
                return conv_bias(*parts, _row(constant), **x.node.attributes) if _is_of_channels(constant, x) else None
            value, scale = self.split(x, "mul")
            if value and scale and _is_of_channels(scale, x) and _is_of_channels(constant, x):
                return self._normalised(value, scale, constant)
            return None

    def _normalised(self, x: Var, scale: Var, bias: Var) -> Var:
        """Batchnorm that no convolution has taken: images keep the layout of convolutions in one operation, not in three."""
        for op in ("sub", "add"):
            value, mean = self.split(x, op)
            if value and mean and _is_of_channels(mean, x):
                return batch_norm(value, *map(_row, (scale, bias, mean if op == "sub" else -mean)))
        channels = x.type.shape[1]
        assert isinstance(channels, int)  # as many as scale has
        return batch_norm(x, _row(scale), _row(bias), x.graph.constant((0.0,) * channels, x.type.dtype))


def _in_place_of(x: Var) -> AbstractContextManager[None]:
    """What is made here belongs to the layer of x, and comes from the same line."""
    return x.graph.at(scope=scope_of(x.node), span=x.node.span)


def _over_axis(factor: Var, axis: int, rank: int) -> Var:
    """A factor along one axis of a kernel."""
    return reshape(factor, shape=(*(1,) * axis, count(factor.type.shape), *(1,) * (rank - axis - 1)))


def _row(constant: Var) -> Var:
    return reshape(constant, shape=(count(constant.type.shape),))


def _is_along(constant: Var, axis: int, x: Var) -> bool:
    """Whether it differs along one axis of x at most."""
    missing = x.type.rank - constant.type.rank
    return missing >= 0 and all(d == 1 or i + missing == axis for i, d in enumerate(constant.type.shape))


def _is_row(constant: Var, x: Var) -> bool:
    """Whether it has a number for each column of x."""
    return _is_along(constant, x.type.rank - 1, x) and constant.type.shape[-1:] == x.type.shape[-1:]


def _is_of_channels(constant: Var, x: Var) -> bool:
    """Whether it has a number for each channel of images or signals."""
    return x.type.rank > 2 and _is_along(constant, 1, x) and count(constant.type.shape) == x.type.shape[1]


def _is_number(constant: Var) -> bool:
    return count(constant.type.shape) == 1


def _number(constant: Var) -> Var:
    return reshape(constant, shape=())
