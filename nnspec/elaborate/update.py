"""Optimizers and schedules: formulas that become graphs of their own."""

from __future__ import annotations

from collections.abc import Mapping

from nnspec.diagnostics import Fault, fault, instead
from nnspec.elaborate import batch
from nnspec.elaborate.blame import blame
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.foreign import OF_OPTIMIZERS
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.scope import Frame, Scope
from nnspec.elaborate.statements import assign, require
from nnspec.elaborate.values import SCALARS, SCHEDULE_NAMES, VECTORS, Applied, Tensor, Value, describe, is_number
from nnspec.graph import Graph, Size, Type, Var
from nnspec.graph.types import broadcast
from nnspec.ops import OPS
from nnspec.record import dataclass
from nnspec.syntax import ast


@dataclass(frozen=True)
class Updated:
    """What one parameter and its optimizer states become in a step."""

    parameter: Var
    states: dict[str, Var]


def learning_rate(optimizer: Applied, e: Elaborator) -> float:
    """The base learning rate: the `lr` given, or the definition's default."""
    given: Value = optimizer.arguments.get("lr")
    if given is None:
        default = next((p.default for p in optimizer.function.definition.parameters if p.name == "lr"), None)
        given = e.evaluate(default, optimizer.function.scope) if default else 1.0
    if isinstance(given, Tensor) or not is_number(given):
        raise fault("E106", f"the learning rate is a number, not {describe(given)}", optimizer.spans.get("lr", optimizer.span))
    return float(given)


def optimizer_states(optimizer: Applied) -> dict[str, float]:
    """The states an optimizer keeps for each parameter, and the number each starts with."""
    starts = {}
    for s in optimizer.function.definition.body:
        if isinstance(s, ast.ParamDecl):
            if not isinstance(s.start, ast.Number):
                raise fault("E106", f"an optimizer's state starts with a number: `state {s.name.id} = 0`", s.span)
            starts[s.name.id] = float(s.start.value)
    return starts


def apply_optimizer(
    graph: Graph, definitions: Definitions, optimizer: Applied, w: Var, g: Var, states: Mapping[str, Var], scalars: Mapping[str, Var]
) -> Updated:
    """The formulas of an optimizer for one parameter `w` with gradient `g`; `scalars` are lr and t."""
    e = Elaborator(graph, definitions, training=True)
    scope = _scope(e, optimizer, {"w": w, "g": g, **scalars, **states})
    with graph.at(role="update"):
        for s in optimizer.function.definition.body:
            with graph.at(span=s.span):
                _statement(e, s, scope, states)
    new = {n: scope.names[n].var for n in ("w", *states)}
    return Updated(new.pop("w"), new)


def _scope(e: Elaborator, optimizer: Applied, known: Mapping[str, Var]) -> Scope:
    f = optimizer.function
    e.calls.append(f)
    scope = Scope(f.scope, Frame(), {}, dict(optimizer.spans), OF_OPTIMIZERS)
    for p in f.definition.parameters:
        if p.name in optimizer.arguments:
            scope.names[p.name] = optimizer.arguments[p.name]
        elif p.default is not None:
            scope.names[p.name] = e.evaluate(p.default, scope)
    scope.names |= {n: Tensor(v, False) for n, v in known.items()}
    return scope


def _statement(e: Elaborator, s: ast.Statement, scope: Scope, states: Mapping[str, Var]) -> None:
    match s:
        case ast.Assign():
            taken = next((n for n in s.names if n.id in ("w", *states)), None)
            if taken:
                what = "the parameter" if taken.id == "w" else "a state"
                raise fault(
                    "E105", f"`{taken.id}` is {what} and cannot be assigned with `=`", taken.span, help=f"write `{taken.id} <- ...`"
                )
            assign(e, s, scope)
        case ast.Update():
            if s.name.id not in ("w", *states):
                more = instead(scope.called_elsewhere(s.name.id), s.name.span, f"a state is declared before: `state {s.name.id} = 0`")
                raise fault("E108", f"`{s.name.id}` is neither `w` nor a state of this optimizer", s.name.span, **more)
            scope.names[s.name.id] = _like(e, scope.names[s.name.id], s.value, scope)
        case ast.Expect():
            require(e, s, scope)
        case ast.ParamDecl() | ast.Lookahead():
            pass
        case _:
            raise fault("E108", "an optimizer has states, formulas, updates, expectations and a lookahead only", s.span)


