"""Statements of functions, layers and models: what they define, own and update."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Fault, Fix, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.arguments import signature_text
from nnspec.elaborate.declarations import check_no_port, check_not_owned, declare, shape_of, sized_so
from nnspec.elaborate.folding import folded
from nnspec.elaborate.lists import expected
from nnspec.elaborate.names import unknown
from nnspec.elaborate.pipelines import shared
from nnspec.elaborate.remedies import as_many_as_logits
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON, Function, Poisoned, Tensor, Value, describe, is_dim
from nnspec.graph.types import show
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator


@dataclass(frozen=True)
class Updated:
    """A state that has a new value, a node, at the end of a step."""

    state: str
    node: str


def run_body(e: Elaborator, f: Function, scope: Scope) -> Value:
    """Run a definition's statements up to its `return`."""
    result = run_statements(e, f.definition.body, scope)
    if result is None:
        raise returns_nothing(f.definition)
    returns = f.definition.returns
    if returns and isinstance(result, Tensor):
        _check_result(e, f, returns, result, scope)
    return result


def returns_nothing(d: ast.Definition) -> Fault:
    return fault("E108", f"`{d.name.id}` returns nothing", d.name.span, help="end it with `return ...`")


def _check_result(e: Elaborator, f: Function, returns: ast.TypeExpr, result: Tensor, scope: Scope) -> None:
    expected = shape_of(e, returns, scope)
    if expected != result.shape:
        message = f"`{f.name}` promises {show(expected)} and returns {show(result.shape)}"
        raise fault("E202", message, result.origin or returns.span, notes=((returns.span, f"{show(expected)} is promised here"),))


def run_statements(e: Elaborator, statements: tuple[ast.Statement, ...], scope: Scope) -> Value | None:
    for statement in statements:
        e.budget.spend(statement.span)
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
            require(e, s, scope)
        case ast.Share():
            check_no_port(e, s.name, scope, "be declared again")
            e.graph.depends_on_all()
            scope.names[s.name.id], scope.spans[s.name.id] = shared(s, scope), s.name.span
            e.unused.add(s.name.id)
        case _:
            raise fault("E108", "this statement belongs in a model, not in a definition", s.span)
    return None


def require(e: Elaborator, s: ast.Expect, scope: Scope) -> None:
    """`expect` in a definition: what its arguments must be, reported where it is called."""
    holds = expected(folded(e.evaluate(s.condition, scope)))
    if not isinstance(holds, bool):
        raise fault("E107", "what a definition expects of its arguments is known when the spec is compiled", s.condition.span)
    if not holds:
        asked = next((c for c in reversed(e.calls) if not c.name.startswith("_")), e.calls[-1])
        used = [n for n in scope.names if re.search(rf"\b{n}\b", s.condition.span.text)]
        names = sorted(n for n in used if n in scope.spans)
        said = {n: _outside(scope.spans[n], n) if e.calls[-1] is not asked else n for n in names}
        given = ", ".join(f"{said[n]} is {describe(scope.names[n])}" for n in names)
        condition = re.sub(r"\b[^\W\d]\w*\b", lambda m: said.get(m[0], m[0]), s.condition.span.text)
        at = scope.spans[names[0]] if names else s.condition.span
        sizes = ((n, sized_so(e.calls[-1], n, scope)) for n in used if n not in names)
        notes = tuple(note for n, found in sizes if found for note in batch.made(*found, at, what=n))
        values = {n: scope.names[n] for n in names}
        help_ = _size_is_known(asked, values) or as_many_as_logits(values)
        raise fault("E207", f"`{asked.name}` expects {condition}", at, label=given, notes=notes, help=help_)


def _outside(argument: Span, name: str) -> str:
    """What the argument of a helper is called by who called it, if it is a name there."""
    return argument.text if argument.text.isidentifier() else name


def _size_is_known(asked: Function, given: Mapping[str, Value]) -> str:
    """What to say where a count stands for what could be left out: other frameworks are told how many channels come in."""
    optional = (given.get(p.name) for p in asked.parameters if p.default)
    counted = asked.kind == "layer" and any(isinstance(v, int) and is_dim(v) and v > 0 for v in optional)
    return f"its arguments are {signature_text(asked)}; how many numbers or channels come in is known" if counted else ""


