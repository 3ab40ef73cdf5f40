"""The body of a model or block: which values get a name, and the statements in the order in which the language reads them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field

from nnspec.elaborate.library import Definitions
from nnspec.elaborate.primitives import builtins
from nnspec.graph.types import show
from nnspec.interchange.names import Names
from nnspec.interchange.to_spec.calls import WRITTEN_OUT, Call, Loop, ordered, uses
from nnspec.interchange.to_spec.expressions import CHOICE, LEVELS, Expressions
from nnspec.interchange.to_spec.modules import label, word
from nnspec.record import dataclass

LONG = 1  # layers: a pipeline of more than these that an operator takes is a statement of its own
OWNED = ("param", "state")
NUMBER = re.compile(r"_\d+$")
STATES = ("h", "c", "m")
"""What the values that a loop carries are called."""


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
    outputs = {call: name for name, call in reversed([*results.items()]) if call.name != "steps"} if model else {}
    for call in _named(calls, list(results.values()), given, outputs):
        names[call] = outputs.get(call) or taken.give(*_wishes(call, "h" if model else "y"))
    expressions, body = Expressions(names, _labels(calls, taken)), Body(calls)
    body.lines += [f"share {name} = {Expressions({}).stage(layer)}" for name, layer in _shared(calls).items()]
    stated = sorted((c for c in calls if (c in names or c.loop) and c not in given), key=lambda c: c.name not in OWNED)
    signed = _signed(stated, results, names, outputs) if model else set()
    for call in stated:
        if call.loop:
            body.lines.append(_loop(call, call.loop, expressions, taken))
        elif call.name != "steps":
            _statement(call, expressions, body, signed)
    if model:
        body.lines += _rest(results, given, names, signed)
    else:
        [result] = results.values()
        body.formula = names[result] if result in names else expressions.definition(result)
        body.lines.append(f"return {body.formula}")
    body.layers += expressions.seen
    return body


def _signed(stated: Sequence[Call], results: Mapping[str, Call], names: Mapping[Call, str], outputs: Collection[Call]) -> set[Call]:
    """The outputs that are said where they are made: all, or none where these places are in another order than the file's."""
    made = [c for c in stated if c in outputs and c.name not in OWNED]
    renamed = [name for name, call in results.items() if names[call] != name]
    return {*made} if [*(names[c] for c in made), *renamed] == [*results] else set()


def _rest(results: Mapping[str, Call], given: Mapping[Call, str], names: Mapping[Call, str], signed: Collection[Call]) -> list[str]:
    """One statement for all the outputs that are not said where they are made, which has them in its order."""
    items = []
    for name, call in results.items():
        if names[call] != name:
            items.append(f"{name} = identity({names[call]})" if call in given else f"{name} = {names[call]}")
        elif call not in signed:
            items.append(name)
    return [f"output {', '.join(items)}"] if items else []


def _shared(calls: Sequence[Call]) -> dict[str, Call]:
    return {c.name: c.shared for c in calls if c.shared}


def _statement(call: Call, expressions: Expressions, body: Body, signed: Collection[Call]) -> None:
    name = expressions.names[call]
    if call.name in OWNED:
        body.lines.append(f"{call.name} {name}: {show(call.shape)} = 0")
        body.layers.append(call)
        return
    sign = "output " if call in signed else ""
    body.lines.append(f"{sign}{name} = {expressions.definition(call)}")


# ---- loops


def _loop(call: Call, loop: Loop, expressions: Expressions, taken: Names) -> str:
    """`hs = scan x_t in x with h = zeros(4) { h = ... }`: what nothing reads gets a name, too."""
    known = {c.settings["number"]: n for c, n in expressions.names.items() if c.name == "steps" and c.inputs[0] is call}
    targets = [known.get(i) or taken.give("unread") for i in range(len(loop.carried))]
    sequence, *starts = call.inputs[: 1 + len(loop.carried)]
    walked = expressions.text(sequence, CHOICE)
    inside = names_of_the_language(*expressions.names.values())
    carried = [inside.give(_state(i)) for i in range(len(loop.carried))]
    item = inside.give("x_t")
    begun = ", ".join(f"{n} = {expressions.text(s, CHOICE)}" for n, s in zip(carried, starts, strict=True))
    names = {loop.item: item, **dict(zip(loop.carried, carried, strict=True))}
    body = _steps(
        loop, names | {inner: expressions.text(outer) for outer, inner in zip(call.around, loop.given, strict=True)}, carried, inside
    )
    expressions.seen += [call] if body.layers else []
    return f"{', '.join(targets)} = scan {item} in {walked} with {begun} {{\n" + "\n".join(body.lines) + "\n}"


