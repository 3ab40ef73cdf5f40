"""What a name stands for: the nearest scope's value, else a definition, else a primitive; and what to say when nothing does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from nnspec.diagnostics import Fault, Fix, Span, fault, instead, is_slip, suggest, uncommented
from nnspec.elaborate import vocabulary
from nnspec.elaborate.foreign import help_for, is_safe, nearest, twin
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON, Builtin, Function, Poisoned, Value, describe, is_callable
from nnspec.lazy import regex
from nnspec.syntax import ast
from nnspec.syntax.words import DEFINITION

NOWHERE: Mapping[str, Span | None] = {}
TRUTHS = ("true", "false")
MAX_ORDER = 3
MAX_GUESSES = 50
_ARGUMENTS = regex(r"\([^()]*\)")
_WHOLE_BEFORE, _WHOLE_AFTER = regex(r"(?<![=!<>~])[=,(\[]\s*\Z"), regex(r"[ \t]*(?:->|[),\]}\n#]|\Z)")
_LINE_THAT_MAKES = r"^[ \t]*(?:(?:param|state|share|output)[ \t]+)?(?:\w+[ \t]*,[ \t]*)*(?P<name>{name})[ \t]*(?:,[\w, \t]*)?(?:=(?!=)|:|~)"
_OPENS = regex(r"[ \t]*\(")
_BY_PLACE = regex(r"\(\s*(?!\)|\w+\s*=[^=])")
_ONE_BY_PLACE = regex(r"\(\s*[\w.]+\s*(?:,\s*\w+\s*=[^=()]+)*\)")


def value_of(e: ast.Name, scope: Scope, definitions: Definitions, wanted: Callable[[], tuple[str, ...]] = tuple) -> Value:
    """The value of a name in a formula; where it has none, one of those `wanted` was meant."""
    try:
        value = scope.find(e.id)
    except KeyError:
        value = None if scope.called_elsewhere(e.id) else definitions.meaning(e.id, e.span.source.library)
    if value is POISON:
        raise Poisoned
    if value is None:
        raise unknown(e.id, e.span, scope, definitions, wanted=wanted())
    return value


def callee_of(e: ast.Expr, scope: Scope, definitions: Definitions) -> Function | Builtin:
    """What a call calls; a number of the same name does not hide a function."""
    name = ast.dotted(e)
    if name is None:
        said = e.span.one_line
        help_ = _called_twice(e, definitions) or f"the value comes first: `x -> {said}`" if isinstance(e, ast.Call) else ""
        help_ = _product(e.span) if isinstance(e, ast.Number) else help_
        raise fault("E106", "only a name can be called", e.span, help=help_)
    try:
        found = scope.find(name, is_callable)
    except KeyError:
        found = definitions.meaning(name, e.span.source.library)
    if found is POISON:
        raise Poisoned
    if not isinstance(found, Function | Builtin):
        raise _not_callable(name, e.span, scope, definitions)
    return found


def _called_twice(e: ast.Call, definitions: Definitions) -> str:
    """What is said of `nn.MSELoss()(z, y)`, where a function here is called at once."""
    name = ast.dotted(e.callee) or ""
    if definitions.meaning(name) is not None and e.arguments:
        return ""
    near = name if definitions.meaning(name) is not None else nearest(name, definitions.names()) or ""
    given = _ARGUMENTS.match(e.span.source.text, e.span.end)
    return f"a function is called once: `{near}{given[0] if given else '(...)'}`" if definitions.find("fn", near) else ""


def check_called(s: ast.Report, value: Value, definitions: Definitions) -> None:
    """A loss or metric has its arguments; a function alone, or the text of its name, is none."""
    name = value.name if isinstance(value, Function | Builtin) else value if isinstance(value, str) else None
    if name is None:
        return
    meant = definitions.meaning(nearest(name, definitions.nameable(in_model=True)) or "") if isinstance(value, str) else value
    help_ = f"a {s.kind} is a formula of values of the model"
    if isinstance(meant, Function | Builtin):
        required = ", ".join(n for n in meant.names if n in meant.required)
        help_ = f"write what it is computed from: `{s.kind} {meant.name}({required})`"
    raise fault("E106", f"a {s.kind} is a number, not {describe(value)}", s.value.span, help=help_)


def _not_callable(name: str, span: Span, scope: Scope, definitions: Definitions) -> Fault:
    value = scope.find(name) if name in scope.all_names() else definitions.meaning(name)
    if value is None:
        return unknown(name, span, scope, definitions)
    return fault("E106", f"`{name}` is {describe(value)}, not a function or layer", span, help=_product(span))


def _product(before: Span) -> str:
    """What is meant by a number or a value right before a bracket."""
    bracket = _OPENS.match(before.source.text, before.end)
    return f"a product is written `{before.text} * (...)`" if bracket else ""


def unknown(
    name: str, span: Span, scope: Scope, definitions: Definitions, paths: Mapping[str, Span | None] = NOWHERE, wanted: tuple[str, ...] = ()
) -> Fault:
    """The mistake of a name that stands for nothing: `paths` are parameters and where they were made, `wanted` what may stand here.

    After many of them no more is guessed at, as each guess looks at all that is known.
    """
    definitions.misspelt += 1
    if definitions.misspelt > MAX_GUESSES:
        return fault("E101", f"there is no `{name}` here", span, help=help_for(name))
    known = {*paths, *TRUTHS} | scope.all_names() | definitions.nameable(in_model=scope.parent is not None)
    if same := twin(name, known):
        letter = next(unicodedata.name(a).capitalize() for a, b in zip(name, same, strict=True) if a != b)
        help_ = f"did you mean `{same}`? It looks the same, but here stands a {letter}"
        return fault("E101", f"there is no `{name}` here", span, help=help_, fix=Fix(span, same))
    if below := _made_below(name, span):
        help_ = "a formula knows the names of the lines above it: move it below this one"
        return fault("E101", f"there is no `{name}` here", span, notes=((below, f"`{name}` is made here"),), help=help_)
    own = scope.called_elsewhere(name)
    guess = own or nearest(name, wanted) if wanted or own else _within(name, paths) or suggest(name, paths) or nearest(name, known)
    head, dot, _ = name.partition(".")
    if dot and guess and scope.span_near(head) and guess not in paths:
        return _method(name, guess, span)
    otherwise = f"expected {' or '.join(wanted)}" if wanted else help_for(name)
    by_place = _by_place(name, guess, span, definitions) if guess else ""
    safe = guess in (own, _within(name, paths)) or (guess is not None and is_safe(name, guess) and not by_place)
    place = scope.span_near(guess) or paths.get(guess) if guess else None
    notes = ((place, f"`{guess}` is made here"),) if place and not place.source.library else ()
    if guess and notes and not paths:
        scope.names[name] = POISON  # the mistake may be there, and is one
    more = instead(guess, span, otherwise, safe)
    more["help"] += by_place
    return fault("E101", f"there is no `{name}` here", span, notes=notes, **more)


def _by_place(name: str, guess: str, span: Span, definitions: Definitions) -> str:
    """What is said of the arguments by place of a layer of the library that is written as one of another framework."""
    layer, text = definitions.find("layer", guess), span.source.text
    if layer is None or not layer.of_library or not _BY_PLACE.match(text, span.end):
        return ""
    if not layer.names[1:]:
        return " It takes no arguments"
    alone = layer.parameters[1].name in vocabulary.FIRST and _ONE_BY_PLACE.match(text, span.end)
    alike = name.islower() and is_slip(name, guess)
    if alike or (alone and is_slip(name.rpartition(".")[2], guess)):
        return ""
    order = ", which elsewhere may stand in another order" if layer.names[2:] else ""
    return f" By place it takes {', '.join(layer.names[1 : 1 + MAX_ORDER])}{order}"


def _method(name: str, function: str, span: Span) -> Fault:
    """The mistake of `x.mean()`: a stage where it is all of a formula, and a call where it is a part of one."""
    head, text = name.partition(".")[0], span.source.text
    called = _ARGUMENTS.match(text, span.end)
    end = called.end() if called else span.end
    if _WHOLE_BEFORE.search(text, 0, span.start) and _WHOLE_AFTER.match(text, end):
        return fault("E101", f"there is no `{name}` here", span, **instead(f"{head} -> {function}", span, safe=False))
    given = called[0][1:-1].strip() if called else ""
    call = f"{function}({', '.join(filter(None, (head, given)))})"
    if not called and text[end : end + 1] == "(":
        return fault("E101", f"there is no `{name}` here", span, help=f"did you mean `{function}({head}, ...)`?")
    return fault("E101", f"there is no `{name}` here", span, **instead(call, Span(span.source, span.start, end), safe=False))


def _made_below(name: str, span: Span) -> Span | None:
    """Where a later line of the same definition makes a value of that name."""
    text = uncommented(span.source.text)
    following = DEFINITION.search(text, span.end)
    for m in re.finditer(_LINE_THAT_MAKES.format(name=re.escape(name)), text[: following.start() if following else None], re.M):
        if m.start() >= span.end and text.count("(", 0, m.start()) == text.count(")", 0, m.start()):
            return Span(span.source, *m.span("name"))
    return None


def _within(name: str, paths: Mapping[str, Span | None]) -> str | None:
    """`enc.dense.W` for `enc.W`, where there is no other between them, or `enc.W` for `enc.dense.W`."""
    head, _, tail = name.partition(".")
    found = [p for p in paths if p.startswith(f"{head}.") and p.endswith(f".{tail}")]
    shorter = f"{head}.{tail.rpartition('.')[2]}"
    return found[0] if len(found) == 1 else shorter if shorter in paths else None
