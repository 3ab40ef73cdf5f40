"""The layer table as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import visible
from nnspec.elaborate.report import TableRow, comparable, one_example, size_of
from nnspec.graph import BATCH, Dim, Type, outputs_of
from nnspec.graph.types import show

HEADINGS = ("name", "formula", "output", "params", "FLOPs", "bytes", "sees")
MAX_FORMULA = 48


def summary(spec: Compilation) -> str:
    """Name, formula, output shape, parameters, operations, bytes and receptive field of each stage, the totals, and the widest value."""
    parameters, flops = _totals(spec)
    table = spec.table
    activation: Dim = 0
    for row in table:
        activation = activation + row.activation
    total = (spec.model.name, "", "", _number(parameters), _number(flops), _number(activation), "")
    widest = max(table, key=lambda row: comparable(row.widest), default=None)
    last = [f"widest value: {_shape(widest.widest)} in {widest.name}, {_number(size_of(widest.widest))} bytes"] if widest else []
    rows = [tuple(map(visible, row)) for row in (HEADINGS, *map(_cells, table), total)]
    return "\n".join([*_aligned(rows), *map(visible, last)])


def describe(spec: Compilation) -> dict[str, Any]:
    """The document of `compile --json`."""
    model = spec.model
    parameters, flops = _totals(spec)
    return {
        "model": model.name,
        "params": parameters,
        "flops": flops if isinstance(flops, int) else str(flops),
        "inputs": {n: str(t) for n, t in model.inputs.items()},
        "outputs": {n: str(t) for n, t in model.outputs.items()},
        "parameters": [{"name": n, "shape": list(o.type.shape)} for n, o in model.parameters.items()],
        "nodes": len(spec.inference),
    }


def _totals(spec: Compilation) -> tuple[int, Dim]:
    """Parameters, and operations for the outputs of one example."""
    return spec.model.facts.parameters(), spec.model.facts.flops(outputs_of(spec.model.graph, "output").values())


def _cells(row: TableRow) -> tuple[str, ...]:
    formula = row.formula if len(row.formula) <= MAX_FORMULA else row.formula[: MAX_FORMULA - 3] + "..."
    sees = "x".join(map(str, row.field or ()))
    return (row.name, formula, row.shape, _number(row.parameters), _number(row.flops), _number(row.activation), sees)


def _shape(type: Type) -> str:
    """The shape of a value of one example, wherever the batch stands in it."""
    return show(tuple(one_example(d) for d in type.shape if d != BATCH))


def _number(value: Dim) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEADINGS))]
    numeric = {3, 4, 5}
    lines = []
    for row in rows:
        cells = [c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]
