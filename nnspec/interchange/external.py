"""Models beyond what one file can hold: their large weights lie in a second file beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from nnspec.array import Array
from nnspec.interchange.lowering import onnx_type

LARGEST_FILE = 2**31 - 2**20
"""Bytes that one message of an ONNX file can have, with some left for all that is no weight."""
SMALLEST, PAGE = 1024, 4096
DIGITS = 12


def is_too_large(weights: Iterable[Array]) -> bool:
    return sum(np.asarray(w).nbytes for w in weights) > LARGEST_FILE


class Beside:
    """Puts large weights into a file of a folder, aligned so that it can be mapped into memory, instead of into the model."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem, self.digest = folder, stem, sha256()
        self.file = (folder / f"{stem}.data").open("wb")

    def __call__(self, array: Array, name: str) -> TensorProto:
        """The tensor of a model for an array; too large a one only says where its numbers are."""
        if array.nbytes < SMALLEST:
            return numpy_helper.from_array(array, name)
        self.file.write(bytes(-self.file.tell() % PAGE))
        tensor = TensorProto(name=name, data_type=onnx_type(array.dtype.name), dims=array.shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("offset", self.file.tell()), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        content = np.ascontiguousarray(array).data
        self.file.write(content)
        self.digest.update(content)
        return tensor

    def finish(self, model: onnx.ModelProto) -> str:
        """Name the file after its content, so that an older model keeps the one it refers to; gives the name."""
        self.file.close()
        name = f"{self.stem}-{self.digest.hexdigest()[:DIGITS]}.data"
        (self.folder / f"{self.stem}.data").rename(self.folder / name)
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                tensor.external_data.add(key="location", value=name)
        return name


def data_of(path: Path) -> frozenset[str]:
    """The files beside a model that hold its weights, by names that `finish` gives; none for what is no model."""
    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError):
        return frozenset()
    named = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    return frozenset(n for n in named if re.fullmatch(rf".+-[0-9a-f]{{{DIGITS}}}\.data", n) and Path(n).name == n)


def remove_unused(folder: Path, names: Iterable[str]) -> None:
    """Remove those of these files that no model of the folder has its weights in."""
    used = frozenset[str]().union(*map(data_of, folder.glob("*.onnx")))
    for name in frozenset(names) - used:
        (folder / name).unlink(missing_ok=True)
