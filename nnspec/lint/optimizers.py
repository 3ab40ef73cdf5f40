"""Whether an optimizer goes down: that it changes the weights at all, and in which direction."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.values import Applied, is_number
from nnspec.lint.network import Network
from nnspec.syntax import ast


def optimizers_without_effect(network: Network) -> Iterator[Diagnostic]:
    """W125: an optimizer that never writes `w`."""
    for optimizer in (t.optimizer for t in network.trainings if t.optimizer):
        definition = optimizer.function.definition
        if not any(isinstance(s, ast.Update) and s.name.id == "w" for s in definition.body):
            message = f"the optimizer `{optimizer.name}` never changes `w`: all parameters stay as they start"
            help_ = "`w <- w - lr * g` is a step against the gradient"
            yield Diagnostic("W125", message, definition.name.span, notes=((optimizer.span, "used here"),), help=help_, level="warning")


def rates_of_zero(network: Network) -> Iterator[Diagnostic]:
    """W125: a rate of 0 in an optimizer of the library, where no schedule of one's own makes another of it."""
    for t in network.trainings:
        if t.optimizer and t.optimizer.arguments.get("lr") == 0 and all(_of_library(a) for a in (t.optimizer, t.schedule) if a):
            message = "a rate of 0 changes nothing: all parameters stay as they start"
            yield Diagnostic("W125", message, t.optimizer.span, help="write for example `lr = 1e-3`", level="warning")


def _of_library(applied: Applied) -> bool:
    return applied.function.definition.span.source.library


def rates_below_zero(network: Network) -> Iterator[Diagnostic]:
    """W126: an optimizer of the library with a negative rate, so that the loss grows."""
    for optimizer in (t.optimizer for t in network.trainings if t.optimizer):
        rate = optimizer.arguments.get("lr", 0)
        if is_number(rate) and rate < 0 and _of_library(optimizer):
            message = f"a rate of {rate:g} goes up the gradient, so that the loss grows"
            help_ = f"write `lr = {-rate:g}`; what is to grow is made a loss with a minus in front"
            yield Diagnostic("W126", message, optimizer.span, help=help_, level="warning")
