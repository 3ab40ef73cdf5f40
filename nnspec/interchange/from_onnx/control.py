"""Branches whose condition is known, and loops of a known number of steps, which are written out one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from nnspec.graph import Size, Var
from nnspec.interchange.from_onnx.call import MOST_STEPS, Call, Frame, Rule
from nnspec.interchange.from_onnx.moves import between, joined, squeezed, unsqueezed
from nnspec.interchange.read import initialisers
from nnspec.ops.arrange import reshape
from nnspec.ops.pointwise import where


def _if(c: Call, condition: Var) -> list[Var | None]:
    """The branch that is taken; where data decides it, both are computed and one is chosen, which takes outputs of the same shapes."""
    known = c.builder.known(condition)
    if known is not None:
        return _run(c, c.attributes["then_branch" if known.reshape(-1)[0] else "else_branch"], ())
    pairs = zip(*(_run(c, c.attributes[branch], ()) for branch in ("then_branch", "else_branch")), strict=True)
    return [_chosen(c, reshape(condition, shape=()), a, b) for a, b in pairs]


def _chosen(c: Call, condition: Var, a: Var | None, b: Var | None) -> Var | None:
    if a is None or b is None or a.type.shape != b.type.shape:
        raise c.fault("E523", "its branches give different shapes, and `cond` is computed from data")
    return where(condition, a, b)


def _run(c: Call, body: onnx.GraphProto, inputs: Sequence[Var | None]) -> list[Var | None]:
    """The outputs of a graph inside a node, which sees all that the node sees."""
    frame = Frame({**c.frame.values, **dict(zip((i.name for i in body.input), inputs, strict=False))}, c.frame.attributes, c.opset)
    for name, values in initialisers(body).items():
        frame.values[name] = c.builder.constant(values, c.builder.dtype(values.dtype, name), name)
    c.builder.nodes(body.node, frame)
    return [c.builder.value(o.name, frame) for o in body.output]


def _stacked(c: Call, rows: Iterable[Var | None], axis: int, what: str) -> Var:
    found = [unsqueezed(r, [c.axis(axis, r.type.rank + 1)]) for r in rows if r is not None]
    if not found:
        raise c.fault("E521", f"{what} has no steps, so that its outputs have no shape")
    return joined(found, c.axis(axis, found[0].type.rank))


def _loop(c: Call, number: Var | None, go_on: Var | None, *carried: Var) -> list[Var | None]:
    """A loop that runs to its end: neither the number of steps nor the condition may depend on data."""
    body, values, rows = c.attributes["body"], list[Var | None](carried), list[list[Var | None]]()
    going = bool(c.known(1, "cond").reshape(-1)[0]) if go_on is not None else True
    most = int(c.known(0, "M").reshape(-1)[0]) if number is not None else MOST_STEPS + 1
    for step in range(most):
        if not going:
            break
        c.steps(step + 1)
        condition, *found = _run(c, body, [c.graph.constant(step, "int64"), c.graph.constant(True, "bool"), *values])
        values, row = found[: len(values)], found[len(values) :]
        rows.append(row)
        known = c.builder.known(condition) if condition is not None else None
        if known is None:
            raise c.fault("E523", "the condition to go on is computed from data, and has to be known when the model is read")
        going = bool(known.reshape(-1)[0])
    return [*values, *(_stacked(c, column, 0, "the loop") for column in zip(*rows, strict=True))]


def _scan(c: Call, *inputs: Var) -> list[Var | None]:
    if c.opset < 9:
        raise c.fault("E521", "Scan of opset 8, which has the batch as its first axis, is not imported")
    body, items = c.attributes["body"], c.attributes["num_scan_inputs"]
    carried, sequences = list[Var | None](inputs[: len(inputs) - items]), inputs[len(inputs) - items :]
    axes = [c.axis(a, s.type.rank) for a, s in zip(c.attr("scan_input_axes", (0,) * items), sequences, strict=True)]
    backwards = c.attr("scan_input_directions", (0,) * items)
    length = sequences[0].type.shape[axes[0]]
    if isinstance(length, Size):
        raise c.fault("E523", f"the number of steps, `{length}`, has to be known when the model is read")
    rows: list[list[Var | None]] = []
    for step in c.steps(length):
        at = [length - 1 - step if back else step for back in backwards]
        now = [squeezed(between(s, a, i, i + 1), [a]) for s, a, i in zip(sequences, axes, at, strict=True)]
        found = _run(c, body, [*carried, *now])
        carried, row = found[: len(carried)], found[len(carried) :]
        rows.append(row)
    columns = list(zip(*rows, strict=True))
    turned = c.attr("scan_output_directions", (0,) * len(columns))
    out_axes = c.attr("scan_output_axes", (0,) * len(columns))
    ordered = [column[::-1] if back else column for column, back in zip(columns, turned, strict=True)]
    return [*carried, *(_stacked(c, column, a, "the scan") for column, a in zip(ordered, out_axes, strict=True))]


RULES: dict[str, Rule] = {"If": _if, "Loop": _loop, "Scan": _scan}
