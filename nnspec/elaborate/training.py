"""A train block to data: every setting checked, its formulas bound to their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import partial
from typing import Any

from nnspec.diagnostics import Diagnostic, Fault, Span, fault, instead, meant
from nnspec.elaborate import foreign, vocabulary
from nnspec.elaborate.applied import as_kind
from nnspec.elaborate.augmentation import Augmentation, check_augmentation, read_augmentations
from nnspec.elaborate.directions import DIRECTIONS, LOW
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.folding import folded
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.model import Model
from nnspec.elaborate.phases import PHASE_SETTINGS, PhaseChoice, PhaseReader, Word, check_loss, check_parameter, trained_by
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.sources import DataSource, SourceReader, check_field
from nnspec.elaborate.update import learning_rate
from nnspec.elaborate.values import Applied, describe, is_number
from nnspec.graph import Graph
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.commas import comma_number
from nnspec.syntax.words import SETTING_WORDS

STOPS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "early": (("metric", "patience", "best"), ("metric", "patience"), "early(val.loss, patience = 3)"),
    "converged": (("weights", "grad"), (), "converged(weights = 1e-6)"),
    "plateau": (("metric", "patience", "smoothing", "tolerance", "best"), ("metric",), "plateau(loss, patience = 3)"),
}
"""Ways to stop: their arguments, those that must be given, and an example."""
PENALTIES, CLIPS = ("l1", "l2"), ("norm", "value")
MAX_SEED = 2**32 - 1
Check = Callable[[], object]
"""What raises a Fault where something is wrong, whatever else is."""


@dataclass(frozen=True)
class Stop:
    """When to stop before the last epoch.

    `early` when a metric has not improved for `patience` epochs; `converged` when no weight moved further than `weights` in an epoch, or
    the gradient is no longer than `grad`; `plateau` when a smoothed metric is not better by the share `tolerance` for `patience` epochs.
    `best` is what the author says of the metric: better when `low` or `high`.
    """

    kind: str
    span: Span
    metric: str = ""
    patience: int = 3
    smoothing: float = 0.1
    tolerance: float = 1e-3
    weights: float | None = None
    grad: float | None = None
    best: str | None = None

    def better(self, model: Model) -> str | None:
        """Whether its metric is better when `low` or `high`, where that is known."""
        name = self.metric.removeprefix("val.")
        return self.best or model.better.get(name, LOW)


@dataclass(frozen=True)
class Training:
    """One train block; `validation` and `test` are a fraction or a source, `start` is the run to start from."""

    span: Span
    name: str | None = None
    data: DataSource | None = None
    validation: float | DataSource | None = None
    test: float | DataSource | None = None
    batch: int = 32
    epochs: int | None = None
    steps: int | None = None
    optimizer: Applied | None = None
    schedule: Applied | None = None
    penalty: tuple[tuple[str, float], ...] = ()
    clip: tuple[str, float] | None = None
    stop: Stop | None = None
    augment: tuple[Augmentation, ...] = ()
    seed: int = 0
    phases: tuple[PhaseChoice, ...] = (PhaseChoice(),)
    start: Word | None = None
    checkpoint: int | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[object, ...]:
        """What decides which examples are trained on, watched and kept for the end."""
        return self.data, self.validation, self.test, self.seed

    @property
    def head(self) -> Span:
        """The word that it begins with."""
        return self.span.part(0, len("train"))

    @property
    def fills(self) -> bool:
        """Whether a source says that means, of what is trained on, stand for missing values."""
        return any(s.options.get("missing") == "mean" for s in self.sources)

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """What is read: to train on, to watch, and to keep for the end."""
        return tuple(s for s in (self.data, self.validation, self.test) if isinstance(s, DataSource))

    @property
    def tests_elsewhere(self) -> bool:
        """Whether what is kept for the end is no part of the data that is trained on."""
        return isinstance(self.test, DataSource) and not self.test.reads_as(self.data)


def elaborate_training(
    block: ast.Train, definitions: Definitions, lets: Scope, before: Training | None
) -> tuple[Training, list[Diagnostic]]:
    """The settings of a train block, and what is wrong with them; `before` is the block that runs before it."""
    reader, phases = _Reader(definitions, lets), PhaseReader()
    found: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for setting in block.settings:
        with reader.e.recovering(setting.span):
            name = setting.name.id
            if name in PHASE_SETTINGS:
                phases.read(setting)
                continue
            if name in spans and name != "augment":
                raise fault("E105", f"`{name}` is set twice", setting.name.span, notes=((spans[name], "first here"),))
            spans[name] = setting.span
            found[name] = found.get(name, ()) + reader.read(setting) if name == "augment" else reader.read(setting)
    if not reader.e.diagnostics:
        reader.e.diagnostics += _missing(block, spans)
    title = block.name.id if block.name else None
    own = {**_inherited(before, found), **found}
    return Training(span=block.span, name=title, spans=spans, phases=phases.phases(), **own), reader.e.diagnostics


def _inherited(before: Training | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """A block without data of its own goes on with that of the one before, cut into the same parts."""
    if before is None:
        return {}
    names = ("seed",) if "data" in found else ("seed", "data", "validation", "test")
    return {n: getattr(before, n) for n in names}


def _missing(block: ast.Train, written: Mapping[str, Span]) -> list[Diagnostic]:
    place = block.span.part(0, len("train"))
    out = []
    if "optimizer" not in written:
        out.append(Diagnostic("E110", "this train block has no optimizer", place, help="write for example `optimizer adam(lr = 1e-3)`"))
    if "epochs" not in written and "steps" not in written:
        out.append(Diagnostic("E110", "this train block does not say how long to train", place, help="write for example `epochs 10`"))
    return out


class _Reader:
    """Reads one setting at a time."""

    def __init__(self, definitions: Definitions, lets: Scope) -> None:
        self.e = Elaborator(Graph("train", "float64"), definitions, training=True)
        self.scope = Scope(lets)
        self.source = SourceReader(self.e, self.scope).read
        self.settings: dict[str, Callable[..., Any]] = {
            "data": self.source,
            "validation": partial(self.part, "`validation`"),
            "test": partial(self.part, "`test`"),
            "batch": partial(self.whole, "`batch`"),
            "epochs": partial(self.whole, "`epochs`"),
            "steps": partial(self.whole, "`steps`"),
            "optimizer": self.optimizer,
            "schedule": lambda e: as_kind(self.e, "schedule", e, self.scope),
            "penalty": self.penalty,
            "clip": self.clip,
            "stop": self.stop,
            "augment": lambda *values: read_augmentations(values, self.number),
            "seed": self.seed,
            "checkpoint": partial(self.whole, "`checkpoint`"),
        }

    def read(self, s: ast.Setting) -> Any:
        name = s.name.id
        if name == "start":
            return self.start(s)
        if name not in self.settings:
            raise self.unknown(s.name)
        if name == "penalty":
            return tuple(self.penalty(v) for v in s.values)
        if len(s.values) != 1 and not (name == "augment" and isinstance(s.values[0], ast.Name)):
            raise self.too_many(s)
        return self.settings[name](*s.values)

    def too_many(self, s: ast.Setting) -> Fault:
        """Of `epochs 3, batch 2`, where a comma makes the next setting a value of this one, it is the comma."""
        more = next((v.span for v in s.values[1:]), s.span)
        if of_number := comma_number("E104", more.source, more.start):
            return Fault(of_number)
        help_ = "leave the comma out: settings stand on lines of their own, or side by side" if more.text in SETTING_WORDS else ""
        return fault("E104", f"`{s.name.id}` takes one value", more, help=help_)

    def unknown(self, name: ast.Name) -> Fault:
        known = (*self.settings, *PHASE_SETTINGS, "start")
        elsewhere = vocabulary.ELSEWHERE.get(name.id.lower(), "")
        near = None if elsewhere else foreign.setting(name.id, known)
        more = instead(near, name.span, elsewhere or f"it has {', '.join(known)}", safe=bool(near and foreign.is_safe(name.id, near)))
        return fault("E111", f"a train block has no setting `{name.id}`", name.span, **more)

    def start(self, s: ast.Setting) -> Word:
        if not s.origin:
            raise fault(
                "E106",
                "a training starts from the folder of a run, or a file of weights",
                s.span,
                help='write `start from "runs/pretrain-1"`',
            )
        return Word(s.origin, s.span)

    def optimizer(self, e: ast.Expr) -> Applied:
        optimizer = as_kind(self.e, "optimizer", e, self.scope)
        learning_rate(optimizer, self.e)  # a rate that is no number shows before training
        return optimizer

    def number(self, what: str, e: ast.Expr) -> float:
        value = folded(self.e.evaluate(e, self.scope))
        if not is_number(value):
            raise fault("E106", f"{what} is a number, not {describe(value)}", e.span)
        return float(value)

    def whole(self, what: str, e: ast.Expr, least: int = 1) -> int:
        value = self.number(what, e)
        if not value.is_integer() or value < least:
            raise fault("E106", f"{what} is a whole number from {least}, not {describe(value)}", e.span)
        return int(value)

    def seed(self, e: ast.Expr) -> int:
        value = self.whole("`seed`", e, 0)
        if value > MAX_SEED:
            raise fault("E106", f"a seed is at most {MAX_SEED:,}", e.span)
        return value

    def part(self, what: str, e: ast.Expr) -> float | DataSource:
        """A fraction of the data, or a source of its own."""
        if isinstance(e, ast.Number):
            if not 0 < e.value < 1:
                raise fault("E106", f"{what} is a source or a fraction between 0 and 1, not {describe(e.value)}", e.span)
            return float(e.value)
        return self.source(e)

    def choice(self, e: ast.Expr, known: tuple[str, ...], what: str) -> tuple[str, tuple[ast.Argument, ...]]:
        """`norm(1.0)`: a word of a fixed set, with arguments."""
        callee, arguments = ast.called(e)
        name = ast.dotted(callee) or e.span.text
        if name not in known:
            otherwise = " or ".join(f"`{k}({name})`" for k in known) if isinstance(e, ast.Number) else f"known are {', '.join(known)}"
            raise fault("E106", f"there is no {what} `{name}`", callee.span, **meant(name, known, callee.span, otherwise))
        return name, arguments

    def one_number(self, e: ast.Expr, known: tuple[str, ...], what: str, of: str) -> tuple[str, float]:
        name, arguments = self.choice(e, known, what)
        if len(arguments) != 1:
            of_number = comma_number("E104", e.span.source, arguments[-1].span.start) if arguments else None
            raise Fault(of_number) if of_number else fault("E103", f"`{name}` takes one number, its {of}", e.span)
        return name, self.positive(f"the {of} of `{name}`", arguments[0].value)

    def positive(self, what: str, e: ast.Expr) -> float:
        value = self.number(what, e)
        if value <= 0:
            raise fault("E106", f"{what} is above 0, not {describe(value)}", e.span)
        return value

    def penalty(self, e: ast.Expr) -> tuple[str, float]:
        return self.one_number(e, PENALTIES, "penalty", "strength")

    def clip(self, e: ast.Expr) -> tuple[str, float]:
        return self.one_number(e, CLIPS, "way to clip", "limit")

    def stop(self, e: ast.Expr) -> Stop:
        kind, arguments = self.choice(e, tuple(STOPS), "way to stop")
        words, required, example = STOPS[kind]
        written: dict[str, ast.Argument] = {}
        for position, a in enumerate(arguments):
            word = a.name or (words[position] if position < len(words) and kind != "converged" else "")
            if word not in words:
                raise fault("E102", f"`{kind}` has no argument `{word or a.span.text}`", a.span, help=f"write for example {example}")
            written[word] = a
        missing = [w for w in required if w not in written]
        if missing or not written:
            raise fault("E103", f"`{kind}` is missing `{(missing or words)[0]}`", e.span, help=f"write for example {example}")
        span = written["metric"].value.span if "metric" in written else e.span
        return Stop(kind, span, **{word: self._stop_value(word, a.value) for word, a in written.items()})

    def _stop_value(self, word: str, e: ast.Expr) -> Any:
        if word == "patience":
            return self.whole("`patience`", e)
        if word == "best":
            return self.choice(e, DIRECTIONS, "direction")[0]
        if word != "metric":
            value = self.positive(f"`{word}`", e)
            if word == "smoothing" and value > 1:
                raise fault("E106", f"`smoothing` is a share, above 0 and at most 1, not {describe(value)}", e.span)
            return value
        metric = ast.dotted(e)
        if metric is None:
            raise fault("E106", "the metric to watch is a name such as `val.loss`", e.span)
        return metric


def watchable(model: Model) -> list[str]:
    """What can decide when to stop, besides losses that are minimised in turn."""
    return ["loss", "val.loss", *(f"val.{m}" for m in model.metrics if model.is_number(m)), *(f"val.{n}" for n in model.single_losses)]


def checks_against_model(training: Training, model: Model) -> Iterator[Check]:
    """What a train block names has to be in the model: losses and parameters, the metric it watches."""
    for phase in training.phases:
        yield from (partial(check_loss, word, model.losses) for word in phase.minimize)
        yield from (partial(check_parameter, word, model.parameters) for word in (*phase.update, *phase.freeze))
        yield partial(trained_by, phase, model.parameters)
    yield partial(_check_watched, training, model)


def checks_against_ports(training: Training, model: Model) -> Iterator[Check]:
    """The same of what it augments and gives values to: inputs and targets."""
    yield from (partial(check_augmentation, a, model.inputs, model.targets) for a in training.augment)
    for source in training.sources:
        yield from (partial(check_field, source, name, tuple(model.ports)) for name in source.fields)


def _check_watched(training: Training, model: Model) -> None:
    """The metric that decides when to stop is one, or one of the losses that are minimised in turn."""
    named = {word.text for phase in training.phases for word in phase.minimize}
    minimised = [n for n in model.losses if n in named] if named else model.losses
    watched = [*watchable(model), *(minimised if len(training.phases) > 1 or len(minimised) > 1 else ())]
    if training.stop and training.stop.metric and training.stop.metric not in watched:
        metric, place = training.stop.metric, training.stop.span
        more = meant(metric, watched, place, f"there are {', '.join(watched)}")
        raise fault("E402", f"there is no metric `{metric}` to watch", place, **more)
