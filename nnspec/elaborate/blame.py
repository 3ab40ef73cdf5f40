"""Where a mistake inside of a definition is marked: at the argument that led to it, or else at the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nnspec.diagnostics import Diagnostic, Fault, Span
from nnspec.elaborate.remedies import channels_before_units, without_channels
from nnspec.elaborate.values import Builtin, Function
from nnspec.lazy import regex
from nnspec.syntax.trees import assigned

OF_VALUES = ("E106", "E107")
"""Said of a value by itself, and not of how it fits another."""
OF_SHAPES = "E2"
"""Said of what comes from where a definition is called, as often as of the definition itself."""
_WORD, _ARITHMETIC = regex(r"[^\W\d]\w*"), regex(r"[\w\s.+*/%^-]+")


def blame(error: Fault, arguments: Mapping[str, Span], call: Span) -> Fault:
    """A mistake found inside a library definition, moved to the argument it speaks of, or else to the call."""
    d = error.diagnostic
    if d.span and (not d.span.source.library or (d.span.source is call.source and call.start <= d.span.start and d.span.end <= call.end)):
        return error
    notes = tuple(n for n in d.notes if not n[0].source.library)
    return Fault(replace(d, span=_blamed(d, arguments) or call, notes=notes, help=_with_channels(d, call) or d.help))


def _with_channels(d: Diagnostic, call: Span) -> str:
    """What is said of a kernel that does not fit where the channels that come in may have been said before the units."""
    numbers = channels_before_units(call.text) if d.code == "E206" else None
    return without_channels(numbers)[1] if numbers else ""


def given_so(error: Fault, callee: Function | Builtin, arguments: Mapping[str, Span]) -> Fault:
    """A mistake of what a definition of the user's was given, moved from where the argument is used to where it was written."""
    d = error.diagnostic
    if d.span is None or d.code not in OF_VALUES or d.span.text not in arguments or not isinstance(callee, Function):
        return error
    if not callee.definition.span.covers(d.span) or d.span.text in assigned(callee.definition.body):
        return error
    return Fault(replace(d, span=arguments[d.span.text], notes=d.notes or ((d.span, "it is used here"),)))


def called(error: Fault, callee: Function | Builtin, call: Span) -> Fault:
    """A shape that does not fit inside of a definition of the user's, with the call that made it so."""
    d = error.diagnostic
    if d.span is None or not d.code.startswith(OF_SHAPES) or not isinstance(callee, Function) or callee.of_library:
        return error
    if call.source.library or call.covers(d.span) or any(place == call for place, _ in d.notes):
        return error
    return Fault(replace(d, notes=(*d.notes, (call, f"`{callee.name}` is called here"))))


def _blamed(d: Diagnostic, arguments: Mapping[str, Span]) -> Span | None:
    """The argument that is what is wrong, or the only one that it is computed from."""
    word = "kernel" if d.code == "E206" else d.span.text if d.span else ""
    if word in arguments or d.code not in OF_VALUES or not _ARITHMETIC.fullmatch(word):
        return arguments.get(word)
    named = [name for name in dict.fromkeys(_WORD.findall(word)) if name in arguments]
    return arguments[named[0]] if len(named) == 1 else None
