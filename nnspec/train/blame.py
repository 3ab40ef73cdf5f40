"""Why a loss or a gradient is no number any more: a formula, a rate, or weights that have grown; in which step, and what to do."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, isfinite

import numpy as np

from nnspec.diagnostics import Diagnostic, Span
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.values import Applied
from nnspec.optimization import LR, T
from nnspec.run import reference
from nnspec.run.engine import PHASE_SHIFT
from nnspec.run.undefined import Undefined, undefined
from nnspec.train.trail import Moment, Trail

SHOWN = 4
CHANGED, OPTIMIZER = ("param:", "state:", "opt:"), "optimizer/"


def went_wrong(trail: Trail, loss: float, step: int, an_epoch: int, before: int) -> Diagnostic:
    """What to say of a step of a train block after which nothing is a number; there were epochs `before` it."""
    moment = trail.wrong()
    step -= moment.back if moment else 0
    when = f"in epoch {before + ceil(step / an_epoch)}, step {step}"
    found = _undefined(trail, moment) if moment else None
    training = trail.engine.spec.trainings[trail.engine.stage]
    if moment and training.schedule and not isfinite(moment.lr):
        return _no_rate(training.schedule, moment.lr, when)
    span = training.optimizer.span if training.optimizer else None
    if moment and found and found.node.role == "update":
        said = found.diagnostic(f" {when}, from a loss of {moment.losses[-1]:.4g}")
        said = replace(said, span=span) if said and said.span and said.span.source.library else said
    else:
        said = found.diagnostic(f" any more {when}") if found else None
    return said or replace(_grown(trail, moment, loss, when, span), notes=found.grown if found else ())


def _no_rate(schedule: Applied, lr: float, when: str) -> Diagnostic:
    """E401: the formula of the schedule gives no number."""
    message = f"the learning rate became {lr} {when}: `{schedule.name}` gives no number there"
    return Diagnostic("E401", message, schedule.span, help="keep what it divides by, and takes the root of, above 0 in every step")


def _undefined(trail: Trail, moment: Moment) -> Undefined | None:
    """What is no number first, from weights and a batch that were: in a loss, a gradient, or what the optimizer makes of it."""
    model = trail.engine.spec.model
    fields = {n: np.asarray(moment.batch[n]) for n in moment.batch}
    sizes = reference.sizes_of(model.ports, fields)
    now = {_in_a_step(n): v for n, v in moment.arrays.items()} | {SEED: moment.seed, LR: moment.lr, T: moment.number}
    for number, phase in enumerate(trail.engine.spec.stages[moment.stage]):
        now |= {**fields, STEP: moment.draw + (number << PHASE_SHIFT)}
        if found := undefined(phase.objective, now, sizes) or undefined(phase.step, now, sizes):
            return found
        changed = (public for public in phase.step.outputs if public.startswith(CHANGED))
        now |= {public.partition(":")[2]: v for public, v in reference.run(phase.step, now, changed, sizes).items()}
    return None


def _in_a_step(name: str) -> str:
    """What the graph of a step calls an array: a state of the optimizer is one of a parameter."""
    _, _, of_optimizer = name.partition(OPTIMIZER)
    state, _, parameter = of_optimizer.partition("/")
    return f"{parameter}.{state}" if of_optimizer else name


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
