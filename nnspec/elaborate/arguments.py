"""Calls against signatures: which argument goes where, and whether its shape fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Fault, Fix, Span, fault, instead
from nnspec.elaborate import batch, foreign, vocabulary
from nnspec.elaborate.names import TRUTHS
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import CHOICES, KNOWN, UNSAID, Builtin, Function, Poisoned, Tensor, Value, describe, is_dim, is_number
from nnspec.graph import Mismatch
from nnspec.graph.shapes import Bindings
from nnspec.syntax import ast
from nnspec.syntax.commas import comma_number

if TYPE_CHECKING:
    from nnspec.elaborate.calls import Calls

Written = list[tuple[ast.Argument, Value]]
TARGET = "y"
"""What losses and metrics call the value that a prediction is held against."""


def signature_text(callee: Function | Builtin) -> str:
    """`dense(x, units, bias = true)`, as the definition is written."""
    return f"{callee.name}({', '.join(map(parameter_text, callee.parameters))})"


def parameter_text(p: ast.Parameter) -> str:
    """With its default, if that can be written."""
    return p.name if p.default is None or p.default.span.text == UNSAID else f"{p.name} = {p.default.span.text}"


def bind(callee: Function | Builtin, written: Written, span: Span) -> tuple[dict[str, Value], dict[str, Span]]:
    """Arguments by parameter name, and where each was written."""
    bound: dict[str, Value] = {}
    spans: dict[str, Span] = {}
    positional = iter(callee.names)
    if isinstance(callee, Builtin) and callee.variadic:
        written = _as_list(written, span)
    for argument, value in written:
        name = argument.name or next(positional, None)
        if name is None:
            raise _one_more(callee, argument.span, written)
        if name not in callee.names:
            raise unknown_argument(callee, argument)
        if name in bound:
            raise _too_many(argument.span, f"`{callee.name}` gets `{name}` twice", notes=((spans[name], "first here"),))
        bound[name], spans[name] = value, argument.value.span if argument.name else argument.span
    if not callee.required <= bound.keys():
        missing = next(n for n in callee.names if n in callee.required and n not in bound)
        help_ = _known_anyway(callee, missing) or _value_first(callee, bound, span)
        more = _signature(callee) | ({"help": help_} if help_ else {})
        raise fault("E103", f"`{callee.name}` is missing `{missing}`", span, **more)
    if isinstance(callee, Function) and callee.of_library:
        _check_truths(callee, bound, spans, written)
    return bound, spans


def _known_anyway(callee: Function | Builtin, missing: str) -> str:
    """What is said of an optimizer, schedule or init that asks to be given what it knows; the rate of an optimizer is to be given."""
    known = {*KNOWN.get(callee.kind, ())} - ({"lr"} if callee.kind == "optimizer" else set())
    if missing not in known:
        return ""
    others = ", ".join(parameter_text(p) for p in callee.parameters if p.name not in known)
    article, signature = "a" if callee.kind == "schedule" else "an", f"{callee.name}({others})" if others else callee.name
    return f"{article} {callee.kind} knows `{missing}` without being given it: write `{callee.kind} {signature}`"


def _value_first(callee: Function | Builtin, bound: Mapping[str, Value], call: Span) -> str:
    """What is said of a layer of the library that has a number in the place of the value that it is for."""
    of_library = isinstance(callee, Function) and callee.kind == "layer" and callee.of_library
    if not of_library or not is_number(bound.get(callee.names[0])):
        return ""
    return f"the value comes first: `x -> {call.one_line}`, or `{callee.name}(x, {call.one_line.partition('(')[2]}`"


def fits(callee: Function | Builtin, written: Sequence[ast.Argument]) -> bool:
    """Whether its signature takes arguments of these names, or without."""
    named = {a.name for a in written if a.name}
    by_place = callee.names[: sum(1 for a in written if not a.name)]
    given = {*by_place, *named}
    return callee.required <= given <= {*callee.names} and len(given) == len(written)


def _check_truths(callee: Function, bound: Mapping[str, Value], spans: Mapping[str, Span], written: Written) -> None:
    """What the library asks to be true or false; where others have a number of inputs or an activation."""
    for p in callee.definition.parameters:
        value = bound.get(p.name)
        if isinstance(p.default, ast.Boolean) and isinstance(value, int | float | str | Function | Builtin) and not isinstance(value, bool):
            second = "units" in bound and any(a.name is None and a.span == spans[p.name] for a, _ in written)
            help_ = _instead_of_truth(callee, value, second) or f"its arguments are {signature_text(callee)}"
            raise fault("E106", f"`{p.name}` of `{callee.name}` is true or false, not {describe(value)}", spans[p.name], help=help_)


def _instead_of_truth(callee: Function, value: Value, second: bool) -> str:
    """What is said of a value that is no truth; as the `second` number of a call it may be meant for the units."""
    if isinstance(value, str | Function | Builtin):
        return f"an activation is the next stage: `-> {value if isinstance(value, str) else value.name}`"
    return f"how large the value before is, is known: `{callee.name}({describe(value)})`" if second and is_dim(value) else ""


def _as_list(written: Written, span: Span) -> Written:
    """Several values without a name as one list."""
    values = [(a, v) for a, v in written if a.name is None]
    if len(values) < 2:
        return written
    listed = ast.Argument(span, None, ast.List(span, tuple(a.value for a, _ in values)))
    return [(listed, tuple(v for _, v in values)), *((a, v) for a, v in written if a.name)]


def _one_more(callee: Function | Builtin, span: Span, written: Written) -> Fault:
    most = len(callee.names)
    more = _as_one_list(callee, [a for a, _ in written if a.name is None][most - 1 :]) or _signature(callee)
    return _too_many(span, f"`{callee.name}` takes at most {most} argument{'s' * (most != 1)}", **more)


def _as_one_list(callee: Function | Builtin, last: Sequence[ast.Argument]) -> dict[str, Any]:
    """For numbers that are one list: a shape, or axes."""
    if callee.names[-1:] not in (("shape",), ("axes",)) or any(isinstance(a.value, ast.List) for a in last):
        return {}
    numbers = Span(last[0].span.source, last[0].span.start, last[-1].span.end)
    return {"help": f"`{callee.names[-1]}` is a list: `[{numbers.one_line}]`", "fix": Fix(numbers, f"[{numbers.text}]")}


def _too_many(span: Span, message: str, **more: Any) -> Fault:
    """The mistake of an argument too many, which may be part of the number before."""
    of_number = comma_number("E104", span.source, span.start)
    return Fault(of_number) if of_number else fault("E104", message, span, **more)


def unknown_argument(callee: Function | Builtin, argument: ast.Argument) -> Fault:
    assert argument.name
    place, of_value = argument.name_span, ""
    if {*(several := vocabulary.SEVERAL.get(argument.name, ()))} & {*callee.names}:
        return fault("E102", f"`{callee.name}` has no argument `{argument.name}`", place, **_each(several, argument))
    if argument.name.lower() in vocabulary.LEFT_OUT:
        of_value = "leave it out: how large the value before is, is known; "
    elif argument.name.lower() == "activation":
        stage = argument.value.value if isinstance(argument.value, ast.String) else argument.value.span.text
        of_value = f"write the activation as the next stage: `-> {stage}`; "
    elif other := vocabulary.OF_ANOTHER.get((callee.name, argument.name.lower())):
        of_value = f"{other}; "
    near = None if of_value else foreign.argument(argument.name, callee.names)
    signature = _signature(callee)
    more = instead(near, place, f"{of_value}{signature['help']}", safe=bool(near and foreign.is_safe(argument.name, near)))
    return fault("E102", f"`{callee.name}` has no argument `{argument.name}`", place, **signature | more)


def compared(callee: Function | Builtin, argument: ast.Argument, mistake: Fault | Poisoned) -> Fault | Poisoned:
    """The mistake of a value without a name, where the name of an argument is asked to be equal to one."""
    match argument.value:
        case ast.Binary(operator="==", left=ast.Name(id=name, span=place), right=value) if name in callee.names and not argument.name:
            if isinstance(mistake, Fault) and mistake.diagnostic.span == place:
                written = f"{name} = {value.span.text}"
                fix = Fix(argument.span, written)
                return Fault(replace(mistake.diagnostic, help=f"an argument gets its value by `=`: `{written}`", fix=fix))
    return mistake


def _each(names: Sequence[str], argument: ast.Argument) -> dict[str, Any]:
    """What is said of several arguments that are given as one list."""
    values = argument.value.items if isinstance(argument.value, ast.List) else ()
    written = ", ".join(f"{name} = {value.span.text}" for name, value in zip(names, values, strict=False))
    if len(values) != len(names):
        return {"help": f"each has a name of its own: `{' = .., '.join(names)} = ..`"}
    return {"help": f"each has a name of its own: `{written}`", "fix": Fix(argument.span, written)}


def wanted_by(callee: Function | Builtin, written: Sequence[ast.Argument], argument: ast.Argument) -> tuple[str, ...]:
    """The words that an argument may be, where its default is one of them: a choice or a truth."""
    unnamed = [a for a in written if a.name is None]
    index = next((i for i, a in enumerate(unnamed) if a is argument), -1)
    parameters = callee.parameters
    named = next((p for p in parameters if p.name == argument.name), None)
    parameter = named or (parameters[index] if 0 <= index < len(parameters) else None)
    match parameter.default if parameter else None:
        case ast.Name(id=word) if word in CHOICES:
            return CHOICES
        case ast.Boolean():
            return TRUTHS
    return ()


def check_tensors(e: Calls, f: Function, scope: Scope, span: Span) -> None:
    """Match arguments with declared types; the sizes they name become names of the definition."""
    bindings = Bindings()
    for p in f.definition.parameters:
        if p.type is None:
            continue
        value = scope.names[p.name]
        at = scope.spans.get(p.name, span)
        tensor = batch.lift(e.graph, value, e.graph.dtype, at)
        scope.names[p.name] = tensor
        try:
            bindings.match(p.name, p.type.dims, tensor.shape)
        except Mismatch as error:
            raise _misfit(f, p, tensor, error, at) from None
    scope.names.update(bindings.values)


def _other_number(dims: Sequence[ast.Expr | ast.Star], tensor: Tensor) -> int | None:
    """The axis, from the end, along which a tensor has another number than the type says."""
    pairs = list(zip(dims, tensor.shape, strict=False))[::-1] if len(dims) == len(tensor.shape) else []
    return next((-i for i, (d, n) in enumerate(pairs, 1) if isinstance(d, ast.Number) and d.value != n), None)


def swapped(callee: Function | Builtin, bound: Mapping[str, Value], spans: Mapping[str, Span], call: Span) -> Fault | None:
    """The mistake of a loss or metric that gets the class first, as others have it."""
    first, second = callee.names[:2] if len(callee.names) > 1 else ("", "")
    y_hat, y = bound.get(first), bound.get(TARGET)
    if second != TARGET or not isinstance(y_hat, Tensor) or not isinstance(y, Tensor):
        return None
    if not y_hat.classes or y.classes or not {first, second} <= spans.keys():
        return None
    message = f"`{callee.name}` takes the class second, after what says it"
    better = f"{callee.name}({spans[second].text}, {spans[first].text}{', ...' if len(spans) > 2 else ''})"
    return fault("E202", message, call, help=f"write `{better}`")


def _own(span: Span, text: str) -> tuple[tuple[Span, str], ...]:
    """A second label, in the user's own source."""
    return () if span.source.library else ((span, text),)