def _like(e: Elaborator, old: Tensor, written: ast.Expr, scope: Scope) -> Tensor:
    """A formula's value, in the shape of what it takes the place of."""
    value = batch.as_float(e.graph, e.evaluate(written, scope), written.span)
    if value.shape == old.shape:
        return value
    if broadcast(value.shape, old.shape) != old.shape:
        help_ = "a parameter, its gradient and its states have one shape, and are computed element by element"
        raise fault("E202", f"this is {describe(value)}, in the place of {describe(old)}", written.span, help=help_)
    return Tensor(OPS["expand"](value.var, shape=old.shape), False)


def lookahead(
    graph: Graph, definitions: Definitions, optimizer: Applied, w: Var, states: Mapping[str, Var], scalars: Mapping[str, Var]
) -> Var | None:
    """Where the gradient of one parameter is taken, when that is not the parameter itself."""
    e = Elaborator(graph, definitions, training=True)
    scope = _scope(e, optimizer, {"w": w, **scalars, **states})
    body = optimizer.function.definition.body
    written = [s for s in body if isinstance(s, ast.Lookahead)]
    if not written:
        return None
    if len(written) > 1:
        raise fault("E105", "an optimizer looks ahead once", written[1].span, notes=((written[0].span, "first here"),))
    with graph.at(role="update"):
        for s in body[: body.index(written[0])]:
            if isinstance(s, ast.Update):
                raise fault("E108", "`lookahead` comes before the first `<-`: it is where the gradient is taken", written[0].span)
            if isinstance(s, ast.Assign):
                assign(e, s, scope)
        with graph.at(span=written[0].span):
            return _like(e, scope.names["w"], written[0].value, scope).var


def check_optimizer(definitions: Definitions, optimizer: Applied) -> None:
    """Elaborate an optimizer for a parameter of its own, so that its mistakes show before training."""
    graph = Graph("optimizer")
    of_any_length = Type(graph.dtype, (Size.named("n"),))  # a list of numbers fits no other
    w, g = (graph.source(OPS["param"], n, of_any_length) for n in VECTORS)
    states = {n: graph.source(OPS["state"], n, of_any_length) for n in optimizer_states(optimizer)}
    scalars = {n: graph.source(OPS["input"], n, Type(graph.dtype)) for n in SCALARS}
    try:
        lookahead(graph, definitions, optimizer, w, states, scalars)
        apply_optimizer(graph, definitions, optimizer, w, g, states, scalars)
    except Fault as error:
        raise blame(error, optimizer.spans, optimizer.span) from None


def schedule_graph(definitions: Definitions, schedule: Applied) -> Graph:
    """From base rate, epoch and step (both from 0), their totals, the rate before and the epochs without progress to a step's rate `lr`."""
    graph = Graph("schedule", "float64")
    e = Elaborator(graph, definitions, training=True)
    own = {p.name for p in schedule.function.definition.parameters}
    known = {n: Tensor(graph.source(OPS["input"], n, Type("float64")), False) for n in SCHEDULE_NAMES if n not in own}
    try:
        value: Value = e.run_function(schedule.function, {**schedule.arguments, **known}, dict(schedule.spans), Frame(), schedule.span)
    except Fault as error:
        raise blame(error, schedule.spans, schedule.span) from None
    result = batch.as_float(graph, value, schedule.span)
    if result.shape:
        raise fault("E106", f"the schedule `{schedule.name}` does not give one number", schedule.span)
    graph.outputs["lr"] = result.var.name
    return graph


def read_by(definitions: Definitions, schedule: Applied) -> set[str]:
    """Of what schedules speak of, that on which the rate of this one hangs."""
    graph = schedule_graph(definitions, schedule)
    return graph.needed(graph.outputs.values()) & {*SCHEDULE_NAMES}


def starts_from_the_base(definitions: Definitions, schedule: Applied) -> bool:
    """Whether its rate hangs on that of the optimizer, which is also that of the step before the first."""
    return not read_by(definitions, schedule).isdisjoint(("lr", "rate"))
