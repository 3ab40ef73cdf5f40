"""A model definition to one graph: ports, formulas, outputs, losses, metrics and expectations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING

from nnspec.diagnostics import Diagnostic, Fault, Span, fault, instead, meant
from nnspec.elaborate import batch
from nnspec.elaborate.declarations import declare, dimension, shape_of
from nnspec.elaborate.directions import direction
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.expectations import check_expectation
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.lists import are_numbers, with_sizes
from nnspec.elaborate.names import check_called, value_of
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.elaborate.remember import Remembering
from nnspec.elaborate.report import Facts
from nnspec.elaborate.scope import Frame, Scope
from nnspec.elaborate.statements import branch, run_statement
from nnspec.elaborate.values import POISON, Applied, Builtin, Function, Owned, Poisoned, Row, Tensor, Value, describe
from nnspec.graph import BATCH, Graph, Size, Type
from nnspec.graph.origin import Origin
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.syntax import ast

if TYPE_CHECKING:
    from nnspec.elaborate.given import Given

TYPES = ("float", "int", "bool", "class")
ALWAYS = {"batch": "the number of examples while training", "training": "true while training", "fitting": "true before the first step"}
"""Names that every model has."""


@dataclass
class Model:
    """One elaborated model. Graph outputs are called `output:NAME`, `loss:NAME`, `metric:NAME`, `state:NAME` and `loss`."""

    name: str
    graph: Graph
    span: Span
    scope: Scope = field(default_factory=Scope, repr=False)
    inputs: dict[str, Type] = field(default_factory=dict)
    targets: dict[str, Type] = field(default_factory=dict)
    outputs: dict[str, Type] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    better: dict[str, str | None] = field(default_factory=dict)
    """Of each metric, whether it is better when `low` or `high`, where that is known."""
    owned: dict[str, Owned] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    """Of a graph that was given, what formulas call its inputs and outputs."""
    fits: bool = False
    asks: bool = False
    """Whether it is another one before the whole training data, and whether it is another one in another phase."""

    @property
    def ports(self) -> dict[str, Type]:
        """All that an example has: inputs and targets."""
        return self.inputs | self.targets

    @property
    def parameters(self) -> dict[str, Owned]:
        return {n: o for n, o in self.owned.items() if o.kind == "param"}

    @property
    def states(self) -> dict[str, Owned]:
        return {n: o for n, o in self.owned.items() if o.kind == "state"}

    @property
    def single_losses(self) -> list[str]:
        """The losses that are told apart: those of several that have a name which no metric has."""
        return [n for n in self.losses if len(self.losses) > 1 and n not in ("loss", *self.metrics)]

    @cached_property
    def facts(self) -> Facts:
        """What can be counted of it without running."""
        return Facts(self.graph, self.owned)

    def needs_loss(self, so: str, span: Span | None = None) -> None:
        """A Fault (E110) without a loss, with what there cannot be then."""
        if not self.losses:
            help_ = "a model says what should become small: `loss mse(h, y)`, of an output and a target"
            raise fault("E110", f"the model `{self.name}` has no loss, so {so}", span or self.span, help=help_)

    def is_number(self, metric: str) -> bool:
        return self.graph[self.graph.outputs[f"metric:{metric}"]].type.rank == 0


def elaborate_model(
    f: Function,
    definitions: Definitions,
    *,
    training: bool,
    fitting: bool = False,
    dtype: str = "float32",
    given: Given | None = None,
) -> tuple[Model, list[Diagnostic]]:
    """The model as one graph, with everything that is wrong with it; it goes on from the graph that is given."""
    graph = given.copy() if given else Graph(f.name, dtype)
    return run_model(f, Remembering(graph, definitions, training=training, fitting=fitting), given)


def run_model(f: Function, e: Elaborator, given: Given | None = None) -> tuple[Model, list[Diagnostic]]:
    """The same by an elaborator of the caller's."""
    work = _ModelWork(f, e, given)
    work.run()
    return work.model, work.e.diagnostics


