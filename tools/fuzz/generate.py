"""Valid random specs from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from random import Random
from typing import Any

from nnspec.gradcheck import LENGTH
from tools.fuzz.draft import Draft, Line, Loss
from tools.fuzz.images import IMAGE
from tools.fuzz.loops import LOOPS
from tools.fuzz.productions import EVERYWHERE, PAIRS, VECTOR, Made, Production, flattened, torch_functions
from tools.fuzz.sequences import SEQUENCE, last

FEWEST, MOST = 2, 9
LARGEST = 600
"""Numbers that a value of one example may have."""

OPTIMIZERS = (
    "sgd(0.1)", "momentum(0.1)", "nesterov(0.1)", "adagrad(0.1)", "rmsprop(0.01)", "adadelta(1.0)", "adam(0.01)", "adamw(0.01)",
    "nadam(0.01)", "adamax(0.01)", "lion(0.001)",
)  # fmt: skip
SETTINGS = (("penalty l2(1e-2)", "penalty l1(1e-3)"), ("clip norm(0.5)", "clip value(0.1)"), ("schedule cosine", "schedule warmup(2)"))

OF_LOGITS = ("cross_entropy", "bce_logits")
PROBABILITIES = ("softmax({0})", "sigmoid({0})")
ARRANGED = ("{0}[", "{0} -> flatten", "reshape(", "transpose(", "reverse(", "sum({0}", "mean({0}", "max({0}, axis", "min({0}, axis")


def generate(seed: int) -> Draft:
    """The spec of a seed, always the same."""
    r = Random(seed)
    lines = [_input(r)]
    for number in range(r.randint(FEWEST, MOST)):
        line = _line(r, lines, f"h{number}")
        if line:
            lines.append(line)
    lines += _as_vector(lines[-1])
    beside = r.choice([line.name for line in lines]) if r.random() < 0.3 else ""
    return Draft(seed, _type(lines[0]), tuple(lines), _loss(r, lines), beside, _training(r)).live()


def _input(r: Random) -> Line:
    kind = r.choice(["vector", "vector", "image", "image", "sequence"])
    if kind == "vector":
        return Line("x", "", (), (r.randint(1, 7),))
    if kind == "image":
        return Line("x", "", (), (r.randint(1, 3), r.randint(4, 9), r.randint(4, 9)))
    return Line("x", "", (), (LENGTH, r.randint(1, 6)), sequence=True)


def _type(line: Line) -> str:
    sizes = ["T" if line.sequence and i == 0 else str(n) for i, n in enumerate(line.shape)]
    return f"[{', '.join(sizes)}]"


def _line(r: Random, lines: Sequence[Line], name: str) -> Line | None:
    """A line that reads one of the last values, or two that have the same shape; None where the one drawn does not fit."""
    value = r.choice(lines[-3:])
    alike = [other for other in lines if other.shape == value.shape and other.sequence == value.sequence and other is not value]
    if alike and r.random() < 0.3:
        text = r.choice(list(PAIRS))
        return Line(name, text, (value.name, r.choice(alike).name), value.shape, value.sequence, PAIRS[text])
    made = r.choice(_productions(value))(r, value.shape, f"p{name[1:]}")
    return _of(made, name, value) if made and 0 < _size(made) <= LARGEST else None


def _productions(value: Line) -> Sequence[Production]:
    if value.sequence:
        return (*EVERYWHERE[:-1], *SEQUENCE)
    return (*EVERYWHERE, *(IMAGE if len(value.shape) == 3 else (*VECTOR, *LOOPS)))


def _size(made: Made) -> int:
    size = 1
    for n in made.shape:
        size *= n
    return size


def _of(made: Made, name: str, value: Line) -> Line:
    keeps = value.sequence and len(made.shape) == len(value.shape)
    return Line(name, made.text, (value.name,), made.shape, made.sequence or keeps, made.torch, made.before)


def _as_vector(value: Line) -> list[Line]:
    """What is left to do for a vector to come out."""
    made = last(Random(), value.shape, "") if value.sequence else None
    lines = [_of(made, "end", value)] if made else []
    end = lines[-1] if lines else value
    if len(end.shape) != 1:
        lines.append(_of(flattened(Random(), end.shape, ""), "row", end))
    return lines


def _loss(r: Random, lines: Sequence[Line]) -> Loss:
    """One of logits is no loss of probabilities: the language refuses it."""
    losses = _losses(lines[-1].shape[0])
    return r.choice([loss for loss in losses if not loss.text.startswith(OF_LOGITS)] if _are_probabilities(lines) else losses)


def _are_probabilities(lines: Sequence[Line]) -> bool:
    """Whether the last value is some, in whatever shape."""
    by_name, line = {line.name: line for line in lines}, lines[-1]
    while line.text.startswith(ARRANGED):
        line = by_name[line.uses[0]]
    return line.text in PROBABILITIES


def _losses(numbers: int) -> Sequence[Loss]:
    F = torch_functions
    vector, index = f"[{numbers}]", f"class({numbers})"
    return (
        Loss("mse({0}, y)", vector, lambda P, z, y: F().mse_loss(z, y)),
        Loss("mae({0}, y)", vector, lambda P, z, y: F().l1_loss(z, y)),
        Loss("huber({0}, y)", vector, lambda P, z, y: F().huber_loss(z, y)),
        Loss("half_mse({0}, y)", vector, lambda P, z, y: 0.5 * ((z - y) ** 2).sum(1).mean()),
        Loss("log_cosh({0}, y)", vector),
        Loss("bce_logits({0}, sigmoid(y))", vector, lambda P, z, y: F().binary_cross_entropy_with_logits(z, y.sigmoid())),
        Loss("bce(sigmoid({0}), sigmoid(y))", vector, lambda P, z, y: _bce_of_probabilities(z, y.sigmoid())),
        Loss("cross_entropy({0}, y)", index, lambda P, z, y: F().cross_entropy(z, y)),
        Loss("cross_entropy({0}, y, smoothing = 0.1)", index, lambda P, z, y: F().cross_entropy(z, y, label_smoothing=0.1)),
        Loss("-log(pick(softmax({0}), y))", index, lambda P, z, y: F().cross_entropy(z, y)),
    )


def _bce_of_probabilities(z: Any, y: Any) -> Any:
    """By PyTorch; as in `bce`, no logarithm is below that of 1e-37, and there it has no gradient."""
    of_true, of_false = (torch_functions().logsigmoid(logit).clamp(min=log(1e-37)) for logit in (z, -z))
    return -(y * of_true + (1 - y) * of_false).mean()


def _training(r: Random) -> tuple[str, ...]:
    return (f"optimizer {r.choice(OPTIMIZERS)}", *(r.choice(kind) for kind in r.sample(SETTINGS, r.choice([0, 0, 1, 2]))))
