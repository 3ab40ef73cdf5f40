"""Whether an optimizer goes down: that it changes the weights at all, and in which direction."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.values import is_number
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


def rates_below_zero(network: Network) -> Iterator[Diagnostic]:
    """W126: an optimizer of the library with a negative rate, so that the loss grows."""
    for optimizer in (t.optimizer for t in network.trainings if t.optimizer):
        rate = optimizer.arguments.get("lr", 0)
        if is_number(rate) and rate < 0 and optimizer.function.definition.span.source.library:
            message = f"a rate of {rate:g} goes up the gradient, so that the loss grows"
            help_ = f"write `lr = {-rate:g}`; what is to grow is made a loss with a minus in front"
            yield Diagnostic("W126", message, optimizer.span, help=help_, level="warning")
