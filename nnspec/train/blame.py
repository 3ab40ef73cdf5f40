"""Why a loss or a gradient is no number any more: a formula, a rate, or weights that have grown; in which step, and what to do."""

from __future__ import annotations

from math import ceil, isfinite

import numpy as np

from nnspec.diagnostics import Diagnostic, Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.values import Applied
from nnspec.run import reference
from nnspec.run.engine import PHASE_SHIFT
from nnspec.run.undefined import Undefined, undefined
from nnspec.train.trail import Moment, Trail

SHOWN = 4


def went_wrong(trail: Trail, loss: float, step: int, an_epoch: int, before: int = 0) -> Diagnostic:
    """What to say of a step of a train block after which nothing is a number; there were epochs `before` it."""
    moment = trail.wrong()
    step -= moment.back if moment else 0
    when = f"in epoch {before + ceil(step / an_epoch)}, step {step}"
    found = _undefined(trail, moment) if moment else None
    training = trail.engine.spec.trainings[trail.engine.stage]
    if moment and training.schedule and not isfinite(moment.lr):
        return _no_rate(training.schedule, moment.lr, when)
    span = training.optimizer.span if training.optimizer else None
    return (found.diagnostic(f" any more {when}") if found else None) or _grown(trail, moment, loss, when, span)


def _no_rate(schedule: Applied, lr: float, when: str) -> Diagnostic:
    """E401: the formula of the schedule gives no number."""
    message = f"the learning rate became {lr} {when}: `{schedule.name}` gives no number there"
    return Diagnostic("E401", message, schedule.span, help="keep what it divides by, and takes the root of, above 0 in every step")


def _undefined(trail: Trail, moment: Moment) -> Undefined | None:
    """What is no number first, from weights and a batch that were."""
    model = trail.engine.spec.model
    fields = {n: np.asarray(moment.batch[n]) for n in moment.batch}
    sizes = reference.sizes_of(model.inputs | model.targets, fields)
    for number, phase in enumerate(trail.engine.spec.stages[moment.stage]):
        feeds = {**moment.arrays, **fields, SEED: moment.seed, STEP: moment.draw + (number << PHASE_SHIFT)}
        if found := undefined(phase.objective, feeds, sizes):
            return found
    return None


def _grown(trail: Trail, moment: Moment | None, loss: float, when: str, span: Span | None) -> Diagnostic:
    """E401: the numbers have grown beyond what floats hold."""
    losses = moment.losses[-SHOWN:] if moment else (loss,)
    weights = {n: moment.arrays[n] for n in trail.engine.params} if moment else {}
    size, name = max(((float(np.abs(v).max()), n) for n, v in weights.items() if v.size), default=(0.0, ""))
    label = f"the last losses: {', '.join(f'{v:.3g}' for v in losses)}" if len(losses) > 1 else ""
    largest = f"; the largest weight before it is {size:.3g}, in `{name}`" if name else ""
    help_ = "a smaller learning rate, or `clip norm(1.0)`, usually helps"
    if isfinite(losses[-1]):
        what = f"the optimizer left weights that are no numbers {when}, from a loss of {losses[-1]:.4g}"
        help_ = f"{help_}; so does an optimizer whose formula divides by no 0"
    else:
        what = f"the loss became {losses[-1]} {when}"
    return Diagnostic("E401", f"{what}{largest}", span, label, help=help_)