class _ModelWork:
    """The state of elaborating one model."""

    def __init__(self, f: Function, e: Elaborator, given: Given | None) -> None:
        self.f, self.e = f, e
        self.scope = Scope(f.scope, Frame().of_definition(f.definition), dict(self.e.always))
        self.e.file = f.scope
        self.e.complete = not f.scope.is_poisoned(f.name)
        self.e.watched, self.e.frame = self.scope, self.scope.frame
        self.model = Model(f.name, e.graph, f.definition.span, self.scope)
        self.outputs: dict[str, str] = {}
        self.written_at: dict[str, int] = {}
        self.has_output = False
        self.batched = given is None or given.batched
        if given:
            self._take(given)

    def _take(self, given: Given) -> None:
        """Have what is there already, as if it had been written."""
        self.scope.names |= given.names(self.e.graph)
        self.model.words = given.words
        self.model.inputs |= given.inputs
        self.model.outputs |= {name: self.e.graph[node].type for name, node in given.outputs.items()}
        self.outputs, self.has_output = dict(given.graph.outputs), True
        self.e.owned |= given.owned
        self.e.rows += given.rows_of(self.e.graph)

    def run(self) -> None:
        for p in self.f.definition.parameters:
            with self.e.recovering(p.span), self._named(p.name):
                self.scope.names[p.name] = self._default(p)
        body = sorted(self.f.definition.body, key=_turn)
        self._run([s for s in body if not isinstance(s, ast.Expect)])
        if self.e.complete:  # or what is missing would not be counted
            self._run([s for s in body if isinstance(s, ast.Expect)])
        self._finish()

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """A mistake that keeps a name from its value is said once, and not again where the name is used."""
        try:
            yield
        except (Fault, Poisoned, RecursionError):
            self.scope.names[name] = POISON
            raise

    def _run(self, statements: Sequence[ast.Statement]) -> None:
        for statement in statements:
            with self.e.recovering(statement.span), self.e.graph.at(span=statement.span):
                self.statement(statement)

    def _default(self, p: ast.Parameter) -> Value:
        if p.default is None:
            help_ = f"what an example has is declared in the braces: `input {p.span.text}`" if p.type else f"give it one: `{p.name} = 32`"
            raise fault("E103", f"the model's parameter `{p.name}` has no value", p.span, help=help_)
        return self.e.evaluate(p.default, self.scope)

    def statement(self, s: ast.Statement) -> None:
        match s:
            case ast.Port():
                self.port(s)
            case ast.Output():
                for name, value in s.items:
                    self.output(name, value)
            case ast.Report():
                self.report(s)
            case ast.Expect():
                if not (self.e.training or self.e.fitting):  # it is about the network in use
                    check_expectation(self.e, self.scope, self.outputs, s)
            case ast.Assign():
                self.formula(s)
            case ast.If():
                for inner in branch(self.e, s, self.scope):
                    with self.e.recovering(inner.span):
                        self.statement(inner)
            case ast.ParamDecl():
                self.parameter(s)
            case ast.Return() | ast.Lookahead() | ast.Given() | ast.Steps():
                help_ = "a model names its results: `output NAME`" if isinstance(s, ast.Return) else ""
                raise fault("E108", "this statement does not belong in a model", s.span, help=help_)
            case _:
                run_statement(self.e, s, self.scope)

    def port(self, s: ast.Port) -> None:
        name = s.name.id
        if name in self.e.always:
            self.scope.names[name] = POISON
            raise fault("E105", f"`{name}` is taken: it is {ALWAYS[name]}", s.name.span, help="choose another name")
        if name in self.scope.names:
            raise fault("E105", f"`{name}` is declared twice", s.name.span, notes=self._first(name))
        with self._named(name):
            if name in (SEED, STEP):
                raise fault("E105", f"`{name}` is taken: the seeded generator is fed by that name", s.name.span)
            type = self.port_type(s.type)
            if name in self.scope.names:
                raise fault("E105", f"`{name}` is a size of its own shape", s.type.span, help="give the size another name")
        full = replace(type, shape=(BATCH, *type.shape)) if self.batched else type
        var = self.e.graph.source(OPS["input"], name, full)
        self.scope.names[name] = Tensor(var, self.batched, s.type.span, type.classes)
        places = [self.e.file.spans.get(d.span.text, d.span) for d in s.type.dims]
        self.e.graph.written[name] = tuple(Origin(place, place) for place in places)
        self.scope.spans[name] = self.model.spans[name] = self.e.ports[name] = s.name.span
        (self.model.inputs if s.kind == "input" else self.model.targets)[name] = full

    def _first(self, name: str) -> tuple[tuple[Span, str], ...]:
        span = self.scope.spans.get(name)
        return ((span, "first here"),) if span else ()

    def port_type(self, t: ast.TypeExpr) -> Type:
        """A written type; a name in it that nothing defines is a size known at run time."""
        for dim in t.dims:
            if isinstance(dim, ast.Star):
                raise fault("E106", "an input says its dimensions one by one", dim.span)
            if dim.span.text in ("None", "-1"):
                help_ = "leave it out; a length that differs from one example to the next has a name: `[T, 4]`"
                raise fault("E106", "the batch is not written: a shape is that of one example", dim.span, help=help_)
            if isinstance(dim, ast.Name) and dim.id not in self.scope.all_names() and dim.id != "_":
                self.scope.names[dim.id] = Size.named(dim.id)
        shape = shape_of(self.e, t, self.scope)
        if t.base == "class":
            if not t.classes:
                written = f"class({', '.join(d.span.text for d in t.dims)})"
                raise fault("E103", "a class says how many there are in round brackets", t.span, **instead(written, t.span))
            classes = dimension(self.e, t.classes, self.scope)
            if not isinstance(classes, int):
                raise fault("E106", "the number of classes is a number", t.classes.span)
            return Type("int64", shape, classes)
        dtype = {"float": self.e.graph.dtype, "int": "int64", "bool": "bool"}.get(t.base)
        if dtype is None:
            place = Span(t.span.source, t.span.start, t.span.start + len(t.base))
            kinds = "a type is `[..]`, `int[..]`, `bool[..]` or `class(N)`"
            raise fault("E101", f"there is no type `{t.base}`", place, **meant(t.base, TYPES, place, kinds))
        return Type(dtype, shape)

    def formula(self, s: ast.Assign) -> None:
        marks = self.e.marks()
        run_statement(self.e, s, self.scope)
        if not isinstance(s.value, ast.Pipe):
            self.e.record(s.names[0].id, s.value.span, self.scope.names[s.names[0].id], marks, self.scope)

    def parameter(self, s: ast.ParamDecl) -> None:
        """A parameter or state of the model itself has a row of its own."""
        marks = self.e.marks()
        declare(self.e, s, self.scope)
        written = Span(s.span.source, s.span.start, (s.type or s.name).span.end)
        self.e.record(s.name.id, written, self.scope.names[s.name.id], marks, self.scope)

    def output(self, name: ast.Name, value: ast.Expr | None) -> None:
        self.has_output = True
        if value is not None:
            self.formula(ast.Assign(name.span, (name,), value))
        tensor = value_of(name, self.scope, self.e.definitions)
        if are_numbers([tensor]) or with_sizes([tensor]):
            tensor = batch.lift(self.e.graph, tensor, self.e.graph.dtype, name.span)
        if not isinstance(tensor, Tensor):
            self.scope.names[name.id] = POISON
            raise fault("E106", f"an output is a tensor, not {describe(tensor)}", name.span, help=_made_a_tensor(tensor))
        if name.id in self.model.outputs:
            raise fault("E105", f"`{name.id}` is an output twice", name.span)
        self.model.outputs[name.id] = tensor.var.type
        self.written_at[name.id] = name.span.start
        self.outputs[f"output:{name.id}"] = tensor.var.name

    def report(self, s: ast.Report) -> None:
        """A loss or metric: a number per example, any further axes and then the batch averaged; a metric of no example stays as it is."""
        self.e.reporting = s.kind
        with self.e.graph.at(role="loss"):
            value = self.e.evaluate(s.value, self.scope)
            check_called(s, value, self.e.definitions)
            t = batch.as_float(self.e.graph, value, s.value.span)
            axes = tuple(range(t.var.type.rank)) if s.kind == "loss" or t.batched else ()
            mean = OPS["mean"](t.var, axes=axes, keep=False) if axes else t.var
        self.e.reporting = ""
        named = self.model.losses if s.kind == "loss" else self.model.metrics
        name = s.name.id if s.name else _callee(s.value) or s.kind
        if name in named:
            raise fault("E105", f"there are two {'losses' if s.kind == 'loss' else 'metrics'} called `{name}`", s.span,
                        help=f"name one of them: `{s.kind} other = ...`")  # fmt: skip
        named.append(name)
        if s.kind == "metric":
            self.model.better[name] = direction(_callee(s.value), name)
        self.outputs[f"{s.kind}:{name}"] = mean.name

    def _finish(self) -> None:
        model, e = self.model, self.e
        model.owned, model.rows = e.owned, e.rows
        model.fits, model.asks = e.seen.fits or self.f.fits, e.seen.asks or self.f.asks
        if e.complete and not self.has_output:
            e.diagnostics.append(
                Diagnostic("E110", f"the model `{model.name}` has no output", self.f.definition.name.span, help="add `output NAME`")
            )
        for unused in e.unsized.values() if e.complete else ():
            e.diagnostics.append(Diagnostic("E107", f"a size `_` of `{unused.name}` never shows: nothing uses it", unused.span))
        self._outputs_without_targets()
        self._in_order()
        states = {f"state:{n}": value for n, value in e.updates.items()}
        losses = [self.outputs[f"loss:{n}"] for n in model.losses]
        e.graph.outputs = {**self.outputs, **states}
        if losses:
            with e.graph.at(role="loss"):
                e.graph.outputs["loss"] = reduce(add, map(e.graph.var, losses)).name

    def _in_order(self) -> None:
        """Outputs come in the order of the text, though one with a formula is known before one without."""
        names = sorted(self.model.outputs, key=lambda name: self.written_at.get(name, 0))
        self.model.outputs = {name: self.model.outputs[name] for name in names}
        self.outputs = {f"output:{name}": self.outputs[f"output:{name}"] for name in names} | self.outputs

    def _outputs_without_targets(self) -> None:
        """In use there are no targets."""
        for name in self.model.outputs:
            needed = self.e.graph.needed([self.outputs[f"output:{name}"]])
            for target in sorted(needed & set(self.model.targets)):
                message = f"the output `{name}` needs the target `{target}`, which is not there in use"
                note = (self.model.spans[target], "declared here; an `input` is there in use")
                self.e.diagnostics.append(Diagnostic("E108", message, self.scope.spans.get(name, self.model.span), notes=(note,)))


def _turn(s: ast.Statement) -> int:
    """Ports first, then formulas, then what reports on them, then expectations: a model says them where they read well."""
    match s:
        case ast.Port():
            return 0
        case ast.Report():
            return 2
        case ast.Output():
            return 1 if any(value is not None for _, value in s.items) else 2
        case ast.Expect():
            return 3
    return 1


def _callee(e: ast.Expr) -> str | None:
    return ast.dotted(e.callee) if isinstance(e, ast.Call) else None


def _made_a_tensor(value: Value) -> str:
    """How to get a tensor from what is none."""
    match value:
        case Function() | Builtin():
            return f"apply it to a value: `x -> {value.name}`"
        case tuple():
            return "join them: `-> concat(axis = 0)`, `-> stack` or `-> add`"
        case Applied():
            return "it is drawn next to a tensor, in its shape: `x + normal(0, 0.1)`"
        case _:
            return ""
