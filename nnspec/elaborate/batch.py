"""From one example to a batch: the operations of the language on tensors whose first axis may be the implicit batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from nnspec.diagnostics import Fault, Span, fault
from nnspec.elaborate.lists import are_truths, flat, with_sizes
from nnspec.elaborate.remedies import as_matrix_product, channels_last, fewer_axes, laid_out_alike, of_column, of_one_number, of_product
from nnspec.elaborate.values import Applied, Tensor, Value, describe, is_dim
from nnspec.graph import BATCH, Dim, Graph, Mismatch, Op, Shape, Size
from nnspec.graph.origin import origin
from nnspec.graph.types import broadcast, show
from nnspec.ops import OPS
from nnspec.ops.source import value_shape

MAX_RANK = 8
SHORT_TEXT = 30
Note = tuple[Span, str]


def as_float(graph: Graph, value: Value, span: Span) -> Tensor:
    """A value as the floats that a parameter, a state or a rate is made of."""
    return as_dtype(lift(graph, value, graph.dtype, span), graph.dtype)


def lift(graph: Graph, value: Value, dtype: str, span: Span) -> Tensor:
    """A compile-time value as a tensor of the graph."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Size):
        return Tensor(graph.call(OPS["size_of"], size=value, dtype=dtype), False, span)
    if isinstance(value, bool | int | float):
        kind = "bool" if isinstance(value, bool) else dtype
        return Tensor(graph.constant(float(value) if kind.startswith("float") else value, kind), False, span)
    if with_sizes([value]):
        return _listed(graph, [lift(graph, v, dtype, span) for v in value], span)
    if isinstance(value, tuple):
        listed = Tensor(graph.constant(numbers(value, span), "bool" if are_truths(value) else dtype), False, span)
        _check_rank(listed.shape, span)
        return listed
    help_ = "it is drawn next to a tensor, in its shape: `0 * x + normal(0, 1)`" if isinstance(value, Applied) else ""
    raise fault("E106", f"expected a tensor or a number, got {describe(value)}", span, help=help_)


def _listed(graph: Graph, rows: Sequence[Tensor], span: Span) -> Tensor:
    """The rows of a list, some of which are known only when it runs."""
    if len({r.shape for r in rows}) > 1:
        raise fault("E208", "the rows of this list are not equally long", span)
    parts = [OPS["reshape"](r.var, shape=(1, *r.shape)) for r in rows]
    return Tensor(OPS["concat"](*parts, axis=0), False, span)


def numbers(value: Value, span: Span) -> Any:
    """Nested tuples of numbers, all rows of one level equally long."""
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, tuple):
        help_ = "a number or a list stands here, or what is computed from such alone" if isinstance(value, Tensor) else ""
        raise fault("E106", f"expected a number, got {describe(value)}", span, help=help_)
    items = tuple(numbers(v, span) for v in value)
    if len({value_shape(i) for i in items}) > 1:
        raise fault("E208", "the rows of this list are not equally long", span)
    return items


def pointwise(graph: Graph, op: Op, values: Sequence[Value], spans: Sequence[Span], span: Span) -> Tensor:
    """An op on single elements; per-example shapes broadcast by NumPy's rule, and the batch takes no part in it."""
    dtype = graph.dtype if op.real and not _is_whole_power(op, values) else common_dtype(graph, values)
    if op is OPS["mod"] and dtype == "int64" and 0 in flat(values[1]):
        raise fault("E107", "this divides by zero", span)
    tensors = [lift(graph, v, dtype, s) for v, s in zip(values, spans, strict=True)]
    takes_truth = [p.type is not None and p.type.base == "bool" for p in op.declared(len(tensors))]
    tensors = [t if truth else as_dtype(t, dtype) for t, truth in zip(tensors, takes_truth, strict=True)]
    _check_truths(itertools.compress(zip(tensors, spans, strict=True), takes_truth))
    shape = broadcast(*(t.shape for t in tensors))
    if shape is None:
        raise _differ(tensors, spans, span)
    inputs = [_aligned(t, len(shape)) for t in tensors]
    return Tensor(graph.call(op, *inputs), any(t.batched for t in tensors), span)


