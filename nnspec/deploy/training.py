"""A training as a folder for other runtimes: its steps and first values as ONNX, `step.json` that says what each is, and `train.py`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.array import Array
from nnspec.compile import Compilation
from nnspec.deploy.beginning import first_values
from nnspec.deploy.block import Block, suffix
from nnspec.deploy.examples import QUESTIONS, must_hold, questions
from nnspec.deploy.interface import graph_of, preparation
from nnspec.deploy.model import write_all
from nnspec.deploy.models import Models
from nnspec.deploy.proof import Lengths, lengths_of, sizes_tried
from nnspec.deploy.standing import Standing, standing_of
from nnspec.deploy.step import evaluation, of_all_at_once
from nnspec.diagnostics import fault, printable
from nnspec.elaborate.primitives import SEED, STEP
from nnspec.files import plain
from nnspec.graph import Graph, Type
from nnspec.interchange.recurrent import recognised
from nnspec.interchange.simplify import with_inputs_of
from nnspec.record import dataclass
from nnspec.run.engine import Engine
from nnspec.run.reference import sizes_of
from nnspec.strict_json import loads
from nnspec.train.check import listing
from nnspec.train.checkpoint import metadata
from nnspec.train.data import Dataset
from nnspec.weights import content, places, read

INIT, EVALUATE, STATE, MANIFEST = "init.onnx", "evaluate.onnx", "state.safetensors", "step.json"
ALWAYS = {"train.py": "train.py.txt", "README.md": "training.md"}
"""What every such folder holds, by the names that the package has for it."""
FORMAT = 3
OLDEST = "1.19"
"""The first version of onnxruntime that computes with every kind of number in the models."""


@dataclass(frozen=True)
class TrainingProof:
    """A folder that was written, its files, and how far they were from the definition, over the largest output."""

    path: Path
    files: tuple[str, ...]
    difference: float
    compared: str
    left_out: tuple[str, ...]
    left_out_metrics: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        path, metrics = printable(str(self.path)), printable(listing(self.left_out_metrics))
        equal = f"in onnxruntime equal to the reference within {self.difference:.1e} {self.compared}"
        lacks = f"; {EVALUATE} has no {metrics}: of all examples at once, and no mean over batches" if metrics else ""
        return f"{path}: {', '.join(self.files)}; {equal}{lacks}"


def export_training(
    engine: Engine, spec: Compilation, folder: Path, *, data: Sequence[Dataset], labels: Mapping[str, Sequence[str]], opset: int
) -> TrainingProof:
    """Write the folder of a spec once all in it is proved right; where the engine stands is where `train.py` goes on from.

    `data` is what each train block trains on, to be written too; `labels` are what the network calls its classes.
    """
    fields = [d.as_arrays().train for d in data]
    with engine.lock:
        standing = standing_of(engine, spec.dtype)
    prepared = preparation(engine.spec, learns=True)
    about = metadata(engine) | ({"preprocessing": json.dumps(prepared)} if prepared else {})
    models, state = Models(opset, about, spec.dtype, _lengths(spec, fields)), content(standing.arrays)
    names = _names_of(spec, fields or [{}] * len(spec.stages))
    called = {**labels, **(data[-1].labels if data else {})}
    manifest = _manifest(spec, standing, models, called, names) | {"arrays": places(state)}
    contents = {
        **{name: _npz(part) for name, part in zip(names, fields, strict=False)},
        **{name: model.SerializeToString() for name, model in models.files.items()},
        STATE: state,
        **{name: (files("nnspec.deploy") / own).read_bytes() for name, own in ALWAYS.items()},
        MANIFEST: json.dumps(manifest, indent=2).encode(),  # last, as it names the others
    }
    _refuse_strangers(folder, contents)
    write_all(folder, contents)
    left_out = dict.fromkeys(name for stage in manifest["stages"] for name in stage["left_out"])
    compared = sizes_tried(spec.model.ports, models.lengths)
    return TrainingProof(folder, tuple(contents), models.difference, compared, tuple(left_out), tuple(of_all_at_once(spec)))


def _lengths(spec: Compilation, data: Sequence[Mapping[str, Array]]) -> Lengths:
    """Those that fit the network in use and every phase of its training."""
    graphs = [spec.inference, *(phase.forward for stage in spec.stages for phase in stage)]
    return lengths_of(graphs, spec.model.ports, sizes_of(spec.model.ports, data[0] if data else {}))


def _refuse_strangers(folder: Path, names: Collection[str]) -> None:
    """E504 where a file has one of these names that no export before this one has written."""
    strangers = [name for name in names if (folder / name).exists()]
    if strangers and not _is_exported(folder / MANIFEST):
        message = f"{folder} already holds {listing(strangers)}, which no such export has written"
        raise fault("E504", message, help="choose another folder, or move them away")


def _is_exported(manifest: Path) -> bool:
    """Whether this is what an export says of its folder."""
    try:
        said = loads(plain(manifest).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and {"format", "state", "init", "stages"} <= said.keys()


def _manifest(
    spec: Compilation,
    standing: Standing,
    models: Models,
    labels: Mapping[str, Sequence[str]],
    data: Sequence[str],
) -> dict[str, Any]:
    """What `step.json` says, with every model of it made and proved."""
    from_files = {n: read(path, tensor) for n, (path, tensor) in spec.saved.items()}
    models.add(INIT, first_values(spec, 0), {SEED: standing.arrays[SEED], **from_files}, fixed=True)
    models.add(QUESTIONS, questions(spec), {})
    blocks = [Block(spec, i, standing, models).described() | {"data": data[i]} for i in range(len(spec.stages))]
    return {
        "format": FORMAT,
        "onnxruntime": OLDEST,
        **models.metadata,
        "preprocessing": json.loads(models.metadata.get("preprocessing", "[]")),
        "opset": models.opset,
        "state": STATE,
        "init": INIT,
        "predict": _used(models, "predict.onnx", graph_of(spec), standing.arrays),
        "evaluate": _used(models, EVALUATE, evaluation(spec), standing.arrays) | {"left_out": of_all_at_once(spec)},
        "fields": {n: _type(t, labels.get(n, ())) for n, t in spec.model.ports.items()},
        "must_hold": must_hold(spec) | {b["loss_is_finite"]: f"the loss became %({b['loss']})s in step %({STEP})d" for b in blocks},
        "stage": standing.stage,
        "stages": blocks,
    }


def _used(models: Models, file: str, graph: Graph, given: Mapping[str, Array]) -> dict[str, Any]:
    """A model that is no step: its file, and what its outputs are called there."""
    outputs = models.add(file, with_inputs_of(graph, recognised(graph)), given)
    return {"file": file, "outputs": {public.split(":")[-1]: name for public, name in outputs.items()}}


def _type(type: Type, labels: Sequence[str] = ()) -> dict[str, Any]:
    classes = {"classes": type.classes} if type.classes else {}
    named = {"labels": list(labels)} if labels else {}
    return {"dtype": type.dtype, "shape": [d if isinstance(d, int) else str(d) for d in type.shape], **classes, **named}


def _names_of(spec: Compilation, data: Sequence[Mapping[str, Array]]) -> list[str]:
    """The file of every train block's data; blocks that share their data share the file."""
    first = [next(i for i, other in enumerate(data) if other is part) for part in data]
    return [f"data{suffix(spec, i) if i else ''}.npz" for i in first]


def _npz(part: Mapping[str, Array]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **part)
    return buffer.getvalue()
