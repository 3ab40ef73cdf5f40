"""Branches whose condition is known; loops over a batch; and loops of a known number of steps, written out one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import onnx

from nnspec.graph import Dim, Size, Var
from nnspec.interchange.from_onnx.call import MOST_STEPS, Call, Rule
from nnspec.interchange.from_onnx.moves import between, joined, squeezed, unsqueezed
from nnspec.interchange.read import initialisers
from nnspec.loops import Carried, Item, close, of_step, stand_in
from nnspec.ops.arrange import flip, moved, reshape
from nnspec.ops.pointwise import where
from nnspec.record import dataclass


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
    frame = replace(c.frame, values={**c.frame.values, **dict(zip((i.name for i in body.input), inputs, strict=False))})
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
    [most] = c.ints("M", 0) or (MOST_STEPS + 1,)
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


@dataclass(frozen=True)
class _Scanned:
    """What a Scan carries, its sequences with their steps in front, which of them it walks from the end, and how it lays rows together."""

    carried: tuple[Var, ...]
    sequences: tuple[Var, ...]
    backwards: Sequence[int]
    turned: Sequence[int]
    axes: Sequence[int]

    @property
    def length(self) -> Dim:
        return self.sequences[0].type.shape[0]

    @property
    def each_example(self) -> bool:
        """Whether every example goes its own way, so that one loop is over all."""
        return all(of_step(s.type).leads_with_batch for s in self.sequences) and all(v.type.leads_with_batch for v in self.carried)


def _scan(c: Call, *inputs: Var) -> list[Var | None]:
    if c.opset < 9:
        raise c.fault("E521", "Scan of opset 8, which has the batch as its first axis, is not imported")
    items, outputs = c.attributes["num_scan_inputs"], len(c.attributes["body"].output)
    carried, sequences = inputs[: len(inputs) - items], inputs[len(inputs) - items :]
    axes = [c.axis(a, s.type.rank) for a, s in zip(c.attr("scan_input_axes", (0,) * items), sequences, strict=True)]
    none = (0,) * (outputs - len(carried))
    scanned = _Scanned(
        carried,
        tuple(moved(s, a, 0) for s, a in zip(sequences, axes, strict=True)),
        c.attr("scan_input_directions", (0,) * items),
        c.attr("scan_output_directions", none),
        c.attr("scan_output_axes", none),
    )
    return (_closed(c, scanned) if scanned.each_example else None) or _unrolled(c, scanned)


def _closed(c: Call, s: _Scanned) -> list[Var | None] | None:
    """One loop over the steps of a batch; None where a step yields what is not of each example."""
    before = [stand_in(c.graph, v.type) for v in s.carried]
    turned = [flip(x, axis=0) if back else x for x, back in zip(s.sequences, s.backwards, strict=True)]
    items = [Item(stand_in(c.graph, of_step(x.type)), x) for x in turned]
    outputs = _run(c, c.attributes["body"], [*before, *(i.at_step for i in items)])
    found = [v for v in outputs if v is not None]
    if not all(v.type.leads_with_batch for v in found):
        return None
    after, rows = found[: len(before)], found[len(before) :]
    carried = [Carried(*each) for each in zip(before, s.carried, after, strict=True)]
    whole = close(c.graph, carried, items, s.length, [*after, *rows])
    last = [squeezed(between(v, 0, s.length - 1, s.length), [0]) for v in whole[: len(after)]]
    ordered = [flip(v, axis=0) if back else v for v, back in zip(whole[len(after) :], s.turned, strict=True)]
    return [*last, *(moved(v, 0, c.axis(a, v.type.rank)) for v, a in zip(ordered, s.axes, strict=True))]


def _unrolled(c: Call, s: _Scanned) -> list[Var | None]:
    """The steps one after another."""
    length, carried, rows = s.length, list[Var | None](s.carried), list[list[Var | None]]()
    if isinstance(length, Size):
        raise c.fault("E523", f"the number of steps, `{length}`, has to be known when the model is read, as it is no loop over a batch")
    for step in c.steps(length):
        at = [length - 1 - step if back else step for back in s.backwards]
        now = [squeezed(between(x, 0, i, i + 1), [0]) for x, i in zip(s.sequences, at, strict=True)]
        found = _run(c, c.attributes["body"], [*carried, *now])
        carried, row = found[: len(carried)], found[len(carried) :]
        rows.append(row)
    ordered = [column[::-1] if back else column for column, back in zip(zip(*rows, strict=True), s.turned, strict=True)]
    return [*carried, *(_stacked(c, column, a, "the scan") for column, a in zip(ordered, s.axes, strict=True))]


RULES: dict[str, Rule] = {"If": _if, "Loop": _loop, "Scan": _scan}