def _is_whole_power(op: Op, values: Sequence[Value]) -> bool:
    """Whether whole numbers stay whole: a power with an exponent that is known, and neither a fraction nor below 0."""
    return op is OPS["pow"] and all(isinstance(n, int | float) and n >= 0 and float(n).is_integer() for n in flat(values[1]))


def common_dtype(graph: Graph, values: Sequence[Value]) -> str:
    """Whole numbers stay whole among themselves and with truths; with a float they become floats."""
    tensors = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype != "bool"]
    plain_floats = any(isinstance(v, float) and not v.is_integer() for value in values for v in flat(value))
    return "int64" if tensors and set(tensors) == {"int64"} and not plain_floats else graph.dtype


def kind_of(graph: Graph, value: Value) -> str:
    """The element type of a value by itself: of a number, a float's."""
    return value.dtype if isinstance(value, Tensor) else "bool" if isinstance(value, bool) or are_truths(value) else graph.dtype


def as_dtype(t: Tensor, dtype: str) -> Tensor:
    return t if t.dtype == dtype else Tensor(OPS["cast"](t.var, dtype=dtype), t.batched, t.origin)


def _check_truths(tensors: Iterable[tuple[Tensor, Span]]) -> None:
    for tensor, span in tensors:
        if tensor.dtype != "bool":
            raise fault("E106", f"expected a truth such as `a < b`, got {describe(tensor)}", span)


def _aligned(t: Tensor, rank: int) -> Any:
    """With axes of length 1 between the batch and a shorter example, so that NumPy's rule means the language's."""
    if not t.batched or len(t.shape) == rank:
        return t.var
    return OPS["reshape"](t.var, shape=(BATCH, *(1,) * (rank - len(t.shape)), *t.shape))


def _differ(tensors: Sequence[Tensor], spans: Sequence[Span], span: Span) -> Exception:
    pairs = list(itertools.combinations(zip(tensors, spans, strict=True), 2))
    (a, left), (b, right) = next(pair for pair in reversed(pairs) if broadcast(*(t.shape for t, _ in pair)) is None)
    axis = _apart(a.shape, b.shape)
    label = f"{left.text} is {show(a.shape)}, {right.text} is {show(b.shape)}: {a.shape[axis]} and {b.shape[axis]} differ"
    notes = (*made(a, axis, left, span), *made(b, axis, right, span))
    longer = a if len(a.shape) > len(b.shape) else b
    forgotten = fewer_axes(longer.var.graph, longer.var.name) if len(a.shape) != len(b.shape) else {}
    more = forgotten or as_matrix_product(a.shape, b.shape, left, right) or laid_out_alike(a.shape, b.shape)
    return fault("E201", f"shapes {show(a.shape)} and {show(b.shape)} do not fit together", span, label=label, notes=notes, **more)


def _apart(a: Shape, b: Shape) -> int:
    """The last axis, from the end, along which two shapes do not broadcast."""
    return next(-i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False), 1) if x != y and 1 not in (x, y))


def origins(tensors: Sequence[Tensor], spans: Sequence[Span]) -> tuple[tuple[Span, str], ...]:
    """Where each operand got its shape, for those that were made elsewhere."""
    return tuple(
        dict.fromkeys(
            (t.origin, f"{describe(t)} comes from here")
            for t, s in zip(tensors, spans, strict=True)
            if t.origin and not (s.start <= t.origin.start and t.origin.end <= s.end)
        )
    )


def made(t: Tensor, axis: int, at: Span, around: Span | None = None, what: str = "") -> tuple[Note, ...]:
    """Where a tensor that is used at a place got its size along an axis, unless that shows within what is marked."""
    found = origin(t.var.graph, t.var.name, axis - len(t.shape) + t.var.type.rank if axis >= 0 else axis)
    if found is None or found.span.source.library or (around or at).covers(found.span):
        return ()
    return ((found.span, f"{what or short(at) or 'this'} gets {t.shape[axis]} here"),)