def _signature(callee: Function | Builtin) -> dict[str, Any]:
    """Help and note about the arguments that a definition has."""
    parameters = callee.parameters
    notes: tuple[tuple[Span, str], ...] = ()
    if isinstance(callee, Function) and parameters:
        first, last = parameters[0].span, parameters[-1].span
        notes = _own(Span(first.source, first.start, last.end), f"the arguments of `{callee.name}`")
    return {"help": f"its arguments are {signature_text(callee)}", "notes": notes}


def _misfit(f: Function, p: ast.Parameter, tensor: Tensor, error: Mismatch, at: Span) -> Fault:
    assert p.type
    axis = _other_number(p.type.dims, tensor)
    origin = batch.origins([tensor], [at]) if axis is None else batch.made(tensor, axis, at, what=p.name)
    notes = (*origin, *_own(p.type.span, f"`{f.name}` takes {p.type.span.text}"))
    label = f"`{f.name}` takes {p.name}: {p.type.span.text}"
    help_ = "`one_hot` makes a vector of a class number" if tensor.classes else ""
    if f.kind == "layer" and not tensor.shape and at.text.isdigit():
        help_ = f"the value comes first: `x -> {f.name}(...)`"
    return fault("E202", f"`{f.name}` cannot take this: {error.message}", at, label=label, notes=notes, help=help_)
