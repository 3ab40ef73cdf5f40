"""The `let` values of a file, and the settings that override them."""

from __future__ import annotations

from collections.abc import Mapping

from nnspec.diagnostics import Diagnostic, Fault, Source, did_you_mean, fault
from nnspec.elaborate.arguments import fits
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.folding import folded, is_constant
from nnspec.elaborate.library import Definitions
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import POISON, Builtin, Function, Poisoned, Value
from nnspec.graph import Graph
from nnspec.syntax import ast
from nnspec.syntax.parser import parse_value

OF_A_MODEL = ("layer", "model")
"""What no value outside of a model is made by."""
Settings = Mapping[str, str | int | float | bool]


class _Before(Elaborator):
    """Evaluates what stands before all models, where a name may as well be that of an init, optimizer or schedule: its arguments tell."""

    def callee(self, e: ast.Call, scope: Scope) -> Function | Builtin:
        found = super().callee(e, scope)
        if e.span.source.library or (found.kind not in OF_A_MODEL and fits(found, e.arguments)):
            return found
        others = (self.definitions.find(kind, found.name) for kind in ast.KINDS if kind not in OF_A_MODEL)
        return next((f for f in others if f and fits(f, e.arguments)), found)


def evaluate_lets(spec: ast.Spec, definitions: Definitions, scope: Scope, settings: Settings) -> list[Diagnostic]:
    """Enter every `let` into the scope, in order, with the overriding settings in their place; and what is wrong with them."""
    e = _Before(Graph("let", "float64"), definitions, training=False)
    lets = [d for d in spec.definitions if isinstance(d, ast.Let)]
    known = [let.name.id for let in lets]
    for name in settings:
        if name not in known:
            help_ = _of_a_model(spec, name) or did_you_mean(name, known) or _listed(known)
            e.diagnostics.append(Diagnostic("E101", f"the spec has no `let {name}` to set", None, help=help_))
    for let in lets:
        name = let.name.id
        with e.recovering(let.span):
            if name in scope.spans:
                raise fault("E105", f"`let {name}` is written twice", let.name.span, notes=((scope.spans[name], "first here"),))
            scope.spans[name] = let.name.span
            try:
                value = _setting(e, let, settings[name], scope) if name in settings else e.evaluate(let.value, scope)
                scope.names[name] = _constant(value, let)
            except (Fault, Poisoned):
                scope.names[name] = POISON
                raise
    return e.diagnostics


def _constant(value: Value, let: ast.Let) -> Value:
    """As numbers, where it is computed from numbers; it belongs to no model, whose graph could compute it."""
    value = folded(value)
    if not is_constant(value):
        raise fault("E108", "a `let` is known when the spec is compiled: it has no parameters, and draws nothing", let.value.span)
    return value


def _of_a_model(spec: ast.Spec, name: str) -> str:
    """Help for what is no `let`, and a parameter of a model."""
    models = [d.name.id for d in spec.all("model") if any(p.name == name for p in d.parameters)]
    return f"it is a parameter of the model `{models[-1]}`; what is to be set stands before the model: `let {name} = ..`" if models else ""


def _listed(known: list[str]) -> str:
    return f"it has {', '.join(known)}" if known else "it has no `let` at all"


def _setting(e: Elaborator, let: ast.Let, value: str | int | float | bool, scope: Scope) -> object:
    """A setting, read as the language reads a value; that of a text is the text itself, unless a quote or bracket begins it."""
    if not isinstance(value, str) or (isinstance(let.value, ast.String) and not value.startswith(('"', "["))):
        return value
    parsed, diagnostics = parse_value(Source(f"--set {let.name.id}", value))
    if parsed is None:
        raise Fault(diagnostics[0])
    return e.evaluate(parsed, scope)
