"""Gradients inside formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnspec.diagnostics import fault
from nnspec.elaborate.primitives.table import Arguments, builtin
from nnspec.elaborate.values import Tensor, Value, describe
from nnspec.elaborate.within import Derivative
from nnspec.graph import Graph, Node
from nnspec.lazy import Module
from nnspec.ops import OPS
from nnspec.rewrite import BEFORE_GRADIENTS, rewrite

if TYPE_CHECKING:
    from nnspec import autodiff
else:
    autodiff = Module("nnspec.autodiff")


@builtin("grad(y, x)")
def _grad(a: Arguments) -> Value:
    """The derivative of a number for each example by a value that example has; the formulas between them are made stable first."""
    y, x = a.tensor("y"), a.bound["x"]
    if not isinstance(x, Tensor) or not x.var.type.is_float:
        raise fault("E106", f"a derivative is taken by a value of the network, not by {describe(x)}", a.at("x"))
    if y.shape:
        help_ = "write `grad(sum(y), x)` for the gradient of a sum"
        raise fault("E202", f"`grad` takes one number for each example, not {describe(y)}", a.at("y"), help=help_)
    if y.batched and not x.batched:
        raise fault("E106", "`grad` by a parameter would mix the examples: it takes a value that each example has", a.at("x"))
    return derivative(a, y, x)


def derivative(a: Arguments, y: Tensor, x: Tensor) -> Tensor:
    """That of the sum of y by x, from the formulas between them in their stable form."""
    part, by = _between(y, x)
    a.e.derivatives.append(Derivative.of(part, part.outputs["y"], x.var.name, a.at("x").text, a.span))
    on_the_way = len(part)
    (gradient,) = autodiff.gradients(part, part.outputs["y"], [by])
    a.e.budget.foresee_derivatives(on_the_way, len(part.needed([gradient.name])), a.span)
    moved = a.e.graph.insert(part, [gradient.name], {by: x.var.name})
    return Tensor(a.e.graph.var(moved[gradient.name]), x.batched, a.span)


@builtin("stop_gradient(x)")
def _stop_gradient(a: Arguments) -> Value:
    """The value, to which no derivative goes on; whole numbers and truths have none anyway."""
    x = a.tensor("x")
    return Tensor(OPS["stop_gradient"](x.var), x.batched, a.span) if x.var.type.is_float else x


def _between(y: Tensor, x: Tensor) -> tuple[Graph, str]:
    """The formulas from x to y as a graph of their own, in which x is a source; and its name there."""
    graph = y.var.graph
    by = graph.fresh("/x")

    def rebuild(new: Graph, node: Node, inputs: tuple[str, ...]) -> str:
        return new.source(OPS["input"], by, node.type).name if node.name == x.var.name else new.copy_node(node, inputs)

    part = rewrite(graph.rebuilt(rebuild, {"y": y.var.name}), *BEFORE_GRADIENTS)
    part.source(OPS["input"], by, x.var.type)
    return part, by
