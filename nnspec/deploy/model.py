"""Export with proof: a model file is written only once onnxruntime has computed with it what the definition computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnspec.deploy.proof import inputs_of, proved, random_batches, sizes_tried
from nnspec.diagnostics import fault
from nnspec.files import unwritable, write_whole
from nnspec.graph import Graph
from nnspec.interchange.half import halved
from nnspec.interchange.prove import check
from nnspec.interchange.simplify import simplified
from nnspec.interchange.to_onnx import DEFAULT_OPSET, Model, to_onnx

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_FILE = 2**31 - 2**20
# Half precision has eleven bits, and an error of each operation adds to that of the next.
LARGEST_OF_HALF = 2e-2


@dataclass(frozen=True)
class Proof:
    """A file that was written, and how far its outputs were from the definition, over the largest output.

    `compared` says on what, `remarks` is what else was measured.
    """

    path: Path
    difference: float
    opset: int
    ir: int
    size: int
    compared: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        equal = f"in onnxruntime equal to the reference within {self.difference:.1e} {self.compared}"
        return "; ".join((f"{self.path}: {self.size:,} bytes, opset {self.opset}, IR {self.ir}", equal, *self.remarks))


def export(
    graph: Graph,
    weights: Mapping[str, Array],
    path: Path,
    *,
    metadata: Mapping[str, str] = {},
    seed: int = 0,
    opset: int = DEFAULT_OPSET,
    half: bool = False,
) -> Proof:
    """Write a float32 graph as ONNX, in half precision if asked to, once it is proved right; a failure leaves the file that was there."""
    if any(n.type.dtype == "float64" for n in graph):
        raise fault("E505", "a float64 model cannot be exported", help="compile it as float32: onnxruntime lacks float64 convolutions")
    if sum(np.asarray(w).nbytes for w in weights.values()) > LARGEST_FILE:
        raise fault("E505", "the model is larger than 2 GiB, which no ONNX file can be")
    model = to_onnx(*simplified(graph, weights), metadata=metadata, opset=opset)
    if half:
        model = halved(model)
    check(model)
    inputs = inputs_of(graph)
    feeds = ({**weights, **batch} for batch in random_batches(inputs, np.random.default_rng(seed)))
    difference = proved(graph, model.SerializeToString(), feeds, LARGEST_OF_HALF if half else None)
    return written(path, model, difference, sizes_tried(inputs))


def written(path: Path, model: Model, difference: float, compared: str, *remarks: str) -> Proof:
    """The proof of a model that is now a file."""
    content = model.SerializeToString()
    write(path, content)
    opset = next(o.version for o in model.opset_import if not o.domain)
    return Proof(path, difference, opset, model.ir_version, len(content), compared, remarks)


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
