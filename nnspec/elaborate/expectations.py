"""`expect` lines: what can be asked of a model without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nnspec.diagnostics import did_you_mean, fault
from nnspec.elaborate.expand import Elaborator
from nnspec.elaborate.fields import names_in
from nnspec.elaborate.folding import folded
from nnspec.elaborate.lists import expected
from nnspec.elaborate.primitives import Arguments, make_builtin
from nnspec.elaborate.report import Facts
from nnspec.elaborate.scope import Scope
from nnspec.elaborate.values import Function, Tensor, Value, describe
from nnspec.graph import Dim, Size
from nnspec.syntax import ast

MEASURES: Mapping[str, Callable[[Facts, Mapping[str, str]], Dim]] = {
    "params": lambda facts, _: facts.parameters(),
    "flops": lambda facts, reports: facts.flops(node for public, node in reports.items() if public.startswith("output:")),
    "memory": lambda facts, reports: facts.memory(reports.values()),
}
RECEPTIVE_FIELD, DEPENDS, PARAMS = FUNCTIONS = ("receptive_field(v)", "depends(v, p)", "params(layer)")


def check_expectation(e: Elaborator, model: Scope, reports: Mapping[str, str], s: ast.Expect) -> None:
    """Hold the condition of an `expect` against the model elaborated so far; `reports` are the nodes of its outputs, losses and metrics."""
    facts = Facts(e.graph, e.owned)
    functions = Scope(model, model.frame, _functions(e, facts))
    asked = {*names_in(s.condition)}
    counts = {name: measure(facts, reports) if name in asked else None for name, measure in MEASURES.items()}
    scope = Scope(functions, model.frame, {**counts})
    owned = len(e.owned)
    values = [folded(e.evaluate(v, scope)) for v in _sides(s.condition)]
    holds = expected(folded(_holds(e, s.condition, values)))
    if len(e.owned) > owned:
        raise fault("E108", "an expectation asks about the model, and makes no layers of its own", s.condition.span)
    if isinstance(holds, Tensor):
        if counted := next((n for n in names_in(s.condition) if isinstance(counts.get(n), Size)), None):
            message = f"`{counted}` is {describe(counts[counted])}, which is known only when it runs"
            raise fault("E107", message, s.condition.span, help="write a number for the size in the input")
        help_ = f'put it in a test: `test "..." of {e.graph.name} {{ given .. expect .. }}`'
        raise fault("E107", "the values of a model are known only when it runs", s.condition.span, help=help_)
    if not isinstance(holds, bool):
        raise fault("E106", f"an expectation is true or false, not {describe(holds)}", s.condition.span)
    if not holds:
        pairs = ((v.span.text, describe(x)) for v, x in zip(_sides(s.condition), values, strict=True))
        sides = " and ".join(f"{written} is {x}" for written, x in pairs if written.replace("_", "") != x)
        raise fault("E207", "this expectation does not hold", s.condition.span, label=sides)


def _sides(condition: ast.Expr) -> tuple[ast.Expr, ...]:
    return (condition.left, condition.right) if isinstance(condition, ast.Binary) else (condition,)


def _holds(e: Elaborator, condition: ast.Expr, values: list[Value]) -> Value:
    if not isinstance(condition, ast.Binary):
        return values[0]
    tensors = [v for v in values if isinstance(v, Tensor)] if condition.operator == "~=" else []
    return tensors[0] if tensors else e.operate(condition, values[0], values[1])


def _functions(e: Elaborator, facts: Facts) -> dict[str, Value]:
    """What `FUNCTIONS` says, over one model."""

    def depends(a: Arguments) -> Value:
        return _value(a, "p").var.name in e.graph.needed([_value(a, "v").var.name])

    def parameters_of(a: Arguments) -> Value:
        layer = a.bound["layer"]
        path = layer if isinstance(layer, str) else layer.name if isinstance(layer, Function) else a.at("layer").text
        owned = [n for n in e.owned if n == path or n.startswith(f"{path}.")]
        if not owned:
            parts = list(dict.fromkeys(name.rsplit(".", n)[0] for name in e.owned for n in range(name.count(".") + 1)))
            near = next((p for p in parts if p.endswith(f".{path.rsplit('.', 1)[-1]}")), None)
            help_ = f"did you mean `{near}`?" if near else did_you_mean(path, parts) or 'write the path as a text: params("conv_2")'
            raise fault("E101", f"no parameter belongs to `{path}`", a.at("layer"), help=help_)
        return facts.parameters(owned)

    rows = (
        make_builtin(RECEPTIVE_FIELD, lambda a: facts.receptive_field(_value(a, "v").var.name)),
        make_builtin(DEPENDS, depends),
        make_builtin(PARAMS, parameters_of),
    )
    return {row.name: row for row in rows}


def _value(a: Arguments, name: str) -> Tensor:
    value = a.bound[name]
    if not isinstance(value, Tensor):
        raise fault("E106", f"this takes values of the model, not {describe(value)}", a.at(name))
    return value
