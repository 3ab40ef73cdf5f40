"""Pipelines: `x -> f(a)` is `f(x, a)`; a stage may also be a list of branches, a repetition, or a pipeline in braces."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Span, fault, instead
from nnspec.elaborate import batch
from nnspec.elaborate.declarations import check_no_port, check_not_owned
from nnspec.elaborate.names import callee_of
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON, Builtin, Poisoned, Tensor, Value, describe
from nnspec.syntax import ast
from nnspec.syntax.trees import trees

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator

MAX_REPEATS = 10_000


def pipe(e: Elaborator, tree: ast.Pipe, scope: Scope) -> Value:
    try:
        value = _start(e, tree.head, scope)
    except (Fault, Poisoned):
        _without_values(tree.stages, scope)
        raise
    return run_stages(e, tree.stages, value, tree.head, scope)


def _start(e: Elaborator, head: ast.Expr, scope: Scope) -> Value:
    """What a pipeline starts from."""
    try:
        return e.evaluate(head, scope)
    except Fault as error:
        d = error.diagnostic
        if d.code != "E103" or d.span != head.span:
            raise
        how = "a pipeline that waits for its value is named by `share`: `share enc = dense(8) -> relu`"
        raise Fault(replace(d, help=f"{d.help}; {how}")) from None


def stages_of(pipeline: ast.Expr) -> tuple[ast.Stage, ...]:
    """The stages of a pipeline that waits for its value: a branch, or what stands in braces."""
    if isinstance(pipeline, ast.Pipe):
        return (ast.Stage(pipeline.head.span, pipeline.head, None), *pipeline.stages)
    return (ast.Stage(pipeline.span, pipeline, None),)


def run_stages(e: Elaborator, stages: tuple[ast.Stage, ...], value: Value, head: ast.Expr, scope: Scope) -> Value:
    """The value after all stages; `head` is where the first one's was written."""
    for number, stage in enumerate(stages, 1):
        e.budget.spend(stage.span)
        marks = e.marks()
        try:
            if stage.label:
                check_no_port(e, stage.label, scope, "name a stage")
                check_not_owned(e, stage.label, scope, "name a stage")
            with e.at(stage.body.span):
                value = _stage(e, stage, value, head, scope)
        except (Fault, Poisoned):
            _without_values(stages[number - 1 :], scope)
            raise
        value = e.named(stage.label.id, value, marks[0]) if stage.label else value
        if len(e.rows) == marks[2]:  # what is made of stages is shown by their rows
            e.record(e.last_name, stage.body.span, value, marks, scope)
        if stage.label:
            scope.names[stage.label.id], scope.spans[stage.label.id] = value, stage.label.span
    return value


def _without_values(stages: tuple[ast.Stage, ...], scope: Scope) -> None:
    """After a mistake what these stages are called has no value, which is no other mistake."""
    scope.names.update({s.label.id: POISON for s in trees(stages) if isinstance(s, ast.Stage) and s.label})


def _stage(e: Elaborator, stage: ast.Stage, value: Value, head: ast.Expr, scope: Scope) -> Value:
    body, label = stage.body, stage.label.id if stage.label else None
    match body:
        case ast.Call():
            return _call(e, body.callee, body.arguments, value, head, scope, body.span, label)
        case ast.Name() | ast.Attribute():
            return _call(e, body, (), value, head, scope, body.span, label)
        case ast.List():
            return _branches(e, body.items, value, head, scope)
        case ast.Block():
            return run_stages(e, stages_of(body.body), value, head, _named(scope, label))
        case ast.Repeat():
            return _repeat(e, body, value, head, _named(scope, label))
        case ast.Subscript():
            written = f"{body.target.span.text}({', '.join(i.span.text for i in body.indices)})"
            raise fault("E106", "the arguments of a stage stand in round brackets", body.span, **instead(written, body.span))
        case _:
            raise fault("E106", "a stage of a pipeline is a call such as `dense(10)` or a name such as `relu`", body.span)


def _branches(e: Elaborator, items: tuple[ast.Expr, ...], value: Value, head: ast.Expr, scope: Scope) -> Value:
    return tuple(run_stages(e, stages_of(branch), value, head, scope) for branch in items)


def _call(
    e: Elaborator,
    callee: ast.Expr,
    written: tuple[ast.Argument, ...],
    value: Value,
    head: ast.Expr,
    scope: Scope,
    span: Span,
    label: str | None,
) -> Value:
    first = ast.Argument(span, None, head)
    called = callee_of(callee, scope, e.definitions)
    arguments = [(first, value), *e.evaluated(called, written, (first, *written), scope)]
    return e.invoke(called, arguments, scope, span, label)


def _named(scope: Scope, label: str | None) -> Scope:
    """Where the layers of a pipeline in braces get their names: under its label, or beside the others."""
    return Scope(scope, scope.frame.enter(scope.frame.child("", label))) if label else scope


def _repeat(e: Elaborator, body: ast.Repeat, value: Value, head: ast.Expr, scope: Scope) -> Value:
    times = e.evaluate(body.count, scope)
    if not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= MAX_REPEATS:
        raise fault("E106", f"`repeat` takes a whole number from 0 to {MAX_REPEATS:,}, not {describe(times)}", body.count.span)
    with e.budget.repeated(times):
        for number in range(times):
            spent = e.budget.spent
            value = run_stages(e, stages_of(body.body), value, head, scope)
            if number == 0:
                e.budget.foresee(spent, body.span)
    return value


def _used(error: Fault, value: Value, span: Span) -> Fault:
    """A mistake in a shared pipeline, with the use that shows it, and where that has its size from."""
    d = error.diagnostic
    size = batch.origins([value], [span]) if isinstance(value, Tensor) else ()
    return Fault(replace(d, notes=tuple(dict.fromkeys((*d.notes, (span, "in this use"), *size)))))


def shared(s: ast.Share, scope: Scope) -> Builtin:
    """`share enc = p`: the pipeline as a function, every use of which has the same parameters and draws of its own."""
    stages, uses = stages_of(s.value), count()

    def run(e: Elaborator, bound: dict[str, Value], spans: dict[str, Span], span: Span, _: Scope) -> Value:
        e.unused.discard(s.name.id)
        frame = scope.frame.enter(scope.frame.join(s.name.id), shared=True, use=(*scope.frame.use, next(uses)))
        try:
            value = run_stages(e, stages, bound["x"], ast.Name(spans.get("x", span), "x"), Scope(scope, frame))
        except Fault as error:
            raise _used(error, bound["x"], span) from None
        e.last_name = frame.path
        return value

    return Builtin(f"{s.name.id}(x)", run, "shared pipeline")
