"""What differs between two specs in meaning: not their text, but what they take, compute, own and train by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import SequenceMatcher
from typing import Any

from nnspec.compile import Compilation
from nnspec.elaborate.model import Model
from nnspec.elaborate.values import Owned, describe
from nnspec.elaborate.written import settings, written
from nnspec.graph import Graph, Type
from nnspec.record import dataclass
from nnspec.syntax import ast

SIGNATURE = ("inputs", "outputs")
Row = tuple[str, str]
"""A name, and what is said of it."""
_WORD = re.compile(r'"[^"\n]*"|\w+|\S')


@dataclass(frozen=True)
class Change:
    """One thing that is other: `before` or `after` is None where it is not there."""

    part: str
    name: str
    before: str | None
    after: str | None


def differences(a: Compilation, b: Compilation) -> list[Change]:
    """Everything that differs, part by part; nothing if both are the same model, trained the same way."""
    same = _forms(a) == _forms(b)
    parts = (part for part in _PARTS if not (same and part in _COMPUTED))  # else they are only written otherwise
    found = [change for part in parts for change in _PARTS[part](part, a, b)]
    return found if same or any(c.part in _COMPUTED for c in found) else [*found, *_operations("operations", a, b)]


def compared(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if (name in before) != (name in after) or _words(before[name]) != _words(after[name]):
            yield Change(part, name, before.get(name), after.get(name))


def _words(text: str) -> tuple[str, ...]:
    """What is between white space, and between signs."""
    return tuple(_WORD.findall(text))


def _ports(types: Callable[[Model], Mapping[str, Type]]) -> Callable[[str, Compilation, Compilation], Iterator[Change]]:
    """The comparison of inputs, targets or outputs; whoever takes them by their number sees their order."""

    def changes(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
        before, after = ({n: str(t) for n, t in types(s.model).items()} for s in (a, b))
        yield from compared(part, before, after)
        old, new = [n for n in before if n in after], [n for n in after if n in before]
        if old != new:
            yield Change(part, "order", ", ".join(old), ", ".join(new))

    return changes


def _layers(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Stages that were taken out, put in or changed, in their order."""
    before, after = ([(row.name, f"{row.formula} {row.shape}") for row in s.table] for s in (a, b))
    yield from _in_order(part, before, after, [[" ".join(row) for row in rows] for rows in (before, after)])


def _in_order(part: str, before: Sequence[Row], after: Sequence[Row], lines: Sequence[Sequence[str]]) -> Iterator[Change]:
    """Rows whose lines stay, go and come."""
    for kind, i0, i1, j0, j1 in _matched(*lines):
        if kind != "equal":
            yield from compared(part, dict(before[i0:i1]), dict(after[j0:j1]))


def _matched(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Which lines stay, go and come, wherever their white space is."""
    return SequenceMatcher(None, [*map(_words, before)], [*map(_words, after)], autojunk=False).get_opcodes()


def _owned(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Parameters and states: their shapes, and how they start."""
    yield from compared(part, *({n: f"{o.kind} {list(o.type.shape)} {_start(s, o)}" for n, o in s.model.owned.items()} for s in (a, b)))


def _start(spec: Compilation, owned: Owned) -> str:
    """How a parameter or state starts; or that it came with numbers."""
    came = spec.weights.get(owned.name)
    return written(owned.start) if came is None else "numbers"


def _losses(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Losses and metrics as they are written: those with a name by it, those without in their order."""
    before, after = _reports(a), _reports(b)
    yield from compared(part, *({f"{s.kind} {s.name.id}": s.value.span.one_line for s in found if s.name} for found in (before, after)))
    for kind in ("loss", "metric"):
        old, new = ([s.value.span.one_line for s in found if s.kind == kind and not s.name] for found in (before, after))
        yield from _in_order(part, _numbered(kind, old), _numbered(kind, new), (old, new))


def _reports(spec: Compilation) -> list[ast.Report]:
    model = spec.definitions.own["model", spec.model.name].definition
    return [s for s in model.body if isinstance(s, ast.Report)]


def _numbered(kind: str, texts: Sequence[str]) -> list[Row]:
    return [(f"{kind} {number}", text) for number, text in enumerate(texts, 1)]


def _training(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    several = max(len(a.trainings), len(b.trainings)) > 1
    yield from compared(part, *(dict(_settings(s, several)) for s in (a, b)))


def _settings(spec: Compilation, several: bool) -> Iterator[Row]:
    """Every setting of every train block, by what it comes to, and by its block where there are several."""
    for number, training in enumerate(spec.trainings):
        block = f"{training.name or number + 1}: " if several else ""
        yield from ((block + name, value) for name, value in settings(training))


def _formulas(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Definitions and `let` values as they are written."""
    before, after = _statements(a), _statements(b)
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, ()), after.get(name, ())
        for kind, i0, i1, j0, j1 in _matched(old, new):
            if kind != "equal":
                yield Change(part, name, "; ".join(old[i0:i1]) or None, "; ".join(new[j0:j1]) or None)


def _statements(spec: Compilation) -> dict[str, tuple[str, ...]]:
    """What each definition says, and each `let` comes to."""
    values = {
        f"let {let.name.id}": (describe(spec.names[0].names[let.name.id]),)
        for let in (d for d in spec.ast.definitions if isinstance(d, ast.Let))
    }
    return values | {" ".join(key): _said(function.definition) for key, function in spec.definitions.own.items()}


def _said(definition: ast.Definition) -> tuple[str, ...]:
    return tuple(s.span.one_line for s in definition.body if not isinstance(s, ast.Port | ast.Report | ast.Expect))


def _operations(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """How many operations of each kind outputs and losses take: for what no formula of the two shows."""
    counts = [Counter(n.op.name for n in s.training_model[0].graph if n.inputs) for s in (a, b)]
    found = list(compared(part, *({n: str(c) for n, c in count.items()} for count in counts)))
    yield from found or [Change(part, "order", "the same operations", "put together otherwise")]


def _forms(spec: Compilation) -> list[object]:
    """What is computed in use, in training, and of the whole training data before it."""
    models = (spec.inference_model, spec.training_model, spec.fitting_model)
    return [_form(model[0].graph) if model else None for model in models]


def _form(graph: Graph) -> tuple[object, ...]:
    """The graph of outputs and losses without the names of what is inside it."""
    number = {name: i for i, name in enumerate(graph.nodes)}
    nodes = tuple((n.op.name, tuple(number[i] for i in n.inputs), n.attrs, n.type, n.name if n.op.is_source else "") for n in graph)
    return nodes, tuple(sorted((public, number[n]) for public, n in graph.outputs.items()))


_PARTS = {
    "inputs": _ports(lambda model: model.inputs),
    "outputs": _ports(lambda model: model.outputs),
    "targets": _ports(lambda model: model.targets),
    "layers": _layers,
    "parameters": _owned,
    "losses and metrics": _losses,
    "formulas": _formulas,
    "training": _training,
}
_COMPUTED = ("layers", "losses and metrics", "formulas")
"""The parts that show how values are computed."""


def text(changes: Sequence[Change]) -> str:
    """Changes by parts, what was with a minus and what is with a plus."""
    lines: list[str] = []
    for part in dict.fromkeys(c.part for c in changes):
        mine = [c for c in changes if c.part == part]
        lines += [part] if mine else []
        for c in mine:
            lines += [f"  {sign} {c.name}: {value}" for sign, value in (("-", c.before), ("+", c.after)) if value is not None]
    return "\n".join(lines) or "no difference"


def as_json_list(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [asdict(c) for c in changes]
