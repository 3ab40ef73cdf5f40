"""Statements of functions, layers and models: what they define, own and update."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Fix, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.names import unknown
from nnspec.elaborate.pipelines import shared
from nnspec.elaborate.values import POISON, Applied, Function, Owned, Poisoned, Scope, Tensor, Unsized, Value, describe, is_dim
from nnspec.graph import Dim, Shape, Size, Type
from nnspec.graph.types import show
from nnspec.ops import OPS
from nnspec.ops.source import value_shape
from nnspec.syntax import ast

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator

MAX_DIMENSION = 2**31 - 1


def run_body(e: Elaborator, f: Function, scope: Scope) -> Value:
    """Run a definition's statements up to its `return`."""
    result = run_statements(e, f.definition.body, scope)
    if result is None:
        raise fault("E108", f"`{f.name}` returns nothing", f.definition.name.span, help="end it with `return ...`")
    returns = f.definition.returns
    if returns and isinstance(result, Tensor):
        _check_result(e, f, returns, result, scope)
    return result


def _check_result(e: Elaborator, f: Function, returns: ast.TypeExpr, result: Tensor, scope: Scope) -> None:
    expected = shape_of(e, returns, scope)
    if expected != result.shape:
        message = f"`{f.name}` promises {show(expected)} and returns {show(result.shape)}"
        raise fault("E202", message, result.origin or returns.span, notes=((returns.span, f"{show(expected)} is promised here"),))


def run_statements(e: Elaborator, statements: tuple[ast.Statement, ...], scope: Scope) -> Value | None:
    for statement in statements:
        with e.at(statement.span):
            result = run_statement(e, statement, scope)
        if result is not None:
            return _last(statement, statements, result)
    return None


def _last(statement: ast.Statement, statements: tuple[ast.Statement, ...], result: Value) -> Value:
    """The value of a `return`, after which there is nothing."""
    if isinstance(statement, ast.Return) and statement is not statements[-1]:
        place = statements[statements.index(statement) + 1].span
        raise fault("E108", "nothing after a `return` is reached", place)
    return result


def run_statement(e: Elaborator, s: ast.Statement, scope: Scope) -> Value | None:
    """One statement; the value, if it is the `return`."""
    match s:
        case ast.Assign():
            assign(e, s, scope)
        case ast.Return():
            return e.evaluate(s.value, scope)
        case ast.ParamDecl():
            declare(e, s, scope)
        case ast.Update():
            update(e, s, scope)
        case ast.If():
            return run_statements(e, branch(e, s, scope), scope)
        case ast.Expect():
            _require(e, s, scope)
        case ast.Share():
            scope.names[s.name.id] = shared(s, scope)
            e.unused.add(s.name.id)
        case _:
            raise fault("E108", "this statement belongs in a model, not in a definition", s.span)
    return None


def _require(e: Elaborator, s: ast.Expect, scope: Scope) -> None:
    """`expect` in a definition: what its arguments must be, reported where it is called."""
    holds = e.evaluate(s.condition, scope)
    if not isinstance(holds, bool):
        raise fault("E107", "what a definition expects of its arguments is known when the spec is compiled", s.condition.span)
    if not holds:
        names = sorted(n for n in scope.spans if re.search(rf"\b{n}\b", s.condition.span.text))
        given = ", ".join(f"{n} is {describe(scope.names[n])}" for n in names)
        at = scope.spans[names[0]] if names else s.condition.span
        asked = next((c.name for c in reversed(e.calls) if not c.name.startswith("_")), e.calls[-1].name)
        raise fault("E207", f"`{asked}` expects {s.condition.span.text}", at, label=given)


def branch(e: Elaborator, s: ast.If, scope: Scope) -> tuple[ast.Statement, ...]:
    condition = e.evaluate(s.condition, scope)
    if isinstance(condition, bool):
        return s.then if condition else s.otherwise
    if not isinstance(condition, Tensor):
        raise fault("E106", f"a condition is true or false, not {describe(condition)}", s.condition.span)
    help_ = "for a choice element by element write `y = if c then a else b`"
    raise fault("E107", "the condition of an `if { }` is known when the spec is compiled", s.condition.span, help=help_)


def assign(e: Elaborator, s: ast.Assign, scope: Scope) -> None:
    for name in s.names:
        owned = e.owned.get(scope.frame.join(name.id))
        if owned and scope.frame.owns:
            help_ = f"write `{name.id} <- ...`" if owned.kind == "state" else "choose another name"
            raise fault("E105", f"`{name.id}` is a {owned.kind} and cannot be assigned with `=`", name.span, help=help_)
    try:
        values = _unpack(e.evaluate(s.value, scope), s)
    except (Fault, Poisoned):
        scope.names.update({n.id: POISON for n in s.names})
        raise
    for name, each in zip(s.names, values, strict=True):
        scope.names[name.id], scope.spans[name.id] = each, s.value.span


