"""Whether what lies on an image, pixel by pixel, stays where it is when the image is moved."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.elaborate.augmentation import MOVES, Augmentation, lies_on
from nnspec.graph import Type
from nnspec.lint.network import Network


def targets_left_behind(network: Network) -> Iterator[Diagnostic]:
    """W136: a target of the height and width of an image that is moved without it; said once of a line."""
    for training in network.trainings:
        said = set[tuple[str, ...]]()
        for a in training.augment:
            image = network.model.inputs[a.input]
            left = [n for n, type in network.model.targets.items() if n not in a.along and _has_sides(type, image)]
            if left and a.kind in MOVES and (a.input, *a.along) not in said:
                said.add((a.input, *a.along))
                yield _left_behind(a, left[0], lies_on(network.model.targets[left[0]], image))


def _has_sides(type: Type, image: Type) -> bool:
    """Whether height and width of the image stand side by side in it."""
    return any(type.shape[i : i + 2] == image.shape[-2:] for i in range(1, type.rank - 1))


def _left_behind(a: Augmentation, target: str, can_move: bool) -> Diagnostic:
    message = f"`{a.kind}` moves `{a.input}`, and `{target}`, which has its height and width, stays where it is"
    together = f"`augment {', '.join((a.input, *a.along, target))} -> {a.span.text}` moves both alike"
    help_ = together if can_move else f"let `{target}` end in height and width, and move it along: `augment {a.input}, {target} -> ..`"
    return Diagnostic("W136", message, a.span, help=help_, level="warning")