def branch(e: Elaborator, s: ast.If, scope: Scope) -> tuple[ast.Statement, ...]:
    """The statements that are to be run; where it cannot be told which, what either would name stays silent."""
    try:
        return _chosen(e, s, scope)
    except (Fault, Poisoned, RecursionError):
        scope.names.update(dict.fromkeys(_named_in(s), POISON))
        raise


def _named_in(s: ast.If) -> Iterator[str]:
    for inner in trees((s.then, s.otherwise)):
        match inner:
            case ast.Assign(names=names):
                yield from (n.id for n in names)
            case ast.Port(name=name) | ast.ParamDecl(name=name) | ast.Share(name=name) | ast.Stage(label=ast.Name() as name):
                yield name.id
            case ast.Output(items=items):
                yield from (n.id for n, value in items if value is not None)


def _chosen(e: Elaborator, s: ast.If, scope: Scope) -> tuple[ast.Statement, ...]:
    condition = folded(e.evaluate(s.condition, scope))
    if isinstance(condition, bool):
        return s.then if condition else s.otherwise
    if not isinstance(condition, Tensor):
        raise fault("E106", f"a condition is true or false, not {describe(condition)}", s.condition.span)
    help_ = "for a choice element by element write `y = if c then a else b`"
    raise fault("E107", "the condition of an `if { }` is known when the spec is compiled", s.condition.span, help=help_)


def assign(e: Elaborator, s: ast.Assign, scope: Scope) -> None:
    for name in s.names:
        check_no_port(e, name, scope, "be assigned")
        check_not_owned(e, name, scope, "be assigned with `=`")
    before = 0 if isinstance(s.value, ast.Name) else len(e.graph)
    try:
        values = _unpack(e.formula(s.value, scope), s)
    except (Fault, Poisoned, RecursionError):
        scope.names.update({n.id: POISON for n in s.names})
        raise
    for name, each in zip(s.names, values, strict=True):
        scope.names[name.id], scope.spans[name.id] = e.named(name.id, each, before), s.value.span


def _unpack(value: Value, s: ast.Assign) -> tuple[Value, ...]:
    if len(s.names) == 1:
        return (value,)
    if not isinstance(value, tuple) or len(value) != len(s.names):
        raise fault("E106", f"{describe(value)} is not a list of {len(s.names)}, one for each name", s.value.span)
    return value


def update(e: Elaborator, s: ast.Update, scope: Scope) -> None:
    """`mu <- value`: later lines see the new value, and the step ends with it."""
    try:
        target = scope.find(s.name.id)
    except KeyError:
        error = unknown(s.name.id, s.name.span, scope, e.definitions)
        scope.names[s.name.id] = POISON
        raise error if error.diagnostic.fix else fault("E101", error.diagnostic.message, s.name.span, **_by_equals(s)) from None
    if target is POISON:
        raise Poisoned
    name = scope.frame.join(s.name.id)
    if not e.owns(scope) or name not in e.owned or e.owned[name].kind != "state":
        message = f"only a state can be updated with `<-`; `{s.name.id}` is not one"
        raise fault("E108", message, s.name.span, **(_by_equals(s) if isinstance(target, Tensor) else {}))
    value = batch.as_float(e.graph, e.evaluate(s.value, scope), s.value.span)
    if value.batched or value.shape != e.owned[name].type.shape:
        kind = "a value for each example" if value.batched else f"shape {show(value.shape)}"
        message = f"the state `{s.name.id}` is {show(e.owned[name].type.shape)} and gets {kind}"
        raise fault("E202", message, s.value.span, help="average over the batch with batch_mean" if value.batched else "")
    scope.names[s.name.id] = value
    if not e.in_use:
        end_with(e, Updated(name, value.var.name))


def _by_equals(s: ast.Update) -> dict[str, Any]:
    """What else may be meant by `h <- value`."""
    source, end = s.span.source, s.name.span.end
    arrow = source.text.index("<-", end)
    return {"help": "`<-` updates a state, and a name gets its value by `=`", "fix": Fix(Span(source, arrow, arrow + 2), "=", safe=False)}


def end_with(e: Elaborator, made: Updated) -> None:
    """Have a state updated at the end of a step."""
    e.updates[made.state] = made.node
    e.note(made)
