"""An ONNX model as a compilation like any other: its graph is given, and a spec of a few lines says what is to be learnt from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nnspec.compile import Compilation
from nnspec.diagnostics import Source, Span, did_you_mean, fault
from nnspec.elaborate.given import Given
from nnspec.elaborate.values import Owned, Row, Tensor
from nnspec.graph import Graph
from nnspec.interchange.from_onnx import Imported, import_graph
from nnspec.interchange.read import load
from nnspec.record import dataclass
from nnspec.strict_json import loads
from nnspec.syntax.words import OTHER_WORDS, STATEMENT_WORDS

_QUOTED = re.compile(r"""["'`]([^"'`\n]+)["'`]""")


@dataclass(frozen=True)
class Learning:
    """What an ONNX model does not say: what to learn from (`y: class(10)`), formulas of loss and metrics, a train block, and constants."""

    target: str | Sequence[str] = ()
    loss: str = ""
    metric: str | Sequence[str] = ()
    train: str = ""
    constants: Mapping[str, Any] | None = None


def learning_of(settings: Mapping[str, Any]) -> Learning:
    """The settings of an ONNX model, constants perhaps as the text of a JSON object; E102 for any other."""
    known = Learning.__dataclass_fields__
    for name in settings:
        if name not in known:
            help_ = did_you_mean(name, known) or f"it takes {', '.join(known)}"
            raise fault("E102", f"an ONNX model has no `let {name}` to be set", help=help_)
    constants = settings.get("constants")
    return Learning(**settings) if not isinstance(constants, str) else Learning(**{**settings, "constants": _constants(constants)})


def _constants(text: str) -> Mapping[str, Any]:
    try:
        found = loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise fault("E106", f"the constants of an ONNX model are no JSON object: {text}", help="""for example '{"axis": [1]}'""")
    return found


def of_file(path: Path, settings: Mapping[str, Any], dtype: str | None = None) -> Compilation:
    """The model of a file as a compilation; the settings say what is to be learnt from it."""
    return compilation(load(path), path.name, dtype, learning_of(settings), path.parent)


def compilation(model: Any, name: str, dtype: str | None, learning: Learning, folder: Path = Path()) -> Compilation:
    """A checked `onnx.ModelProto` as a compilation."""

    @cache
    def given(kind: str | None) -> Given:
        return _given(import_graph(model, name=name, dtype=kind, constants=learning.constants))

    own = given(dtype)
    kinds = {own.graph.dtype: own}
    source = Source(f"{name}, as a spec", _spec(_word(Path(model.graph.name or name).stem, set()), own, learning))
    _refuse_quoted(source, own.words)
    return Compilation(source, {}, own.graph.dtype, folder, given=lambda kind: kinds.get(kind) or given(kind))


def _spec(name: str, given: Given, learning: Learning) -> str:
    """The spec of what is to be learnt: the rest of the model is given."""
    lines = [f"model {name} {{", *(f"  target {t}" for t in _several(learning.target))]
    if learning.loss:
        lines.append(f"  loss {given.words.get(learning.loss, learning.loss)}")
    lines += [f"  metric {m}" for m in _several(learning.metric)]
    train = f"\n\ntrain {{\n{learning.train}\n}}\n" if learning.train else "\n"
    return "\n".join([*lines, "}"]) + train


def _refuse_quoted(source: Source, words: Mapping[str, str]) -> None:
    """E106 where the model's part has a name in quotes that formulas write otherwise."""
    for found in _QUOTED.finditer(source.text, 0, source.text.index("\n}\n")):
        if words.get(found[1], found[1]) != found[1]:
            raise fault("E106", f"in formulas the model's `{found[1]}` is written `{words[found[1]]}`", Span(source, *found.span()))


def _several(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _given(imported: Imported) -> Given:
    graph = imported.graph
    sources = {n.name: n for n in graph if n.op.name in ("param", "state")}
    anywhere = Span(Source(imported.name, ""), 0, 0)
    places = {array: step.span for step in reversed(imported.steps) for array in step.arrays}
    owned = {n: Owned(n, s.op.name, s.type, None, places.get(n, anywhere)) for n, s in sources.items()}
    words = _words([*imported.inputs, *(public.removeprefix("output:") for public in graph.outputs)])
    rows = tuple(_rows(imported, graph))
    said = (imported.labels, imported.answers, imported.means, imported.continuations)
    return Given(graph, imported.inputs, words, owned, rows, imported.weights, *said)


def _rows(imported: Imported, graph: Graph) -> Iterable[Row]:
    """A row of the layer table for each node that computes with floats."""
    seen: set[str] = set()
    for step in imported.steps:
        value = graph.var(step.value)
        if value.type.is_float and step.nodes:
            own = tuple(a for a in step.arrays if a not in seen)
            seen.update(own)
            yield Row(step.output, step.span, Tensor(value, value.type.leads_with_batch), step.nodes, own)


def _words(names: Iterable[str]) -> dict[str, str]:
    """What formulas call values, for what the file calls them."""
    taken: set[str] = set()
    return {name: _word(name, taken) for name in dict.fromkeys(names)}


def _word(name: str, taken: set[str]) -> str:
    """A name of the language as near as can be, which no other value has."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    word = f"_{word}" if not word or word[0].isdigit() else word
    while word in taken or word in STATEMENT_WORDS or word in OTHER_WORDS:
        word += "_"
    taken.add(word)
    return word
