"""A network as an ONNX file: its graph with what is done to raw values, what it was trained on in its metadata, and a card beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnspec.compile import Compilation
from nnspec.deploy.card import write_card
from nnspec.deploy.interface import chosen, given_as, graph_of, preparation
from nnspec.deploy.model import Proof, export
from nnspec.deploy.proof import inputs_of
from nnspec.deploy.quantized import export_quantized
from nnspec.deploy.raw import has_learnt, prove_same, refuse_unprepared, renamed
from nnspec.deploy.wishes import Wishes
from nnspec.elaborate.answers import Answer, Continuation
from nnspec.graph import Graph
from nnspec.ops.source import state
from nnspec.run.engine import Engine
from nnspec.train.checkpoint import metadata


def export_network(
    engine: Engine, spec: Compilation, path: Path, wishes: Wishes, labels: Mapping[str, Sequence[str]], means: Mapping[str, Any]
) -> Proof:
    """Write the spec with the numbers of an engine; what class numbers and gaps stand for goes with it."""
    w = wishes
    prepared = _prepared(engine, w)
    graph = graph_of(spec, w.outputs, w.pixels, w.raw)
    labels = dict(_labels(spec, graph, renamed(w.raw) if w.raw else {}, labels))
    states = {node.name: node.type.shape for node in graph if node.op is state}
    public = chosen(spec, w.outputs)
    answers = {n: _as_said(answer) for n, answer in spec.answers_of(public).items()}
    continuations = {n: _as_said(next_) for n, next_ in spec.continuations_of(public).items() if n in labels}
    found = {"answers": answers, "continuations": continuations, "means": dict(means)}
    said = {"labels": labels, **found, "preprocessing": prepared, "states": states}
    about = metadata(engine) | {name: json.dumps(value) for name, value in said.items() if value}
    weights = {n: v.astype(spec.dtype) for n, v in {**engine.params, **engine.states}.items()}
    if w.raw:
        prove_same(graph_of(spec, w.outputs, (), w.raw), graph_of(spec, w.outputs), weights, w.raw)
    seen = given_as({**w.raw.inputs, **w.raw.fields} if w.raw else w.examples, w.pixels)
    if w.int8:
        proof = export_quantized(spec, engine, weights, path, w, metadata=about, examples=seen)
    else:
        proof = export(graph, weights, path, metadata=about, opset=w.opset, half=w.half, examples=seen)
    steps = int(engine.steps_done)
    write_card(proof, spec, graph, labels=labels, steps=steps, prepared=prepared, examples=seen, measured=w.measured)
    return proof


def _as_said(answer: Answer | Continuation) -> dict[str, Any]:
    return {key: value for key, value in answer._asdict().items() if value is not None}


def _labels(
    spec: Compilation, graph: Graph, fields: Mapping[str, str], labels: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[str]]]:
    """Those of targets, and of the inputs that the exported graph still has, by the names of their fields."""
    inputs = inputs_of(graph)
    for name, texts in labels.items():
        public = fields.get(name, name)
        if name not in spec.model.inputs or public in inputs:
            yield public, list(texts)


def _prepared(engine: Engine, wishes: Wishes) -> list[str]:
    """What the model does to raw values before all else; a Fault where it cannot do what is asked of it."""
    learnt = has_learnt(engine.spec, engine.states, int(engine.seed))
    refuse_unprepared(engine.spec, wishes.raw, standardized=wishes.standardized, learnt=learnt)
    return preparation(engine.spec, wishes.pixels, wishes.raw, learns=learnt)
