"""Whether an optimizer goes down: that it changes the weights at all, in which direction, and by a rate that someone says."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, uncommented
from nnspec.elaborate.update import starts_from_the_base
from nnspec.elaborate.values import is_number
from nnspec.lazy import regex
from nnspec.lint.network import Network
from nnspec.syntax import ast

_RATE = regex(r"(?<![\w.])lr\b")


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
        if t.optimizer and t.optimizer.arguments.get("lr") == 0 and all(a.function.of_library for a in (t.optimizer, t.schedule) if a):
            message = "a rate of 0 changes nothing: all parameters stay as they start"
            yield Diagnostic("W125", message, t.optimizer.span, help="write for example `lr = 1e-3`", level="warning")


def rates_below_zero(network: Network) -> Iterator[Diagnostic]:
    """W126: an optimizer of the library with a negative rate, so that the loss grows."""
    for optimizer in (t.optimizer for t in network.trainings if t.optimizer):
        rate = optimizer.arguments.get("lr", 0)
        if is_number(rate) and rate < 0 and optimizer.function.of_library:
            message = f"a rate of {rate:g} goes up the gradient, so that the loss grows"
            help_ = f"write `lr = {-rate:g}`; what is to grow is made a loss with a minus in front"
            yield Diagnostic("W126", message, optimizer.span, help=help_, level="warning")


def rates_that_nobody_reads_or_writes(network: Network) -> Iterator[Diagnostic]:
    """W133: a schedule of a rate that the optimizer does not read, or an optimizer that reads one and has no argument for it."""
    for optimizer, schedule in ((t.optimizer, t.schedule) for t in network.trainings if t.optimizer):
        definition = optimizer.function.definition
        reads = any(_RATE.search(uncommented(s.span.text)) for s in definition.body)
        if schedule and not reads:
            message = f"`{schedule.name}` schedules `lr`, which the optimizer `{optimizer.name}` does not read: its steps stay as they are"
            notes = ((definition.name.span, "`lr` stands for the rate of a step in its formulas"),)
            yield Diagnostic("W133", message, schedule.span, notes=notes, help="call the rate `lr` in the optimizer", level="warning")
        elif reads and not schedule and not _says_its_rate(definition):
            message = f"the optimizer `{optimizer.name}` reads `lr`, and nothing says what it is: the rate is 1"
            arguments = ", ".join(["lr", *(p.span.text for p in definition.parameters)])
            help_ = f"write `optimizer {optimizer.name}({arguments})`, and say it there"
            yield Diagnostic("W133", message, optimizer.span, notes=((definition.name.span, "defined here"),), help=help_, level="warning")


def rates_that_a_schedule_leaves_out(network: Network) -> Iterator[Diagnostic]:
    """W133: a rate that the optimizer is given, and a schedule that gives another, whatever it is; 0 and 1 say that it does."""
    for optimizer, schedule in ((t.optimizer, t.schedule) for t in network.trainings):
        rate = optimizer.arguments.get("lr", 1) if optimizer else 1
        if optimizer and schedule and rate not in (0, 1) and not starts_from_the_base(network.definitions, schedule):
            own = next((p.span for p in schedule.function.parameters if p.name == "lr"), None)
            message = f"the rate of `{optimizer.name}` has no effect: the schedule `{schedule.name}` does not start from it"
            notes = ((own or schedule.function.definition.name.span, "this `lr` is another" if own else "gives the rate itself"),)
            help_ = "leave that argument out: `lr` in a schedule is the optimizer's" if own else "a factor is multiplied by it: `lr * ...`"
            place = optimizer.spans.get("lr", optimizer.span)
            yield Diagnostic("W133", message, place, notes=notes, help=help_, level="warning")


def _says_its_rate(definition: ast.Definition) -> bool:
    """Whether `lr` is an argument, or a value of its own."""
    own = (n.id for s in definition.body if isinstance(s, ast.Assign) for n in s.names)
    return "lr" in (*(p.name for p in definition.parameters), *own)
