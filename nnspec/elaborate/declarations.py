"""`param` and `state`: nodes with public names, what they start with, and the sizes of written types."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from nnspec.diagnostics import Fault, Fix, Span, fault
from nnspec.elaborate import batch
from nnspec.elaborate.applied import as_kind
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON, Applied, Function, Owned, Poisoned, Tensor, Unsized, Value, describe, is_dim
from nnspec.graph import Dim, Shape, Size, Type
from nnspec.graph.origin import Origin, SizeOf
from nnspec.graph.types import MAX_DIMENSION, show
from nnspec.ops import OPS
from nnspec.ops.source import value_shape
from nnspec.record import dataclass
from nnspec.syntax import ast

if TYPE_CHECKING:
    from nnspec.elaborate.expand import Elaborator


@dataclass(frozen=True)
class Declared:
    """A parameter or state, and where each of its written sizes comes from; whether the library declares it."""

    owned: Owned
    places: tuple[Span | SizeOf, ...] | None
    library: bool


def not_pure(s: ast.ParamDecl) -> Fault:
    return fault("E108", f"a {s.kind} belongs to a layer or a model; a fn is a pure formula", s.span)


def check_no_port(e: Elaborator, name: ast.Name, scope: Scope, cannot: str) -> None:
    """A port of the model stays what the caller feeds."""
    if scope is e.watched and name.id in e.ports:
        note = (e.ports[name.id], "first here")
        raise fault("E105", f"`{name.id}` is a port of the model and cannot {cannot}", name.span, notes=(note,))


def check_not_owned(e: Elaborator, name: ast.Name, scope: Scope, cannot: str) -> None:
    """A parameter or state stays what it was declared to be."""
    owned = e.owned.get(scope.frame.join(name.id))
    if owned and e.owns(scope):
        help_ = f"write `{name.id} <- ...`" if owned.kind == "state" else "choose another name"
        raise fault("E105", f"`{name.id}` is a {owned.kind} and cannot {cannot}", name.span, help=help_)


def declare(e: Elaborator, s: ast.ParamDecl, scope: Scope) -> None:
    """`param` and `state`: a node of its own, named by its path."""
    if not e.owns(scope):
        raise not_pure(s)
    check_no_port(e, s.name, scope, "be declared again")
    if s.type and any(map(_is_open, s.type.dims)):
        e.graph.depends_on_all()
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
    var = e.graph.source(OPS[s.kind], owned.name, owned.type)
    places = tuple(_place(e, d, scope) for d in _after_star(s.type.dims)) if s.type else None
    enter(e, Declared(replace(owned, weights=scope.frame.weights), places, s.span.source.library))
    scope.names[s.name.id] = Tensor(var, False, s.type.span if s.type else s.name.span)
    scope.spans[s.name.id] = s.name.span


def _after_star(dims: tuple[ast.Expr | ast.Star, ...]) -> tuple[ast.Expr, ...]:
    """The dimensions whose place from the end is known."""
    after = itertools.takewhile(lambda d: not isinstance(d, ast.Star), reversed(dims))
    return tuple(d for d in after if not isinstance(d, ast.Star))[::-1]


def enter(e: Elaborator, made: Declared) -> None:
    """Have a parameter or state whose node is there."""
    e.owned[made.owned.name] = made.owned
    if made.places is not None:
        e.graph.written[made.owned.name] = tuple(_origin(e, place, made.library) for place in made.places)
    e.note(made)


def _place(e: Elaborator, dim: ast.Expr, scope: Scope) -> Span | SizeOf:
    """Where a size was written, in the declaration or as the argument that it names; or whose size it is."""
    place = scope.span_near(dim.id) if isinstance(dim, ast.Name) else None
    if place is None and isinstance(dim, ast.Name) and e.calls and (found := sized_so(e.calls[-1], dim.id, scope)):
        return SizeOf(found[0].var.name, found[1])
    return place or dim.span


def _origin(e: Elaborator, place: Span | SizeOf, library: bool) -> Origin | SizeOf | None:
    """What a mistake points at: the place itself, the `let` that stands there, or, in the library, the user's call."""
    if isinstance(place, SizeOf):
        return place
    if let := e.file.spans.get(place.text):
        return Origin(let)
    if not library:
        return Origin(place, place)
    call = e.graph.context.span
    return Origin(call, None if place.source.library else place) if call else None


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
        axis = next((i for i in range(-1, -first.type.rank - 1, -1) if first.type.shape[i] != owned.type.shape[i]), -1)
        made = batch.made(Tensor(e.graph.var(owned.name), False), axis, s.name.span, what=f"`{owned.name}`")
        raise fault("E202", message, s.name.span, notes=((first.span, "first used here"), *made))
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
    value = e.constant(s.start, scope)
    if isinstance(value, Function | Applied) and value.kind == "init":
        raise _drawn(s, s.start.span, name)
    start = batch.numbers(value, s.start.span)
    given = value_shape(start)
    shape = _fixed(e, s, scope) if s.type else given
    if given not in ((), shape):
        where = s.type.span if s.type else s.name.span
        raise fault(
            "E208", f"`{s.name.id}` is declared {show(shape)} and set to {show(given)}", s.start.span, notes=((where, "declared here"),)
        )
    return Owned(name, s.kind, Type(e.graph.dtype, shape), start, s.name.span)


def _drawn(s: ast.ParamDecl, init: Span, name: str) -> Fault:
    """An init behind `=`: a parameter has `~` for it, and a state nothing."""
    if s.kind == "state":
        param = f"param {s.name.id}{f': {s.type.span.text}' if s.type else ''} ~ {init.text}"
        help_ = f"write `= 0`, or a list; what is drawn and then stays is a frozen parameter: `{param}`, and in training `freeze {name}`"
        return fault("E106", f"the state `{s.name.id}` starts with the values that are written, and an init is drawn", init, help=help_)
    equals = Span(s.span.source, s.span.source.text.rindex("=", 0, init.start), init.start)
    message = f"the {s.kind} `{s.name.id}` is drawn by an init, which `~` says"
    return fault("E106", message, init, help=f"write `~ {init.text}`", fix=Fix(equals, "~ "))


def _start(e: Elaborator, s: ast.ParamDecl, start: ast.Expr, scope: Scope) -> Applied:
    if s.source == "~":
        return as_kind(e, "init", start, scope)
    pretrained = e.definitions.find("init", "pretrained", library=True)
    assert pretrained
    return Applied(pretrained, {"file": e.evaluate(start, scope)}, start.span)


_SHARED = "all examples share it: take `mean(x, axis = 0)` or the last element, `x[-1]`, before it, or declare the size as a number"


def _fixed(e: Elaborator, s: ast.ParamDecl, scope: Scope) -> Shape:
    """The shape of a parameter or state, which no size of the data can change."""
    assert s.type
    shape = shape_of(e, s.type, scope)
    for dim in shape:
        if isinstance(dim, Size):
            message = f"the {s.kind} `{s.name.id}` would have a size known only at run time, `{dim}`"
            raise fault("E106", message, s.type.span, help=_SHARED)
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


def sized_so(f: Function, name: str, scope: Scope) -> tuple[Tensor, int] | None:
    """The argument in whose type a size is named, and along which axis, from the end."""
    for p in f.definition.parameters:
        value = scope.names.get(p.name)
        for i, d in enumerate(_after_star(p.type.dims)[::-1] if p.type else (), 1):
            if isinstance(d, ast.Name) and d.id == name and isinstance(value, Tensor):
                return value, -i
    return None
