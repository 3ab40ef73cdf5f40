"""Less work on large values: factors that are the same along an axis leave sums over it, and small factors meet before a large one.

A batch normalisation with its gradient is some forty passes over its images as the formula has it; this leaves seven and ten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import mul as times

from nnspec.graph import Graph, Node, Shape, Type, Var
from nnspec.graph.types import broadcast, count
from nnspec.ops.arrange import concat, cut, expand, reshape
from nnspec.ops.index import one_hot
from nnspec.ops.linear import matmul
from nnspec.ops.pointwise import add, div, mul, neg, sub
from nnspec.ops.reduce import mean, size_var, sum

MAX_REWRITES_OF_A_NODE = 20
WIDE = 64
"""Columns of a product with fewer than which it is slower for each."""


def lighter(graph: Graph) -> Graph:
    """The graph with these rules applied wherever they fit, inputs before what uses them."""
    return graph.rebuilt(lambda new, node, inputs: _best(new.var(new.copy_node(node, inputs))).name)


def _best(value: Var) -> Var:
    """A value after all rules that fit it."""
    for _ in range(MAX_REWRITES_OF_A_NODE):
        better = _better(value)
        if better is None:
            break
        value = better
    return value


def _better(value: Var) -> Var | None:
    node, inputs = value.node, [value.graph.var(i) for i in value.node.inputs]
    rules = RULES.get(node.op.name, ()) if node.type.is_float else ()
    return next(filter(None, (rule(node, *inputs) for rule in rules)), None)


def _is_small(value: Var, beside: Var) -> bool:
    """Whether a value has fewer elements than one that it is laid over."""
    small, large = value.type.shape, beside.type.shape
    return beside.type.has_batch and broadcast(small, large) == large and _squeezed(small) != _squeezed(large)


def _squeezed(shape: Sequence[object]) -> list[object]:
    return [d for d in shape if d != 1]


def _scaled(value: Var) -> tuple[Var, Var] | None:
    """A large value and its small factor, of a product of such."""
    if value.node.op is not mul:
        return None
    x, y = (value.graph.var(i) for i in value.node.inputs)
    if _is_small(y, x):
        return x, _single(y)
    return (y, _single(x)) if _is_small(x, y) else None


def _single(value: Var) -> Var:
    """The one number that a value has everywhere, or the value."""
    number = value.graph.var(value.node.inputs[0]) if value.node.op is expand else value
    return value if number.type.shape else number


def _reciprocal(node: Node, x: Var, y: Var) -> Var | None:
    """x / y = x * (1 / y): one division for each element of y instead of x."""
    if not _is_small(y, x):
        return None
    number = None if y.type.shape else y.node.constant
    return x * (x.graph.constant(1.0 / number, x.type.dtype) if number else 1.0 / y)


def _divided(node: Node, x: Var, y: Var) -> Var | None:
    """(x * b) / y = (x / y) * b."""
    found = _scaled(x)
    return _best(found[0] / y) * found[1] if found and x.type == y.type == found[0].type else None


def _gathered(node: Node, x: Var, y: Var) -> Var | None:
    """(x * b) * c = x * (b * c)."""
    for value, factor in ((x, y), (y, x)):
        found = _scaled(value)
        if found and _is_small(factor, found[0]) and value.type == node.type and _is_small(both := found[1] * factor, found[0]):
            return found[0] * both
    return None


def _negated(node: Node, x: Var) -> Var | None:
    """-(x * b) = x * -b."""
    found = _scaled(x)
    return found[0] * -found[1] if found else None


def _merged(node: Node, x: Var) -> Var | None:
    """A sum of sums, or a mean of means, as one."""
    inner = x.node
    if inner.op is not node.op:
        return None
    first = inner.attributes["axes"]
    left = [i for i in range(x.graph[inner.inputs[0]].type.rank) if inner.attributes["keep"] or i not in first]
    axes = tuple(sorted({*first, *(left[a] for a in node.attributes["axes"])}))
    return _shaped(_best(node.op(x.graph.var(inner.inputs[0]), axes=axes, keep=False)), node.type.shape)


def _taken_out(node: Node, x: Var) -> Var | None:
    """The sum of x * b = (the sum of x) * b, where b is the same along the axes of the sum."""
    axes = node.attributes["axes"]
    if not x.type.has_batch:
        return None
    factors, rest = _factors(x, x.type, axes)
    if not factors:
        return None
    keep = node.attributes["keep"] or any(f.type.shape for f in factors)
    total = _best(node.op(reduce(times, rest), axes=axes, keep=keep))
    return _shaped(reduce(_product, factors, total), node.type.shape)


def _product(x: Var, y: Var) -> Var:
    return _best(x * y)


def _shaped(value: Var, shape: Shape) -> Var:
    return value if value.type.shape == shape else reshape(value, shape=shape)


def _of_repeated(node: Node, x: Var) -> Var | None:
    """The sum of a value that is laid over axes is as many times the value, with no rounding on the way; its mean is the value."""
    axes, inner = node.attributes["axes"], x.graph.var(x.node.inputs[0]) if x.node.op is expand else x
    over = [a for a in axes if _is_same_along(inner, x.type, (a,))]
    if x.node.op is not expand or not over:
        return None
    missing = x.type.rank - inner.type.rank
    own = tuple(a - missing for a in axes if a not in over)
    once = node.op(inner, axes=own, keep=False) if own else inner
    once = _shaped(once, tuple(d for a, d in enumerate(inner.type.shape, missing) if a not in axes))
    total = once if node.op is mean else _product(once, size_var(once, count(x.type.shape[a] for a in over)))
    return _shaped(expand(total, shape=tuple(d for a, d in enumerate(x.type.shape) if a not in axes)), node.type.shape)


def _of_one_hot(node: Node, x: Var) -> Var | None:
    """One of the classes is 1, and all others are 0."""
    if x.node.op is not one_hot or node.attributes["axes"] != (x.type.rank - 1,):
        return None
    return expand(x.graph.constant(1.0, node.type.dtype), shape=node.type.shape)


def _factors(x: Var, type: Type, axes: Sequence[int]) -> tuple[list[Var], list[Var]]:
    """What a product is made of: factors that are the same along these axes, and the others, which are as large as the product."""
    node, graph = x.node, x.graph
    if node.op is neg:
        factors, rest = _factors(graph.var(node.inputs[0]), type, axes)
        return [*factors, graph.constant(-1.0, type.dtype)], rest
    parts = [graph.var(i) for i in node.inputs] if node.op is mul else []
    if any(_is_small(p, x) and not _is_same_along(p, type, axes) for p in parts) or not parts:
        return [], [x]
    factors = [p for p in parts if _is_small(p, x)]
    large = [_factors(p, type, axes) for p in parts if not _is_small(p, x)]
    return [*factors, *(f for fs, _ in large for f in fs)], [r for _, rest in large for r in rest]


def _is_same_along(value: Var, type: Type, axes: Sequence[int]) -> bool:
    missing = type.rank - value.type.rank
    return all(a < missing or value.type.shape[a - missing] == 1 for a in axes)


def _parted(node: Node, x: Var) -> Var | None:
    """The sum of scaled values as their sums, each of which may be known already."""
    parts = [x.graph.var(i) for i in x.node.inputs] if x.node.op is add else []
    if not parts or any(p.type != x.type or not _factors(p, x.type, node.attributes["axes"])[0] for p in parts):
        return None
    left, right = (_best(node.op(p, **node.attributes)) for p in parts)
    return left + right


def _unkept(node: Node, x: Var) -> Var | None:
    """A sum that keeps its axes is the sum that does not, seen otherwise."""
    if not node.attributes["keep"] or not x.type.has_batch:
        return None
    return reshape(node.op(x, axes=node.attributes["axes"], keep=False), shape=node.type.shape)


def _in_common(node: Node, x: Var, y: Var) -> Var | None:
    """x * b + y * b = (x + y) * b."""
    left, right = _scaled(x), _scaled(y)
    return node.op(left[0], right[0]) * left[1] if left and right and left[1] == right[1] and x.type == y.type else None


def _of_joined(node: Node, x: Var, y: Var) -> Var | None:
    """The products of what is joined, joined: the gradient of a weight is smaller than what it is the gradient of."""
    axis = node.type.rank - 1
    if y.node.op is not concat or y.node.attributes["axis"] != axis or node.type.has_batch or not y.type.has_batch:
        return None
    parts = [y.graph.var(i) for i in y.node.inputs]
    return concat(*(x @ part for part in parts), axis=axis) if all(_is_wide(part) for part in parts) else None


def _is_wide(value: Var) -> bool:
    width = value.type.shape[-1]
    return isinstance(width, int) and width >= WIDE


def _sum_of_joined(node: Node, x: Var) -> Var | None:
    """The same with sums over the batch in place of products."""
    if x.node.op is not concat or node.attributes["axes"] != (0,) or node.attributes["keep"] or not x.type.has_batch:
        return None
    axis = x.node.attributes["axis"]
    return concat(*(_best(sum(x.graph.var(i), axes=(0,), keep=False)) for i in x.node.inputs), axis=axis - 1) if axis else None


def _meet(left: Node, right: Node, axis: int) -> bool:
    """Whether one piece ends where the other begins, along the axis on which both are cut."""
    a, b = left.attributes, right.attributes
    return (a["axis"], b["axis"], a["stop"]) == (axis, axis, b["start"])


def _side_by_side(node: Node, *parts: Var) -> Var | None:
    """Neighbouring pieces of one value as one piece."""
    axis = node.attributes["axis"]
    for number, (left, right) in enumerate(pairwise(part.node for part in parts)):
        if left.op is right.op is cut and left.inputs == right.inputs and _meet(left, right, axis):
            joined = cut(parts[0].graph.var(left.inputs[0]), **{**left.attributes, "stop": right.attributes["stop"]})
            return concat(*parts[:number], joined, *parts[number + 2 :], axis=axis)
    return None


def _by_ones(node: Node, x: Var, y: Var) -> Var | None:
    """x * 1 = x, where the 1 is laid over a shape."""
    for value, ones in ((x, y), (y, x)):
        if _single(ones).node.constant == 1.0:
            return value if value.type == node.type else expand(value, shape=node.type.shape)
    return None


RULES: dict[str, tuple[Callable[..., Var | None], ...]] = {
    concat.name: (_side_by_side,),
    matmul.name: (_of_joined,),
    div.name: (_reciprocal, _divided),
    add.name: (_in_common,),
    sub.name: (_in_common,),
    mul.name: (_by_ones, _gathered),
    neg.name: (_negated,),
    sum.name: (_sum_of_joined, _of_repeated, _of_one_hot, _merged, _taken_out, _parted, _unkept),
    mean.name: (_of_repeated, _merged, _taken_out, _unkept),
}
