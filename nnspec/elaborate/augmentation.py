"""The `augment` lines of a train block: which input is changed, how, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nnspec.diagnostics import Span, fault, meant
from nnspec.elaborate.values import describe
from nnspec.graph import Type
from nnspec.graph.types import show
from nnspec.record import dataclass
from nnspec.syntax import ast

IMAGE_RANK = 4  # with the batch


@dataclass(frozen=True)
class Amount:
    """A number that an augmentation takes: above 0, at most `most`, and whole where it counts pixels."""

    name: str
    most: float = 1e6
    whole: bool = False

    def fits(self, value: float) -> bool:
        return 0 < value <= self.most and (not self.whole or value.is_integer())

    @property
    def expected(self) -> str:
        return f"a {'whole ' if self.whole else ''}number above 0" + (f", at most {describe(self.most)}" if self.most < 1e6 else "")


AUGMENTATIONS: dict[str, tuple[Amount, ...]] = {
    "shift": (Amount("pixels", 1000, whole=True),),
    "crop": (Amount("pixels", 1000, whole=True),),
    "rotate": (Amount("degrees", 180),),
    "scale": (Amount("share", 0.9),),
    "flip": (),
    "elastic": (Amount("alpha", 1000), Amount("sigma", 1000)),
    "noise": (Amount("std"),),
}
MOVES = frozenset(AUGMENTATIONS) - {"noise"}
"""Those that move the pixels of an image."""
WHOLE_PIXELS = ("shift", "crop", "flip")


@dataclass(frozen=True)
class Augmentation:
    """One stage: the input it changes, its kind, its amounts in the order of AUGMENTATIONS, and what it moves along with the input.

    `places` are where the names of the input and of what moves along stand.
    """

    input: str
    kind: str
    amounts: tuple[float, ...]
    span: Span
    along: tuple[str, ...] = ()
    places: tuple[Span, ...] = ()


def read_augmentations(values: Sequence[ast.Expr], number: Callable[[str, ast.Expr], float]) -> tuple[Augmentation, ...]:
    """`image -> rotate(10) -> shift(2)`, or `image, mask -> flip`: its stages; `number` evaluates an argument."""
    *before, e = values
    heads = [*before, e.head if isinstance(e, ast.Pipe) else None]
    names = [head for head in heads if isinstance(head, ast.Name)]
    if not isinstance(e, ast.Pipe) or len(names) < len(heads):
        raise fault("E106", "augmentation is a pipeline from an input: `image -> shift(2)`", values[0].span)
    along, places = tuple(n.id for n in names[1:]), tuple(n.span for n in names)
    return tuple(replace(_read_stage(names[0].id, s.body, number), along=along, places=places) for s in e.stages)


def _read_stage(input: str, e: ast.Expr, number: Callable[[str, ast.Expr], float]) -> Augmentation:
    callee, arguments = ast.called(e)
    kind = ast.dotted(callee) or e.span.text
    if kind not in AUGMENTATIONS:
        known = f"known are {', '.join(AUGMENTATIONS)}"
        raise fault("E106", f"there is no augmentation `{kind}`", callee.span, **meant(kind, AUGMENTATIONS, callee.span, known))
    return Augmentation(input, kind, _amounts(kind, arguments, e.span, number), e.span)


def _amounts(kind: str, arguments: tuple[ast.Argument, ...], span: Span, number: Callable[[str, ast.Expr], float]) -> tuple[float, ...]:
    amounts = AUGMENTATIONS[kind]
    words = [a.name for a in amounts]
    written = {a.name or (words[i] if i < len(words) else ""): a.value for i, a in enumerate(arguments)}
    usage = f"write `{kind}({', '.join(words)})`" if words else f"write `{kind}`"
    for argument in arguments:
        if argument.name and argument.name not in words:
            raise fault("E102", f"`{kind}` has no argument `{argument.name}`", argument.span, help=usage)
    if "" in written or len(written) < len(arguments):
        raise fault("E104", f"`{kind}` has too many arguments", span, help=usage)
    for word in words:
        if word not in written:
            raise fault("E103", f"`{kind}` is missing `{word}`", span, help=usage)
    return tuple(_amount(a, written[a.name], number) for a in amounts)


def _amount(amount: Amount, e: ast.Expr, number: Callable[[str, ast.Expr], float]) -> float:
    value = number(f"`{amount.name}`", e)
    if not amount.fits(value):
        raise fault("E106", f"`{amount.name}` is {amount.expected}, not {describe(value)}", e.span)
    return value


def check_augmentation(a: Augmentation, inputs: Mapping[str, Type], targets: Mapping[str, Type]) -> None:
    """What is augmented has to be an input, of numbers, and an image where pixels move; what moves along lies on it pixel by pixel."""
    if a.input not in inputs:
        behind = {"help": f"a target moves with its image, which stands in front: `augment image, {a.input} -> flip`"}
        more = behind if a.input in targets else meant(a.input, inputs, a.places[0])
        raise fault("E101", f"the model has no input `{a.input}` to augment", a.places[0], **more)
    type = inputs[a.input]
    if not type.is_float:
        raise fault("E202", f"`{a.kind}` changes float inputs; `{a.input}` is not", a.span)
    if a.kind in MOVES and type.rank != IMAGE_RANK:
        message = f"`{a.kind}` moves images, [channels, height, width]; `{a.input}` is {show(type.shape[1:])}"
        raise fault("E202", message, a.span)
    _keeps_in_sight(a, type)
    _move_along(a, {**inputs, **targets})


def _move_along(a: Augmentation, ports: Mapping[str, Type]) -> None:
    """An image takes along what has its height and width, each once."""
    if a.along and a.kind not in MOVES:
        help_ = f"write `augment {a.input} -> {a.span.text}` on a line of its own"
        raise fault("E106", f"`{a.kind}` changes one input", a.span, help=help_)
    for i, (name, place) in enumerate(zip(a.along, a.places[1:], strict=True)):
        if name not in ports:
            raise fault("E101", f"the model has no input or target `{name}` to augment", place, **meant(name, ports, place))
        if name in (a.input, *a.along[:i]):
            raise fault("E106", f"`{name}` is augmented twice", place)
        if not lies_on(ports[name], ports[a.input]):
            message = f"`{name}` is {show(ports[name].shape[1:])}, and does not end in the height and width of `{a.input}`"
            raise fault("E202", f"{message}, {show(ports[a.input].shape[1:])}", place)


def lies_on(type: Type, image: Type) -> bool:
    """Whether it is an image, or a map without channels, of the same height and width."""
    return type.rank in (IMAGE_RANK - 1, IMAGE_RANK) and type.shape[-2:] == image.shape[-2:]


def _keeps_in_sight(a: Augmentation, type: Type) -> None:
    """An image that is moved by its whole height or width is gone."""
    sides = [d for d in type.shape[2:] if isinstance(d, int)]
    if a.kind in ("shift", "crop") and sides and a.amounts[0] >= min(sides):
        message = f"`{a.kind}` by up to {describe(a.amounts[0])} pixels moves all of `{a.input}`, {show(type.shape[1:])}, out of sight"
        raise fault("E106", message, a.span, help=f"{min(sides) - 1} pixels leave some of it" if min(sides) > 1 else "")