def _state(number: int) -> str:
    return STATES[min(number, len(STATES) - 1)]


def names_of_the_language(*more: str) -> Names:
    """Names, of which those of the library are given away."""
    taken = Names()
    for name in {*Definitions().names(), *builtins(), *more}:
        taken.give(name)
    return taken


def layers_in(loop: Loop) -> list[Call]:
    """The layers of a body, in the order in which the language calls them, those of a loop within it among them."""
    inner = (loop.item, *loop.carried, *loop.given)
    body = _steps(loop, {c: f"v{i}" for i, c in enumerate(inner)}, [f"v{1 + i}" for i in range(len(loop.carried))], Names())
    return [layer for call in body.layers for layer in (call.parts if call.loop else (call,))]


def _steps(loop: Loop, given: Mapping[Call, str], carried: Sequence[str], taken: Names) -> Body:
    """The statements of one step. What is carried takes its new value at once where nothing reads the old one any more, else at the end."""
    calls = ordered(loop.results)
    names, own = dict(given), dict(zip(loop.results, carried, strict=True))
    at_once = {r for old, r in zip(loop.carried, loop.results, strict=True) if r not in given and _is_last_to_read(r, old, calls)}
    for call in _named(calls, list(loop.results), given, [c for c in own if c not in given]):
        names[call] = own[call] if call in at_once else taken.give(f"{own[call]}_next" if call in own else "y")
    expressions, body = Expressions(names), Body(calls)
    handed_on = {r: taken.give(f"{n}_next") for r, n in own.items() if r in loop.carried and names[r] != n}
    body.lines = [f"{n} = {names[r]}" for r, n in handed_on.items()]
    for c in (c for c in calls if (c in names or c.loop) and c not in given):
        if c.loop:
            body.lines.append(_loop(c, c.loop, expressions, taken))
        elif c.name != "steps":
            body.lines.append(f"{names[c]} = {expressions.definition(c)}")
    body.lines += [f"{n} = {handed_on.get(r) or expressions.text(r)}" for r, n in own.items() if r not in at_once and names.get(r) != n]
    body.layers = expressions.seen
    return body


def _is_last_to_read(result: Call, old: Call, calls: Sequence[Call]) -> bool:
    """Whether all that reads the old value is needed for the new one."""
    needed = {*ordered([result])}
    return all(c in needed for c in calls if old in c.inputs)


def _named(calls: list[Call], results: list[Call], given: Mapping[Call, str], outputs: Collection[Call]) -> list[Call]:
    """Values that are read several times, results of a model, arrays, and long pipelines inside of formulas."""
    often = uses((c for c in calls if c.name != "turned"), results)
    chosen = {*outputs, *(c for c in calls if (often[c] > 1 and c.name not in WRITTEN_OUT) or c.name in (*OWNED, "steps"))}
    for call in calls:
        chosen |= {*call.around}
        if call.name in LEVELS or call.name == "if":
            chosen |= {i for i in call.inputs if _length(i, chosen, given) > LONG}
    return [c for c in calls if c in chosen and c not in given and c.loop is None]


def _length(call: Call, chosen: set[Call], given: Mapping[Call, str]) -> int:
    """How many layers stand in a row up to a value."""
    length = 0
    while call not in chosen and call not in given and call.inputs:
        length += call.owns
        call = call.inputs[0]
    return length


def _labels(calls: Sequence[Call], taken: Names) -> dict[Call, str]:
    """What the file calls layers, where the names are free, and none that layers without a label get: `conv`, `conv_2`."""
    wishes = {c: label(c.place.shown, c.name) for c in calls if c.owns and not c.is_leaf and not c.loop}
    kinds = {c.name for c in wishes}
    owners = {c.inputs[0] for c in calls if c.name == "turned"}  # these have to have a name
    named = {c: taken.give(wish) for c, wish in wishes.items() if wish and taken.is_free(wish) and NUMBER.sub("", wish) not in kinds}
    return named | {c: taken.give(f"tied_{c.name}") for c in owners - named.keys()}


def _wishes(call: Call, usual: str) -> tuple[str, ...]:
    if call.name == "steps":
        return (f"{_state(call.settings['number'])}s",)
    own = word(call.place.path.replace(".weight", "").rpartition(".")[2])
    return (own, usual) if own and call.name in OWNED else (usual,)
