"""Export with proof: a model file is written only once onnxruntime has computed with it what the definition computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.deploy.proof import BATCHES, inputs_of, proved, random_batches
from nnspec.diagnostics import fault
from nnspec.files import unwritable, write_whole
from nnspec.graph import Graph
from nnspec.interchange.prove import check
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import DEFAULT_OPSET, to_onnx

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_FILE = 2**31 - 2**20


@dataclass(frozen=True)
class Proof:
    """A file that was written, and how far its outputs were from the definition, over the largest output."""

    path: Path
    difference: float
    opset: int
    ir: int
    size: int

    @property
    def sentence(self) -> str:
        equal = f"equal to the reference within {self.difference:.1e} at batch {' and '.join(map(str, BATCHES))}"
        return f"{self.path}: {self.size:,} bytes, opset {self.opset}, IR {self.ir}; in onnxruntime {equal}"


def export(
    graph: Graph, weights: Mapping[str, Array], path: Path, *, metadata: Mapping[str, str] = {}, seed: int = 0, opset: int = DEFAULT_OPSET
) -> Proof:
    """Write a float32 graph as ONNX once it is proved right; a failure leaves the file that was there."""
    if any(n.type.dtype == "float64" for n in graph):
        raise fault("E505", "a float64 model cannot be exported", help="compile it as float32: onnxruntime lacks float64 convolutions")
    if sum(np.asarray(w).nbytes for w in weights.values()) > LARGEST_FILE:
        raise fault("E505", "the model is larger than 2 GiB, which no ONNX file can be")
    model = to_onnx(*simplified(graph, weights), metadata=metadata, opset=opset)
    check(model)
    content = model.SerializeToString()
    feeds = random_batches(inputs_of(graph), np.random.default_rng(seed))
    difference = proved(graph, content, ({**weights, **values} for values in feeds))
    write(path, content)
    return Proof(path, difference, opset, model.ir_version, len(content))


def write(path: Path, content: bytes) -> None:
    """The whole file or nothing; a Fault where it cannot be written."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise unwritable(path, error) from error


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """The files of a folder, which is made if need be, one after the other."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    for name, content in contents.items():
        write(folder / name, content)
