"""The body of a model or block: which values get a name, and the statements in the order in which the language reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from nnspec.graph.types import show
from nnspec.interchange.names import Names
from nnspec.interchange.to_spec.calls import Call, ordered, uses
from nnspec.interchange.to_spec.expressions import LEVELS, Expressions
from nnspec.interchange.to_spec.modules import word
from nnspec.record import dataclass

LONG = 1  # layers: a pipeline of more than these that an operator takes is a statement of its own
OWNED = ("param", "state")


@dataclass
class Body:
    """What stands between braces, the layers in the order of their calls, and the text of a body that is one formula."""

    calls: list[Call]
    lines: list[str] = field(default_factory=list)
    layers: list[Call] = field(default_factory=list)
    formula: str = ""


def write(results: Mapping[str, Call], given: Mapping[Call, str], taken: Names, *, model: bool) -> Body:
    """The body that computes results from what is given by name; a block has one result, which it returns."""
    calls = ordered(results.values())
    names = dict(given)
    outputs = {call: name for name, call in reversed([*results.items()])} if model else {}
    for call in _named(calls, list(results.values()), given, outputs):
        names[call] = outputs.get(call) or taken.give(*_wishes(call), "h" if model else "y")
    expressions, body = Expressions(names), Body(calls)
    for call in sorted((c for c in calls if c in names and c not in given), key=lambda c: c.name not in OWNED):
        _statement(call, expressions, body, outputs)
    for name, call in results.items():
        if model and names[call] != name:
            body.lines.append(f"output {name} = {'identity(' + names[call] + ')' if call in given else names[call]}")
        if not model:
            body.formula = names[call] if call in names else expressions.definition(call)
            body.lines.append(f"return {body.formula}")
    body.layers += expressions.seen
    return body


def _statement(call: Call, expressions: Expressions, body: Body, outputs: Mapping[Call, str]) -> None:
    name = expressions.names[call]
    if call.name in OWNED:
        body.lines.append(f"{call.name} {name}: {show(call.shape)} = 0")
        body.layers.append(call)
        return
    sign = "output " if call in outputs else ""
    body.lines.append(f"{sign}{name} = {expressions.definition(call)}")


def _named(calls: list[Call], results: list[Call], given: Mapping[Call, str], outputs: Collection[Call]) -> list[Call]:
    """Values that are read several times, results of a model, arrays, and long pipelines inside of formulas."""
    often = uses(calls, results)
    chosen = {*outputs, *(c for c in calls if (often[c] > 1 and c.name not in ("number", "list")) or c.name in OWNED)}
    for call in calls:
        if call.name in LEVELS or call.name == "if":
            chosen |= {i for i in call.inputs if _length(i, chosen, given) > LONG}
    return [c for c in calls if c in chosen and c not in given]


def _length(call: Call, chosen: set[Call], given: Mapping[Call, str]) -> int:
    """How many layers stand in a row up to a value."""
    length = 0
    while call not in chosen and call not in given and call.inputs:
        length += call.owns
        call = call.inputs[0]
    return length


def _wishes(call: Call) -> tuple[str, ...]:
    own = word(call.place.path.replace(".weight", "").rpartition(".")[2])
    return (own,) if own and call.name in OWNED else ()
