"""Why a loss or a gradient is no number any more: the first operation that gave one, where it was written, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, isfinite
from typing import Any

import numpy as np

from nnspec.diagnostics import Diagnostic, Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.values import Applied
from nnspec.graph import Graph, Node
from nnspec.graph.walk import walk
from nnspec.record import dataclass
from nnspec.run import reference
from nnspec.run.engine import PHASE_SHIFT
from nnspec.train.trail import Moment, Trail

Array = np.ndarray[Any, np.dtype[Any]]
SHOWN = 4


@dataclass(frozen=True)
class Reason:
    """What an operation cannot do: in words, for the numbers it was given; and what to write instead."""

    applies: Callable[..., bool]
    text: str
    help: str


REASONS: Mapping[str, tuple[Reason, ...]] = {
    "log": (
        Reason(lambda x: x == 0, "a logarithm of 0", "keep it above zero, `log(max(p, 1e-7))`, or give the loss logits"),
        Reason(lambda x: x < 0, "a logarithm of {0:.3g}", "a logarithm takes what is positive: a `softmax`, a `sigmoid`, e to a power"),
    ),
    "div": (Reason(lambda x, y: y == 0, "a division of {0:.3g} by 0", "add a small number to the denominator: `x / (y + 1e-8)`"),),
    "sqrt": (Reason(lambda x: x < 0, "a square root of {0:.3g}", "keep it above zero: `sqrt(max(x, 0))`"),),
    "pow": (
        Reason(lambda x, y: x == 0 and y < 0, "0 to the power of {1:.3g}", "add a small number to the base"),
        Reason(lambda x, y: x < 0, "{0:.3g} to the power of {1:.3g}", "a base below 0 takes whole powers only"),
    ),
    "exp": (Reason(lambda x: x > 80, "e to the power of {0:.3g}", "bound it first, `exp(min(x, 50))`, or subtract the largest from all"),),
}  # fmt: skip
"""By operation; what is none of these is a number that has grown too large."""
AWAY = "the slope is infinite or undefined there: keep away from it, as `sqrt(x + 1e-12)` does"


def went_wrong(trail: Trail, loss: float, step: int, an_epoch: int, before: int = 0) -> Diagnostic:
    """What to say of a step of a train block after which nothing is a number; there were epochs `before` it."""
    moment = trail.wrong()
    step -= moment.back if moment else 0
    when = f"epoch {before + ceil(step / an_epoch)}, step {step}"
    found = _first_wrong(trail, moment) if moment else None
    training = trail.engine.spec.trainings[trail.engine.stage]
    if moment and training.schedule and not isfinite(moment.lr):
        return _no_rate(training.schedule, moment.lr, when)
    span = training.optimizer.span if training.optimizer else None
    return (_of_formula(*found, when) if found else None) or _grown(moment, loss, when, span)


def _no_rate(schedule: Applied, lr: float, when: str) -> Diagnostic:
    """E401: the formula of the schedule gives no number."""
    message = f"the learning rate became {lr} in {when}: `{schedule.name}` gives no number there"
    return Diagnostic("E401", message, schedule.span, help="keep what it divides by, and takes the root of, above 0 in every step")


def _first_wrong(trail: Trail, moment: Moment) -> tuple[Node, dict[str, Array]] | None:
    """The operation that gave the first value that is no number, from weights and a batch that were."""
    model = trail.engine.spec.model
    fields = {n: np.asarray(moment.batch[n]) for n in moment.batch}
    sizes = reference.sizes_of(model.inputs | model.targets, fields)
    for number, phase in enumerate(trail.engine.spec.stages[moment.stage]):
        graph = phase.objective
        feeds = {**moment.arrays, **fields, SEED: moment.seed, STEP: moment.draw + (number << PHASE_SHIFT)}
        with np.errstate(all="ignore"):
            values = walk(graph, feeds, sizes)
        outputs = sorted(graph.outputs.items(), key=lambda o: o[0] != "loss")
        wrong = next((name for _, name in outputs if not _finite(values[name])), None)
        if wrong:
            return _origin(graph, values, wrong), values
    return None


def _origin(graph: Graph, values: Mapping[str, Array], name: str) -> Node:
    """From a value that is no number back to the operation that made it of numbers."""
    while True:
        wrong = [i for i in graph[name].inputs if graph[i].op.name != "const" and not _finite(values[i])]
        if not wrong:
            return graph[name]
        name = next((i for i in wrong if np.isnan(values[i]).any()), wrong[0])


def _finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _of_formula(node: Node, values: Mapping[str, Array], when: str) -> Diagnostic | None:
    """E411 or E412, where it is the operation's fault; None where a number has grown too large."""
    bad = ~np.isfinite(values[node.name])
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    given = [float(np.broadcast_to(values[i], bad.shape)[at]) for i in node.inputs] if node.op.name in REASONS else []
    reason = next((r for r in REASONS.get(node.op.name, ()) if r.applies(*given)), None)
    if reason is None:
        return None
    text, share = reason.text.format(*given), _share(bad, node)
    if node.role == "backward":
        message = f"the gradient is no number any more in {when}: the derivative of this has {text}"
        return Diagnostic("E412", message, node.span, share, help=AWAY)
    message = f"the loss is no number any more in {when}: there is {text}"
    return Diagnostic("E411", message, node.span, share, help=reason.help)


def _share(bad: Array, node: Node) -> str:
    """For how many examples, where the value has a row for each."""
    if not node.type.has_batch or not bad.ndim:
        return ""
    rows: Array = np.atleast_1d(bad.reshape(bad.shape[0], -1).any(axis=1))
    return f"for {int(rows.sum())} of {rows.size} examples"


def _grown(moment: Moment | None, loss: float, when: str, span: Span | None) -> Diagnostic:
    """E401: the numbers have grown beyond what floats hold."""
    losses = moment.losses[-SHOWN:] if moment else (loss,)
    largest = max((float(np.abs(v).max()), n) for n, v in moment.arrays.items() if v.size) if moment and moment.arrays else (0.0, "")
    label = f"the last losses: {', '.join(f'{v:.3g}' for v in losses)}" if len(losses) > 1 else ""
    weights = f"; the largest weight before it is {largest[0]:.3g}, in `{largest[1]}`" if largest[1] else ""
    help_ = "a smaller learning rate, or `clip norm(1.0)`, usually helps"
    if isfinite(losses[-1]):
        what = f"the optimizer left weights that are no numbers in {when}, from a loss of {losses[-1]:.4g}"
        help_ = f"{help_}; so does an optimizer whose formula divides by no 0"
    else:
        what = f"the loss became {losses[-1]} in {when}"
    return Diagnostic("E401", f"{what}{weights}", span, label, help=help_)
