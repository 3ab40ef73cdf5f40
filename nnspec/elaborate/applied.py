"""Inits, optimizers and schedules: applied to arguments where they are written, and run later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Span, fault, instead
from nnspec.elaborate import batch
from nnspec.elaborate.arguments import bind
from nnspec.elaborate.blame import blame
from nnspec.elaborate.folding import folded, is_constant
from nnspec.elaborate.foreign import is_safe, nearest
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.scope import ABSENT, Frame, Scope
from nnspec.elaborate.values import POISON, Applied, Function, Poison, Poisoned, Tensor, Value, describe, is_dim
from nnspec.graph.types import show
from nnspec.ops import OPS
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

if TYPE_CHECKING:
    from nnspec.elaborate.calls import Calls

SPREAD = "how far what it draws is spread, its arguments say: `normal(0, 0.01)`, `uniform(-a, a)`"


def of_shape(calls: Calls, init: Function, sizes: list[tuple[ast.Argument, Value]], scope: Scope, span: Span) -> Tensor:
    """`zeros(3, 4)`: what an init without arguments of its own gives for a shape."""
    for argument, size in sizes:
        if argument.name or not is_dim(size):
            raise fault("E106", f"`{init.name}` takes sizes here, not {describe(size)}", argument.span)
    shape = tuple(size for _, size in sizes)
    drawn = sample(calls, Applied(init, {}, span), {"shape": shape}, scope.frame)
    t = batch.lift(calls.graph, drawn, calls.graph.dtype, span)
    return t if t.shape == shape else Tensor(OPS["expand"](t.var, shape=shape), False, span)


def sample(calls: Calls, applied: Applied, known: dict[str, Value], frame: Frame) -> Value:
    """What an init draws, `known` being the names it may ask for; an init may be another with other arguments."""
    if applied.function.weighs and "fan_in" not in known:
        raise _for_parameters(applied, known["shape"])
    try:
        value = calls.run_function(applied.function, {**applied.arguments, **known}, dict(applied.spans), frame, applied.span)
    except Fault as error:
        raise blame(error, applied.spans, applied.span) from None
    if isinstance(value, Function) and value.kind == "init":
        value = _applied(value, [], applied.span)
    return sample(calls, value, known, frame) if isinstance(value, Applied) else value


def as_kind(calls: Calls, kind: str, e: ast.Expr, scope: Scope) -> Applied:
    """An init, optimizer or schedule: `adam` or `adam(lr = 1e-3)`, of that kind even where a layer has the same name."""
    if isinstance(e, ast.Conditional) and isinstance(chosen := calls.evaluate(e.condition, scope), bool):
        return as_kind(calls, kind, e.then if chosen else e.otherwise, scope)
    callee, written = ast.called(e)
    if isinstance(e, ast.Binary | ast.Unary) and (init := _init_in(calls, e)) and kind == "init":
        raise fault("E106", f"`{init}` is an init, which stands alone here", e.span, help=SPREAD)
    name = ast.dotted(callee)
    value = _meant(calls.definitions, kind, name, scope, e.span.source.library) if name else calls.evaluate(callee, scope)
    if isinstance(value, Function) and (found := value if value.kind == kind else calls.definitions.find(kind, value.name)):
        arguments = [(a, folded(v)) for a, v in calls.evaluated(found, written, written, scope)]
        return _before_data(_applied(found, arguments, e.span))
    if isinstance(value, Applied) and value.function.kind == kind:
        if callee is not e:
            raise fault("E104", f"`{name}` has its arguments already", e.span, help=f"write `{name}` alone")
        return _before_data(value)
    word, known = value if isinstance(value, str) else name or "", sorted(calls.definitions.names(kind))
    guess = nearest(word, known)
    more = instead(guess, callee.span, f"known are {', '.join(known)}", safe=bool(guess and is_safe(word, guess)))
    if value is None:
        raise fault("E101", f"there is no {kind} `{name}`", callee.span, **more)
    raise fault("E106", f"{describe(value)} is not {'a' if kind == 'schedule' else 'an'} {kind}", callee.span, **more)


def _init_in(calls: Calls, e: ast.Expr) -> str | None:
    """The first name in a formula that is that of an init."""
    return next((t.id for t in trees(e) if isinstance(t, ast.Name) and calls.definitions.find("init", t.id)), None)


def _meant(definitions: Definitions, kind: str, name: str, scope: Scope, library: bool) -> Value:
    """What a name stands for where one of that kind is due: an argument, a `let` that is no plain value, or a definition."""
    try:
        value = scope.names[name] if name in scope.names else scope.find(name, lambda v: isinstance(v, Function | Applied | Poison))
    except KeyError:
        found = definitions.find(kind, name, library) or definitions.meaning(name)
        plain = scope.get(name)
        return found or (None if plain is ABSENT else plain)
    if value is POISON:
        raise Poisoned
    return value


def _applied(f: Function, written: list[tuple[ast.Argument, Value]], span: Span) -> Applied:
    bound, spans = bind(f, written, span)
    return Applied(f, bound, span, spans)


def _before_data(applied: Applied) -> Applied:
    """What is done when there is no example, and so has arguments that no example changes."""
    for name, value in applied.arguments.items():
        if not is_constant(value):
            place = applied.spans.get(name, applied.span)
            raise fault("E106", f"`{name}` of the {applied.kind} `{applied.name}` is a number, not {describe(value)}", place)
    return applied


def _for_parameters(applied: Applied, like: Value) -> Fault:
    """An init that asks for the fans of a parameter, in a formula."""
    message = f"`{applied.name}` is for a parameter, whose rows and columns it asks for"
    shape = like.shape if isinstance(like, Tensor) else like
    return fault("E106", message, applied.span, help=f"write `param W: {show(shape)} ~ {applied.name}`, and `W` here")
