"""Fields computed from fields, by the definition of what a graph means."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import fault
from nnspec.elaborate.fields import FIELD, Formula, field_graph
from nnspec.graph import BATCH, Graph, Type
from nnspec.rewrite import rewrite
from nnspec.run import reference
from nnspec.train.cells import text_help
from nnspec.train.files import check_size
from nnspec.train.readers import Readers

CHUNK = 1 << 16
"""Numbers of one field that are worked on at once."""


def computed(formula: Formula, readers: Readers, dtype: str | None, fractional: Collection[str] = ()) -> Array:
    """The formula for every example, in float64 or whole numbers; floats as `dtype`, where it is given.

    Fields that are known to be `fractional` are so even if those of these examples are whole.
    """
    fields = {name: readers[name]() for name in formula.names() if name in readers}
    fields |= {name: values.astype(np.float64) for name, values in fields.items() if name in fractional and values.dtype.kind in "iu"}
    count = _examples(formula, fields)
    graph = rewrite(field_graph(formula, {n: _type(formula, n, v, n in fractional) for n, v in fields.items()}), "stability")
    made = graph.nodes[graph.outputs[FIELD]].type
    kind = dtype if made.is_float and dtype else made.dtype
    shape = (count, *(int(str(d)) for d in made.shape[1:]))
    otherwise = "write the formula in the model, where it is done a batch at a time, or "
    size, what = prod(shape) * np.dtype(kind).itemsize, f"this, {count:,} examples of shape {list(shape[1:])},"
    check_size(size, what, formula.expression.span, otherwise)
    return _filled(np.empty(shape, kind), graph, fields)


def _filled(out: Array, graph: Graph, fields: dict[str, Array]) -> Array:
    step = max(1, CHUNK // max(1, *(prod(v.shape[1:]) for v in (out, *fields.values()))))
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        with np.errstate(over="ignore"):
            out[part] = reference.run(graph, {name: values[part] for name, values in fields.items()})[FIELD]
    return out


def _examples(formula: Formula, fields: dict[str, Array]) -> int:
    counts = {len(values) for values in fields.values()}
    if not counts:
        raise fault("E106", "this is the same for every example", formula.expression.span)
    if len(counts) > 1:
        raise fault("E308", f"{', '.join(f'`{n}`' for n in fields)} do not have the same number of examples", formula.expression.span)
    return counts.pop()


def is_fractional(values: Array) -> bool:
    """Whether a field is of numbers that are not all whole, or of more than one number an example, and so computed with as fractions."""
    if values.dtype.kind != "f":
        return False
    return values.ndim != 1 or not bool(((abs(values) < 2**53) & (values == np.floor(values))).all())


def _type(formula: Formula, name: str, values: Array, fractional: bool) -> Type:
    """Columns of whole numbers are whole, so that `one_hot` takes them."""
    shape = (BATCH, *values.shape[1:])
    if values.dtype.kind not in "biuf":
        message = f"a formula is of numbers, and the field `{name}` holds text"
        raise fault("E309", message, formula.expression.span, help=text_help(name, values))
    if values.dtype.kind == "b":
        return Type("bool", shape)
    return Type("float64" if fractional or is_fractional(values) else "int64", shape)
