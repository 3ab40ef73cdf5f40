"""The card of a model: what it takes and gives, where it comes from and what it reaches, as Markdown beside the file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.model import Proof
from nnspec.deploy.proof import inputs_of
from nnspec.diagnostics import printable
from nnspec.files import plain, write
from nnspec.gallery import header
from nnspec.graph import Graph, Type
from nnspec.graph.types import show

MARK = "<!-- A model card, written by nnspec with the model. -->"
DTYPES = {"float32": "np.float32", "float64": "np.float64", "int64": "np.int64", "uint8": "np.uint8", "bool": "np.bool_"}
MOST_CLASSES = 50
MOST_NUMBERS = 16


def write_card(
    proof: Proof,
    spec: Compilation,
    graph: Graph,
    *,
    labels: Mapping[str, Sequence[str]],
    steps: int,
    prepared: Sequence[str],
    examples: Mapping[str, Array],
    measured: Mapping[str, Mapping[str, Any]],
) -> Path | None:
    """Put the card of an exported graph beside it, but not over a file that is no card; `measured` are metrics by the part of the data.

    The first of the `examples` is what its code runs on.
    """
    path = proof.path.with_suffix(".md")
    if path.exists() and MARK not in plain(path).read_text("utf-8", "replace"):
        return None
    inputs = inputs_of(graph)
    outputs = {public.removeprefix("output:"): graph[node].type for public, node in graph.outputs.items()}
    parts = [
        f"# {_plain(spec.model.name)}\n\n{MARK}",
        " ".join(map(_plain, header(spec.source))),
        _facts(proof, spec, steps),
        f"## What it takes\n\n{_ports(inputs, labels)}",
        _prepared(prepared),
        f"## What it gives\n\n{_ports(outputs, {})}",
        _classes(labels),
        f"## How to run it\n\n{_example(proof.path.name, inputs, examples)}",
        _reached(measured),
        _training(spec),
    ]
    write(path, ("\n\n".join(filter(None, parts)) + "\n").encode())
    return path


def _plain(text: str) -> str:
    """Text of a user's as text in Markdown and in its tables."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows))


def _facts(proof: Proof, spec: Compilation, steps: int) -> str:
    parameters = sum(prod(o.type.numbers) for o in spec.model.parameters.values())
    rows = [
        ("file", f"`{_plain(proof.path.name)}`, {proof.size:,} bytes, ONNX opset {proof.opset}, IR {proof.ir}"),
        ("parameters", f"{parameters:,}"),
        ("trained", f"{steps:,} steps" if steps else "not at all: its weights are the first ones"),
        ("compared", f"in onnxruntime equal to the definition within {proof.difference:.1e} {proof.compared}"),
        *(("", remark) for remark in proof.remarks),
    ]
    return _table(("", ""), rows)


def _ports(types: Mapping[str, Type], labels: Mapping[str, Sequence[str]]) -> str:
    rows = [(f"`{_plain(n)}`", t.dtype, f"`{_plain(show(t.shape))}`", _meaning(t, labels.get(n, ()))) for n, t in types.items()]
    return _table(("name", "numbers", "shape", "meaning"), rows)


def _meaning(type: Type, labels: Sequence[str]) -> str:
    if labels:
        return f"{len(labels)} classes, which are named below"
    if type.classes:
        return f"classes from 0 to {type.classes - 1}"
    return "pixels from 0 to 255" if type.dtype == "uint8" else ""


def _prepared(steps: Sequence[str]) -> str:
    """What is done to the inputs before all else, so that raw values can come."""
    return "\n".join(["What it does to them first:\n", *(f"{i}. {_plain(step)}" for i, step in enumerate(steps, 1))]) if steps else ""


def _classes(labels: Mapping[str, Sequence[str]]) -> str:
    """What the class numbers of targets stand for."""
    return "\n\n".join(["## Classes", *(f"`{name}`: {_numbered(texts)}" for name, texts in labels.items())]) if labels else ""


def _numbered(texts: Sequence[str]) -> str:
    shown = [f"{i} {_plain(text)}" for i, text in enumerate(texts[:MOST_CLASSES])]
    return ", ".join([*shown, "..."] if len(texts) > MOST_CLASSES else shown)


def _example(file: str, inputs: Mapping[str, Type], examples: Mapping[str, Array]) -> str:
    fed = ", ".join(f"{_literal(name)}: {_value(type, examples.get(name))}" for name, type in inputs.items())
    lines = ("import numpy as np", "import onnxruntime", "", f"session = onnxruntime.InferenceSession({_literal(file)})")
    return "\n".join(("```python", *lines, f"print(session.run(None, {{{fed}}}))", "```"))


def _value(type: Type, examples: Array | None) -> str:
    """The first example, where that is short."""
    if examples is None or examples[:1].size > MOST_NUMBERS:
        return f"np.zeros({_sizes(type)}, {DTYPES[type.dtype]})"
    numbers = np.array2string(np.asarray(examples[:1], type.dtype), separator=", ", floatmode="unique")
    return f"np.array({' '.join(numbers.split())}, {DTYPES[type.dtype]})"


def _literal(text: str) -> str:
    """A text as Python reads it."""
    return f'"{text}"' if text == printable(text) and not {'"', "\\"} & {*text} else ascii(text)


def _sizes(type: Type) -> tuple[int, ...]:
    """The shape of one example, with the least of every size that is known only at run time."""
    return tuple(d if isinstance(d, int) else 1 for d in type.shape)


def _reached(measured: Mapping[str, Mapping[str, Any]]) -> str:
    numbers = [(part, name, v) for part, values in measured.items() for name, v in values.items() if isinstance(v, float)]
    rows = [(_plain(part), name, f"{value:.4g}") for part, name, value in numbers]
    return "## What it reaches\n\n" + _table(("data", "metric", "value"), rows) if rows else ""


def _training(spec: Compilation) -> str:
    """The train blocks as they are written."""
    blocks = "\n\n".join(textwrap.dedent(t.span.text) for t in spec.trainings)
    code = "\n".join(map(printable, blocks.splitlines()))
    return f"## How it is trained\n\n```nn\n{code}\n```" if code else ""