def short(span: Span) -> str:
    """What is written there, if it is short enough to be quoted."""
    return span.text if len(span.text) <= SHORT_TEXT and "\n" not in span.text else ""


def matmul(graph: Graph, x: Tensor, y: Tensor, spans: Sequence[Span], span: Span) -> Tensor:
    """The product over the last axis of x and the last but one of y; a vector on the left is a row."""
    x, y = as_dtype(x, graph.dtype), as_dtype(y, graph.dtype)
    if not x.shape or len(y.shape) < 2 or x.shape[-1] != y.shape[-2] or broadcast(x.shape[:-2], y.shape[:-2]) is None:
        raise _no_product(x, y, spans, span)
    if x.batched and not y.batched and len(x.shape) == 1 and len(y.shape) == 2:
        return Tensor(OPS["matmul"](x.var, y.var), True, span)
    rank = max(len(x.shape), len(y.shape), 2)
    row = _expanded(x, (1, *x.shape)) if len(x.shape) == 1 else x
    product = Tensor(OPS["matmul"](_aligned(row, rank), _aligned(y, rank)), x.batched or y.batched, span)
    if len(x.shape) > 1:
        return product
    return _expanded(product, (*product.shape[:-2], product.shape[-1]))


def _no_product(x: Tensor, y: Tensor, spans: Sequence[Span], span: Span) -> Exception:
    notes = origins((x, y), spans)
    fix: dict[str, Any] = {}
    if len(y.shape) < 2 or not x.shape:
        why = "the right side of `@` is a matrix, the left a row or a matrix"
    elif x.shape[-1] == y.shape[-2]:
        axis = _apart(x.shape[:-2], y.shape[:-2]) - 2
        why = f"of the axes before the last two, {x.shape[axis]} and {y.shape[axis]} differ"
        notes = (*made(x, axis, spans[0], span), *made(y, axis, spans[1], span))
    else:
        why = f"{x.shape[-1]} and {y.shape[-2]} differ"
        notes = (*made(x, -1, spans[0], span), *made(y, -2, spans[1], span))
        fix = of_product(x, y, spans)
    label = f"{spans[0].text} is {show(x.shape)}, {spans[1].text} is {show(y.shape)}: {why}"
    help_ = of_column(x.shape, y.shape, *(s.one_line for s in spans))
    both = f"`{short(spans[0])}` and `{short(spans[1])}`" if all(map(short, spans)) else "these"
    return fault("E203", f"{both} have no matrix product", span, label=label, notes=notes, **(fix or {"help": help_}))


def _expanded(t: Tensor, shape: Shape) -> Tensor:
    full = (BATCH, *shape) if t.batched else shape
    return t if t.var.type.shape == full else t.moved(OPS["reshape"](t.var, shape=full))


def reshape(t: Tensor, shape: Shape, span: Span) -> Tensor:
    _check_rank(shape, span)
    return _expanded(t, shape).at(span)


def repeated(t: Tensor) -> Tensor:
    """One for each example: what has no batch is the same for all."""
    return t if t.batched else Tensor(OPS["expand"](t.var, shape=(BATCH, *t.shape)), True, t.origin, t.classes)


def _check_rank(shape: Shape, span: Span) -> None:
    if len(shape) > MAX_RANK:
        raise fault("E204", f"a tensor has at most {MAX_RANK} axes", span)


def axes_of(t: Tensor, axis: Value, span: Span) -> tuple[int, ...]:
    """Axes of the node for per-example axes: None means all, negative ones count from the end."""
    rank = len(t.shape)
    wanted = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in wanted:
        if not _is_axis(a, rank):
            raise fault("E205", f"there is no axis {describe(a)}: this has shape {show(t.shape)}", span,
                        help="axes count from 0 and leave the batch out; -1 is the last" if rank else of_one_number(t.var))  # fmt: skip
    axes = {a % rank + t.batched for a in wanted}
    if len(axes) < len(wanted):
        raise fault("E205", f"{describe(axis)} names an axis twice", span)
    return tuple(sorted(axes))