def _unpack(value: Value, s: ast.Assign) -> tuple[Value, ...]:
    if len(s.names) == 1:
        return (value,)
    if not isinstance(value, tuple) or len(value) != len(s.names):
        raise fault("E106", f"{describe(value)} is not a list of {len(s.names)}, one for each name", s.value.span)
    return value


def declare(e: Elaborator, s: ast.ParamDecl, scope: Scope) -> None:
    """`param` and `state`: a node of its own, named by its path."""
    if not scope.frame.owns or (e.calls and e.calls[-1].kind == "fn"):
        raise fault("E108", f"a {s.kind} belongs to a layer or a model; a fn is a pure formula", s.span)
    if s.type and any(map(_is_open, s.type.dims)):
        scope.names[s.name.id] = e.unsized[scope.frame.join(s.name.id)] = _unsized(e, s, s.type, scope)
        return
    try:
        owned = _owned(e, s, scope)
    except (Fault, Poisoned):
        scope.names[s.name.id] = POISON
        raise
    if owned.name in e.owned and scope.frame.shared:
        _use_again(e, owned, scope, s)
        return
    if owned.name in e.owned:
        help_ = "give one of the two layers another name: `-> ... as NAME`" if "." in owned.name else ""
        note = (e.owned[owned.name].span, "first here")
        raise fault("E105", f"`{owned.name}` is declared twice", s.name.span, notes=(note,), help=help_)
    e.owned[owned.name] = replace(owned, weights=scope.frame.weights)
    var = e.graph.source(OPS[s.kind], owned.name, owned.type)
    scope.names[s.name.id] = Tensor(var, False, s.type.span if s.type else s.name.span)
    scope.spans[s.name.id] = s.name.span


def _unsized(e: Elaborator, s: ast.ParamDecl, type: ast.TypeExpr, scope: Scope) -> Unsized:
    """A declaration that waits for the sizes written as `_`."""
    dims = tuple(None if _is_open(d) else dimension(e, d, scope) for d in type.dims if not isinstance(d, ast.Star))

    def sized(shape: Shape) -> Tensor:
        del e.unsized[scope.frame.join(s.name.id)]
        written = tuple(ast.Number(d.span, n) if isinstance(n, int) else d for d, n in zip(type.dims, shape, strict=True))
        declare(e, replace(s, type=replace(type, dims=written)), scope)
        made: Tensor = scope.names[s.name.id]
        return made

    return Unsized(s.name.id, dims, s.name.span, sized)


def _use_again(e: Elaborator, owned: Owned, scope: Scope, s: ast.ParamDecl) -> None:
    """A parameter of a shared pipeline that an earlier use has made; a state as that use has left it."""
    first = e.owned[owned.name]
    if first.type != owned.type:
        message = f"`{owned.name}` is shared: it is {show(first.type.shape)}, and this use needs {show(owned.type.shape)}"
        raise fault("E202", message, s.name.span, notes=((first.span, "first used here"),))
    scope.names[s.name.id] = Tensor(e.graph.var(e.updates.get(owned.name, owned.name)), False, s.name.span)


def _owned(e: Elaborator, s: ast.ParamDecl, scope: Scope) -> Owned:
    name = scope.frame.join(s.name.id)
    if s.start is None:
        sign = f"{s.kind} {s.name.id}"
        raise fault("E103", f"`{sign}` does not say how it starts", s.span, help=f"write `{sign}: [..] ~ he_normal` or `= 0`")
    if s.source in ("~", "from"):
        if s.type is None:
            raise fault("E103", f"`{s.name.id}` needs a type: its shape does not follow from how it starts", s.name.span)
        return Owned(name, s.kind, Type(e.graph.dtype, _fixed(e, s, scope)), _start(e, s, s.start, scope), s.name.span)
    value = e.evaluate(s.start, scope)
    if isinstance(value, Function | Applied) and value.kind == "init":
        equals = Span(s.span.source, s.span.source.text.rindex("=", 0, s.start.span.start), s.start.span.start)
        message = f"the {s.kind} `{s.name.id}` is drawn by an init, which `~` says"
        raise fault("E106", message, s.start.span, help=f"write `~ {s.start.span.text}`", fix=Fix(equals, "~ "))
    start = batch.numbers(value, s.start.span)
    given = value_shape(start)
    shape = _fixed(e, s, scope) if s.type else given
    if given not in ((), shape):
        where = s.type.span if s.type else s.name.span
        raise fault(
            "E208", f"`{s.name.id}` is declared {show(shape)} and set to {show(given)}", s.start.span, notes=((where, "declared here"),)
        )
    return Owned(name, s.kind, Type(e.graph.dtype, shape), start, s.name.span)


