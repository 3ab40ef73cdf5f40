"""Whether labels are what a loss of the library takes: -1 and 1, or shares from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic, Fix, Span
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.model import Model
from nnspec.lint.losses import TWO_CLASSES
from nnspec.lint.network import Network, loss_calls
from nnspec.record import dataclass
from nnspec.syntax import ast

SIGNED = ("hinge", "squared_hinge", "perceptron")
SHARES = ("bce", "bce_logits", "multilabel_bce")


@dataclass(frozen=True)
class Labelled:
    """A call of such a loss with a target as it is, and the place of the target."""

    loss: str
    target: str
    place: Span

    @property
    def signed(self) -> bool:
        return self.loss in SIGNED

    def of(self, low: float, high: float) -> Diagnostic:
        """W132, for labels between these."""
        takes, better = ("-1 or 1", f"2 * {self.target} - 1") if self.signed else ("from 0 to 1", f"({self.target} + 1) / 2")
        message = f"`{self.loss}` takes labels that are {takes}, and those of `{self.target}` go from {low:g} to {high:g}"
        fits = (low, high) == ((0, 1) if self.signed else (-1, 1))
        fix = Fix(self.place, better, safe=False) if fits else None
        help_ = f"write `{better}` in its place" if fits else "give it labels of that kind, or take a loss for amounts, such as `mse`"
        return Diagnostic("W132", message, self.place, help=help_, fix=fix, level="warning")


def labelled(model: Model, definitions: Definitions) -> Iterator[Labelled]:
    """Each of them in the model's own lines."""
    for span, call, function in loss_calls(model, definitions):
        if function.name in SIGNED + SHARES:
            given = next((a for i, a in enumerate(call.arguments) if a.name == "y" or (i == 1 and not a.name)), None)
            target = (ast.dotted(given.value) if given else None) or ""
            if given and target in model.targets:
                place = given.value.span
                yield Labelled(function.name, target, span.part(place.start, place.end))


def classes_as_signs(network: Network) -> Iterator[Diagnostic]:
    """W132 of two classes, which are 0 and 1, in a loss that takes -1 and 1; of other labels the data tell."""
    for found in labelled(network.model, network.definitions):
        if found.signed and network.model.targets[found.target].classes == TWO_CLASSES:
            yield found.of(0, 1)
