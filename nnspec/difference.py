"""What differs between two specs in meaning: not their text, but what they take, compute, own and train by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Any

from nnspec.compile import Compilation
from nnspec.elaborate.model import Model
from nnspec.elaborate.sources import DataSource
from nnspec.elaborate.values import Applied, Owned
from nnspec.graph import Graph, Type
from nnspec.record import dataclass
from nnspec.syntax import ast

SIGNATURE = ("inputs", "outputs")


@dataclass(frozen=True)
class Change:
    """One thing that is other: `before` or `after` is None where it is not there."""

    part: str
    name: str
    before: str | None
    after: str | None


def differences(a: Compilation, b: Compilation) -> list[Change]:
    """Everything that differs, part by part; nothing if both are the same model, trained the same way."""
    return [change for part, facts in _PARTS.items() for change in facts(part, a, b)]


def _compared(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Change(part, name, before.get(name), after.get(name))


def _ports(types: Callable[[Model], Mapping[str, Type]]) -> Callable[[str, Compilation, Compilation], Iterator[Change]]:
    """The comparison of inputs, targets or outputs."""
    return lambda part, a, b: _compared(part, *({n: str(t) for n, t in types(s.model).items()} for s in (a, b)))


def _layers(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Stages that were taken out, put in or changed, in their order."""
    before, after = ([(row.name, f"{row.formula} {row.shape}") for row in s.table] for s in (a, b))
    for kind, i0, i1, j0, j1 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            yield from _compared(part, dict(before[i0:i1]), dict(after[j0:j1]))


def _owned(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """Parameters and states: their shapes, and how they start."""
    yield from _compared(part, *({n: f"{o.kind} {list(o.type.shape)} {_start(s, o)}" for n, o in s.model.owned.items()} for s in (a, b)))


def _start(spec: Compilation, owned: Owned) -> str:
    """How a parameter or state starts; the numbers that it came with by their hash."""
    came = spec.weights.get(owned.name)
    return _shown(owned.start) if came is None else f"numbers of sha256 {sha256(came.tobytes()).hexdigest()[:8]}"


def _losses(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    yield from _compared(part, *(dict(_reports(s)) for s in (a, b)))


def _reports(spec: Compilation) -> Iterator[tuple[str, str]]:
    """The losses and metrics of the model as they are written."""
    model = spec.definitions.own["model", spec.model.name].definition
    for number, s in enumerate(s for s in model.body if isinstance(s, ast.Report)):
        yield f"{s.kind} {s.name.id if s.name else ''}".strip() + f" {number + 1}", " ".join(s.value.span.text.split())


def _training(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    yield from _compared(part, *(dict(_settings(s)) for s in (a, b)))


def _settings(spec: Compilation) -> Iterator[tuple[str, str]]:
    """Every setting of every train block, by what it comes to."""
    for number, training in enumerate(spec.trainings):
        block = f"{training.name or number + 1}: " if len(spec.trainings) > 1 else ""
        for name in ("data", "validation", "test", "batch", "epochs", "steps", "optimizer", "schedule", "penalty", "clip", "stop",
                     "augment", "seed", "phases", "start", "checkpoint"):  # fmt: skip
            value = getattr(training, name)
            if value is not None and value != ():
                yield block + name, _shown(value)


def _shown(value: Any) -> str:
    """A setting as it is written, places in the source aside."""
    match value:
        case Applied():
            arguments = ", ".join(f"{n} = {_shown(v)}" for n, v in value.arguments.items())
            return f"{value.name}({arguments})"
        case tuple():
            return f"[{', '.join(map(_shown, value))}]"
        case DataSource():
            return " ".join(value.span.text.split())
        case _ if is_dataclass(value):
            parts = ((f.name, getattr(value, f.name)) for f in fields(value) if f.name not in ("span", "spans"))
            return f"{type(value).__name__.lower()}({', '.join(f'{n} = {_shown(v)}' for n, v in parts if v not in (None, (), ''))})"
        case _:
            return str(value)


def _operations(part: str, a: Compilation, b: Compilation) -> Iterator[Change]:
    """How many operations of each kind outputs and losses take, where the graphs are not the same."""
    graphs = [s.training_model[0].graph for s in (a, b)]
    if _form(graphs[0]) != _form(graphs[1]):
        counts = [Counter(n.op.name for n in g if n.inputs) for g in graphs]
        found = list(_compared(part, *({n: str(c) for n, c in count.items()} for count in counts)))
        yield from found or [Change(part, "order", "the same operations", "put together otherwise")]


def _form(graph: Graph) -> tuple[object, ...]:
    """A graph without the names of what is inside it."""
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
    "training": _training,
    "operations": _operations,
}


def text(changes: Sequence[Change]) -> str:
    """Changes by parts, what was with a minus and what is with a plus."""
    lines: list[str] = []
    for part in _PARTS:
        mine = [c for c in changes if c.part == part]
        lines += [part] if mine else []
        for c in mine:
            lines += [f"  {sign} {c.name}: {value}" for sign, value in (("-", c.before), ("+", c.after)) if value is not None]
    return "\n".join(lines) or "no difference"


def as_json_list(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [asdict(c) for c in changes]
