"""Whether losses and metrics of the library get what is said first and what is true second."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.arguments import TARGET
from nnspec.elaborate.fields import names_in
from nnspec.elaborate.values import Tensor
from nnspec.lint.network import Network, loss_calls
from nnspec.record import dataclass
from nnspec.syntax import ast

EITHER_WAY = ("mse", "half_mse", "mae", "huber", "log_cosh", "rmse", "hinge", "squared_hinge", "perceptron")
"""What these give is the same when both change places."""
TRUE_FIRST = {"kl": ("p", "q")}
"""The losses of the library that take what is true first, as it is written: D(p || q)."""


@dataclass(frozen=True)
class Judged:
    """A call of a loss or metric, with the arguments that are what is said and what is true, by their names or places."""

    name: str
    span: Span
    said: ast.Expr
    true: ast.Expr

    @property
    def order(self) -> tuple[str, str]:
        """What it takes first and second."""
        return ("true", "said") if self.name in TRUE_FIRST else ("said", "true")

    @property
    def first(self) -> ast.Expr:
        """What stands first, where they have changed places."""
        return self.true if self.name in TRUE_FIRST else self.said

    def other_way_round(self) -> str:
        first, last = sorted((self.said.span, self.true.span), key=lambda s: s.start)
        text = self.span.text
        return text[: first.start] + last.text + text[first.end : last.start] + first.text + text[last.end :]


def said_and_true_swapped(network: Network) -> Iterator[Diagnostic]:
    """W134: a target, or an input that is to be given again, where what the network says is due."""
    for call in _judged(network):
        if _is_told(network, call):
            first, second = call.order
            message = f"`{call.name}` takes what is {first} first and what is {second} second, and gets `{call.first.span.one_line}` first"
            better = call.other_way_round()
            fix = Fix(call.span, better, safe=False)
            yield Diagnostic("W134", message, call.span, help=f"write `{better}`", fix=fix, level="warning")


def _judged(network: Network) -> Iterator[Judged]:
    """Each call in the model's own lines in which the order matters."""
    for span, call, function in loss_calls(network.model, network.definitions):
        name, names = function.name, function.names
        if names and (names[1:2] == (TARGET,) or name in TRUE_FIRST) and name not in EITHER_WAY:
            true, said = TRUE_FIRST.get(name, (TARGET, names[0]))
            given = {a.name or n: a.value for a, n in zip(call.arguments, names, strict=False)}
            if said in given and true in given:
                yield Judged(name, span, given[said], given[true])


def _is_told(network: Network, call: Judged) -> bool:
    """Whether what is to be said is known before anything is learnt or computed, and what is to be true is not."""
    wiring, model = network.in_use, network.model
    first, second = (_values(network, e) for e in (call.said, call.true))
    of_inputs = wiring.graph.dependents(model.inputs) | wiring.learnt
    if not first <= wiring.data or not first:
        return False
    return (first.isdisjoint(of_inputs) and bool(second & of_inputs)) or (first.isdisjoint(wiring.learnt) and bool(second & wiring.learnt))


def _values(network: Network, e: ast.Expr) -> set[str]:
    """The values of the model that a formula names."""
    named = (network.model.scope.names.get(name) for name in names_in(e))
    return {value.var.name for value in named if isinstance(value, Tensor)}
