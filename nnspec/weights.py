"""Saved weights: what a safetensors file holds, without reading more of it than is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnspec.diagnostics import Span, did_you_mean, fault
from nnspec.files import plain
from nnspec.memory import ask_for
from nnspec.strict_json import loads

if TYPE_CHECKING:
    from nnspec.array import Array

LENGTH_BYTES = 8
MAX_HEADER = 100_000_000  # as in the library of the format
COPIES = 3  # that it makes of what it writes
HEADER, KINDS = "safetensors:header", {"F32": "float32", "F64": "float64", "I64": "int64"}
ITEM_BYTES = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2},
    **{"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8},
}
"""Of numbers that NumPy has, by their name in such a file."""


def shapes(path: Path, span: Span) -> dict[str, tuple[int, ...]]:
    """The tensors of a file and their shapes, from its header alone."""
    header, size = _header(path, span)
    try:
        tensors = {name: entry for name, entry in loads(header, unique=True).items() if name != "__metadata__"}
        unread = next((n for n, entry in tensors.items() if str(entry["dtype"]) not in ITEM_BYTES), None)
        if unread is not None:
            message = f"`{unread}` of {path.name} is of {tensors[unread]['dtype']}, which is not read"
            raise fault("E503", message, span, help=f"write it as one of {', '.join(ITEM_BYTES)}")
        _check_places(list(tensors.values()), size)
        return {name: tuple(entry["shape"]) for name, entry in tensors.items()}
    except (ValueError, AttributeError, TypeError, KeyError):
        raise fault("E503", f"{path} is damaged, or not a safetensors file", span) from None


def _header(path: Path, span: Span) -> tuple[bytes, int]:
    """What such a file begins with, and how many bytes follow it."""
    try:
        with plain(path).open("rb") as f:
            length = int.from_bytes(f.read(LENGTH_BYTES), "little")
            return f.read(length) if length <= MAX_HEADER else b"", path.stat().st_size - LENGTH_BYTES - length
    except OSError as error:
        raise fault("E501", f"cannot read {path}: {error.strerror}", span) from None


def _check_places(tensors: list[dict[str, Any]], size: int) -> None:
    """A ValueError unless tensors lie one after the other, each as long as its shape says, and fill the file."""
    end = 0
    for first, behind, shape, kind in sorted((*t["data_offsets"], t["shape"], t["dtype"]) for t in tensors):
        whole = all(type(n) is int and n >= 0 for n in (first, behind, *shape))
        if not whole or first != end or behind - first != prod(shape) * ITEM_BYTES[kind]:
            raise ValueError
        end = behind
    if end != size:
        raise ValueError


def content(arrays: Mapping[str, Array]) -> bytes:
    """What a file of these arrays holds."""
    from safetensors.numpy import save

    ask_for(COPIES * sum(array.nbytes for array in arrays.values()))
    return save(dict(arrays))


def places(content: bytes) -> dict[str, dict[str, Any]]:
    """Where the header and each array of a file of floats and whole numbers lie, one after the other: dtype, offset in bytes, and shape."""
    import json

    start = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    entries = sorted(json.loads(content[LENGTH_BYTES:start]).items(), key=lambda item: item[1]["data_offsets"])
    arrays = {n: {"dtype": KINDS[e["dtype"]], "offset": start + e["data_offsets"][0], "shape": e["shape"]} for n, e in entries}
    return {HEADER: {"dtype": "uint8", "offset": 0, "shape": [start]}, **arrays}


def name_in(path: Path, parameter: str, shape: tuple[int, ...], span: Span) -> str:
    """The tensor of a file for a parameter: of its path, of the last part of its path, or the only one there is."""
    known = shapes(path, span)
    found = next((n for n in (parameter, parameter.rsplit(".", 1)[-1]) if n in known), next(iter(known)) if len(known) == 1 else None)
    if found is None:
        help_ = did_you_mean(parameter, known) or f"it has {', '.join(sorted(known)[:8])}"
        raise fault("E501", f"{path.name} has no tensor for `{parameter}`", span, help=help_)
    if known[found] != shape:
        raise fault("E208", f"`{parameter}` is {list(shape)}, and `{found}` of {path.name} is {list(known[found])}", span)
    return found


def names_in(path: Path, known: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], span: Span) -> set[str]:
    """Those of a model's parameters and states that are `known` in a file; they have the shapes that the model gives them."""
    found = wanted.keys() & known.keys()
    if not found:
        raise fault("E503", f"nothing in {path.name} has the name of a parameter or state of the model", span)
    for name in sorted(found):
        if known[name] != wanted[name]:
            message = f"`{name}` is {list(wanted[name])}, and in {path.name} it is {list(known[name])}"
            raise fault("E208", message, span, help="a layer of another name starts afresh: `-> ... as NAME`")
    return found


def read(path: Path, name: str) -> Array:
    """One tensor of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensor: Array = file.get_tensor(name)
            return tensor
    except (SafetensorError, OSError) as error:
        raise fault("E503", f"{path} is damaged: {error}") from None