def _is_axis(a: Value, rank: int) -> bool:
    return isinstance(a, int) and not isinstance(a, bool) and -rank <= a < rank


def reduce(op: str, t: Tensor, axis: Value, keep: bool, span: Span) -> Tensor:
    """A reduction over per-example axes."""
    axes = axes_of(t, axis, span)
    t = as_dtype(t, t.var.graph.dtype) if op == "mean" or (op == "sum" and t.dtype == "bool") else t
    return Tensor(OPS[op](t.var, axes=axes, keep=keep), t.batched, span) if axes else t


def batch_mean(t: Tensor, span: Span) -> Tensor:
    if not t.batched:
        raise fault("E106", "this has no batch to average over", span)
    return Tensor(OPS["mean"](as_dtype(t, t.var.graph.dtype).var, axes=(0,), keep=False), False, span)


def transpose(t: Tensor, axes: Value, span: Span) -> Tensor:
    rank = len(t.shape)
    given = axes if axes is not None else (*range(rank - 2), -1, -2)
    order = tuple(a % rank for a in given) if isinstance(given, tuple) and all(_is_axis(a, rank) for a in given) else ()
    if sorted(order) != list(range(rank)) or rank < 2:
        if axes is None:
            raise _no_axes_to_swap(t, span)
        raise fault("E205", f"{describe(axes)} is not an order of the axes of {show(t.shape)}", span)
    full = (0, *(a + 1 for a in order)) if t.batched else order
    return t.moved(OPS["transpose"](t.var, axes=full), span)


def _no_axes_to_swap(t: Tensor, span: Span) -> Fault:
    if not t.shape:
        return fault("E205", "one number has no axes to swap", span)
    n = t.shape[0]
    help_ = f"`sum(a * b)` is the product of two vectors; as a column it is [{n}, 1]: declared so, or by `reshape`"
    return fault("E205", f"a vector, {show(t.shape)}, has no two axes to swap", span, help=help_)


def index(t: Tensor, position: int, at: Value, span: Span) -> tuple[Tensor, bool]:
    """One index along per-example axis `position`; the truth says whether the axis stays."""
    size, axis = t.shape[position], position + t.batched
    if isinstance(at, slice):
        for bound in (at.start, at.stop):
            if bound is not None and not is_dim(bound):
                raise fault("E106", f"a slice goes from one whole number to another, not {describe(bound)}", span)
        start, stop = _bound(at.start, size, 0), _bound(at.stop, size, size)
        length = stop - start
        if isinstance(length, int) and length < 1:
            raise fault("E205", f"nothing lies from {start} up to {stop} of an axis of length {size}", span)
        return t.moved(OPS["cut"](t.var, axis=axis, start=start, stop=stop), span), True
    if not is_dim(at) or (isinstance(size, int) and not (isinstance(at, int) and -size <= at < size)):
        raise fault("E205", f"there is no element {describe(at)}: this axis has length {size}", span)
    start = _bound(at, size, 0)
    cut = t.moved(OPS["cut"](t.var, axis=axis, start=start, stop=start + 1), span)
    return reshape(cut, (*t.shape[:position], *t.shape[position + 1 :]), span), False


def _bound(value: Any, size: Dim, default: Dim) -> Dim:
    if value is None:
        return default
    at: Dim = value + size if isinstance(value, int) and value < 0 else value
    return max(0, min(at, size)) if isinstance(at, int) and isinstance(size, int) else at


def attempt(graph: Graph, spans: dict[str, Span], span: Span, build: Any) -> Any:
    """Run a builder; a shape that does not fit is reported at the argument it names."""
    try:
        return build()
    except Mismatch as error:
        windows = error.parameter == "kernel"
        help_ = f"an image is [channels, height, width]; {channels_last(graph) or '`pad` adds to it'}" if windows else ""
        raise fault("E206" if windows else "E202", error.message, spans.get(error.parameter, span), help=help_) from None