def _start(e: Elaborator, s: ast.ParamDecl, start: ast.Expr, scope: Scope) -> Applied:
    if s.source == "~":
        return _init(e, start, scope)
    pretrained = e.definitions.find("init", "pretrained", library=True)
    assert pretrained
    return Applied(pretrained, {"file": e.evaluate(start, scope)}, start.span)


def _init(e: Elaborator, start: ast.Expr, scope: Scope) -> Applied:
    """The init after `~`, which is drawn before there is any data."""
    init = e.as_kind("init", start, scope)
    for name, value in init.arguments.items():
        if isinstance(value, Tensor):
            raise fault("E106", f"`{name}` of the init `{init.name}` is a number, not {describe(value)}", init.span)
    return init


def _fixed(e: Elaborator, s: ast.ParamDecl, scope: Scope) -> Shape:
    """The shape of a parameter or state, which no size of the data can change."""
    assert s.type
    shape = shape_of(e, s.type, scope)
    for dim in shape:
        if isinstance(dim, Size):
            raise fault("E106", f"the {s.kind} `{s.name.id}` would have a size known only at run time, `{dim}`", s.type.span)
    return shape


def shape_of(e: Elaborator, t: ast.TypeExpr, scope: Scope) -> Shape:
    """The dimensions of a written type, with the names it uses put in."""
    out: list[Dim] = []
    for dim in t.dims:
        if isinstance(dim, ast.Star):
            run = scope.names.get(dim.name)
            if not isinstance(run, tuple):
                raise fault("E101", f"`*{dim.name}` is not known here", dim.span)
            out += [_size(length, dim, scope.span_of(dim.name)) for length in run]
        else:
            out.append(dimension(e, dim, scope))
    if len(out) > batch.MAX_RANK:
        raise fault("E204", f"a tensor has at most {batch.MAX_RANK} axes", t.span)
    return tuple(out)


def _is_open(dim: ast.Expr | ast.Star) -> bool:
    return isinstance(dim, ast.Name) and dim.id == "_"


def dimension(e: Elaborator, dim: ast.Expr, scope: Scope) -> Dim:
    if _is_open(dim):
        raise fault("E108", "only a parameter can leave a size to its first use, `_`", dim.span)
    return _size(e.evaluate(dim, scope), dim, scope.span_of(dim.id) if isinstance(dim, ast.Name) else None)


def _size(value: Value, dim: ast.Expr | ast.Star, origin: Span | None) -> Dim:
    """A value as the size it is written for, `origin` being where it came from."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not is_dim(value) or (isinstance(value, int) and not 1 <= value <= MAX_DIMENSION):
        label = "" if isinstance(dim, ast.Name | ast.Number) else f"`{dim.span.text}` is {describe(value)}"
        most = f" to {MAX_DIMENSION:,}" if isinstance(value, int) and value > 1 else ""
        raise fault("E106", f"a size is a whole number from 1{most}, not {describe(value)}", origin or dim.span, label=label)
    size: int | Size = value
    return size


def update(e: Elaborator, s: ast.Update, scope: Scope) -> None:
    """`mu <- value`: later lines see the new value, and the step ends with it."""
    try:
        target = scope.find(s.name.id)
    except KeyError:
        raise unknown(s.name.id, s.name.span, scope, e.definitions) from None
    if target is POISON:
        raise Poisoned
    name = scope.frame.join(s.name.id)
    if name not in e.owned or e.owned[name].kind != "state":
        raise fault("E108", f"only a state can be updated with `<-`; `{s.name.id}` is not one", s.name.span)
    value = batch.lift(e.graph, e.evaluate(s.value, scope), e.graph.dtype, s.value.span)
    if value.batched or value.shape != e.owned[name].type.shape:
        kind = "a value for each example" if value.batched else f"shape {show(value.shape)}"
        message = f"the state `{s.name.id}` is {show(e.owned[name].type.shape)} and gets {kind}"
        raise fault("E202", message, s.value.span, help="average over the batch with batch_mean" if value.batched else "")
    scope.names[s.name.id] = value
    if e.training or e.fitting:
        e.updates[name] = value.var.name
